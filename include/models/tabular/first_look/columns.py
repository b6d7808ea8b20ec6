"""What each column of a file is, and what it nearly is: the kind that fits all of its cells, and what model.yaml could
declare to read more of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import polars as pl

from include.models.config import Column, Moment
from include.models.config.kinds import INTEGER, MISSING, NUMBER, STRING, TIMESTAMP
from include.models.raw.kinds import READINGS, reading_of
from include.models.raw.numbers import names_things
from include.models.tabular.first_look import numbers, times
from include.models.tabular.first_look.offers import NO_NAMES, Offer, counted, quoted, shown

MOST_DIFFERENT = 1000  # distinct texts, up to which they are searched for words that mean missing


@dataclass
class Look:
    """``columns``: how to read each; ``moment``: a timestamp spread over several of them; ``said``: notes for the user;
    ``offers``: suggestions that were not accepted, by column."""

    columns: dict[str, Column]
    moment: Moment | None = None
    said: list[str] = field(default_factory=list)
    offers: dict[str, Offer] = field(default_factory=dict)

    @property
    def read_columns(self) -> dict[str, Column]:
        if self.moment is None:
            return self.columns
        return {**self.columns, self.moment.column: Column(kind=TIMESTAMP, format=self.moment.format)}


def look_at(text: pl.DataFrame, delimiter: str, target: str, problem: str, assume: bool) -> Look:
    """Determines the columns of a file; ``assume`` accepts what is certain."""
    known = {series.name: _known(series) for series in text}
    look = Look({})
    for name, cells in known.items():
        is_class = name == target and problem != "regression"
        column, offer, notes = (
            _class_column(cells, text[name]) if is_class else _column(cells, len(text), delimiter, text[name])
        )
        look.columns[name] = column
        look.said += notes
        if offer:
            look.offers[name] = offer
    look.offers |= {
        offer.name: offer for offer in _second_thoughts(look, known, delimiter, len(text)) if offer.name != target
    }
    for name, offer in list(look.offers.items()):
        _take(look, name, offer, assume)
    if found := times.find_moment({name: one for name, one in look.columns.items() if name != target}, text):
        moment, said = found
        declared = f"moment: {{column: {moment.column}, of: {moment.of}}}"
        if assume:
            look.moment = moment
            look.said.append(f"{said}: {declared}")
        else:
            look.said.append(f"{said}: declare {declared} in the table (ASSUME=yes does)")
    parts = found[0].of if found else {}
    texts = [name for name, column in look.columns.items() if column.kind is STRING and name not in parts]
    for name in texts:
        if duration := times.like_a_duration(known[name], len(text)):
            look.offers[name] = duration
            _take(look, name, duration, assume)
    return look


def typed(text: pl.DataFrame, look: Look) -> pl.DataFrame:
    """The cells as validation reads them; rejected cells and infinite numbers are missing."""
    if look.moment:
        parts = [pl.col(name).str.strip_chars() for name in look.moment.of]
        text = text.with_columns(pl.concat_str(parts, separator=" ").alias(look.moment.column))
    columns = look.read_columns.items()
    frame = text.select(reading_of(column.kind).parse(pl.col(name), column).alias(name) for name, column in columns)
    floats = pl.col(pl.Float64)
    return frame.with_columns(pl.when(floats.is_finite()).then(floats))


def _take(look: Look, name: str, offer: Offer, assume: bool) -> None:
    now = look.columns[name].kind
    if offer.column is None:
        look.said.append(f"{offer.said}; it is of kind {now} unless the cells are corrected at the source")
        return
    if assume and offer.is_sure:
        look.columns[name] = offer.column.model_copy(update={"multiline": look.columns[name].multiline})
        look.said.append(f"{offer.said}: read as {shown(offer.column)}")
        del look.offers[name]
        return
    who = "ASSUME=yes does" if offer.is_sure else "it may mean something else, so ASSUME=yes does not"
    declared = f"{name}: {shown(offer.column)}"
    look.said.append(f"{offer.said}; now it is of kind {now}. Declare {declared} in model.yaml ({who})")


def _known(series: pl.Series) -> pl.Series:
    cells = series.str.strip_chars()
    return cells.filter(~cells.str.to_lowercase().is_in(MISSING))


def _column(known: pl.Series, rows: int, delimiter: str, cells: pl.Series) -> tuple[Column, Offer | None, list[str]]:
    """The column, what it nearly is, and what else to say."""
    if known.is_empty():
        return Column(kind=STRING), None, []
    exact = next(column for reading in READINGS.values() if (column := reading.recognise(known)))
    if exact.kind.is_quantity or known.str.contains("^[0-9]+$").all():
        offer = times.number_as_time(known, rows) or numbers.nearly_a_number(known, rows, delimiter)
        if offer or exact.kind.is_quantity:
            return exact, offer, []
    if exact.kind.is_time:
        return exact, None, []
    if found := times.find_times(known):
        if found.others.is_empty() and len(found.formats) == 1:
            column = Column(kind=TIMESTAMP, format=found.formats[0])
            doubt = ": are day, month and year in the right order?" if found.either else ""
            return (
                column,
                None,
                [f"{known.name} is a time in the format {found.formats[0]} ({quoted(known)}){doubt}"],
            )
        return exact, times.nearly_a_time(found, known.name, known, rows) or _word_offer(cells), []
    if offer := numbers.nearly_a_number(known, rows, delimiter) or numbers.unread(known, rows):
        return exact, offer, []
    if not times.zone_names(known, rows) and (offer := times.like_a_time(known, rows)):
        return exact, offer, []
    notes = [note for note in (times.zone_names(known, rows), numbers.differently_united(known, rows)) if note]
    if names_things(known) and known.str.contains(r"^[0-9]+$").all():
        why = "zeros lead" if known.str.starts_with("0").any() else "they are too long to count"
        notes.append(f"{known.name} stays a text, though its cells are digits: {why} ({quoted(known)})")
    column, more = _text_column(cells)
    return column, _word_offer(cells, column), notes + more


def _class_column(known: pl.Series, cells: pl.Series) -> tuple[Column, Offer | None, list[str]]:
    """A target's: 1.0, as pandas writes a 1 beside missing values, is a 1."""
    exact = next(column for reading in READINGS.values() if (column := reading.recognise(known)))
    if exact.kind is NUMBER:
        values = known.cast(pl.Float64, strict=False)
        if (values == values.floor()).all() and values.is_finite().all():
            return Column(kind=INTEGER), None, []
    return exact, _word_offer(cells) or numbers.unread(known, len(cells)), []


def _text_column(cells: pl.Series) -> tuple[Column, list[str]]:
    broken = cells.filter(cells.str.contains_any(["\n", "\r"]))
    if broken.is_empty():
        return Column(kind=STRING), []
    said = f"{cells.name} has line breaks within its texts in {counted(len(broken), len(cells))}"
    return Column(kind=STRING, multiline=True), [said]


def _word_offer(cells: pl.Series, column: Column | None = None) -> Offer | None:
    """Texts that include words for missing values."""
    filled = cells.str.strip_chars()
    filled = filled.filter(filled != "")
    counts = filled.value_counts(sort=True)
    if len(counts) > MOST_DIFFERENT:
        return None
    words = [word for word in counts[cells.name] if word.lower() in {*NO_NAMES, "na"}]
    if not words or len(words) == len(counts):
        return None
    found = filled.filter(filled.is_in(words))
    said = f"{cells.name} is a text but for {counted(len(found), len(cells))} ({quoted(found)}) that may mean no value"
    declared = (column or Column(kind=STRING)).model_copy(update={"null_words": words})
    return Offer(cells.name, said, declared, is_sure=all(word.lower() in NO_NAMES for word in words))


def _second_thoughts(look: Look, known: dict[str, pl.Series], delimiter: str, rows: int) -> Iterator[Offer]:
    """Suggestions that depend on other columns."""
    offers = [(offer, offer.column) for offer in look.offers.values() if offer.column]
    if any(column.decimal == "," and offer.is_sure for offer, column in offers):
        for offer, column in offers:
            again = numbers.nearly_a_number(known[offer.name], rows, delimiter, decimal_commas=True)
            if again and not column.spelling.is_plain:
                yield again
        for name, column in look.columns.items():
            if (
                column.kind is NUMBER
                and name not in look.offers
                and (grouped := numbers.thousands_after_all(known[name], rows))
            ):
                yield grouped
    plain = [name for name, column in look.columns.items() if column.kind.is_quantity and name not in look.offers]
    first = (numbers.sentinels(known[name], rows) for name in plain)
    suspected = frozenset(word for offer in first if offer and offer.column for word in offer.column.null_words)
    for name in plain if suspected else []:
        again = numbers.sentinels(known[name], rows, suspected)
        if again and again.column:
            yield replace(again, column=again.column.model_copy(update={"kind": look.columns[name].kind}))
