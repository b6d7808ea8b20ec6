"""Columns that are moments, or nearly: in which formats, and which columns tell one together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import polars as pl

from include.models.config import Column, Moment
from include.models.config.kinds import TIMESTAMP
from include.models.raw.times import EPOCHS, ISO_FORMATS, moments
from include.models.tabular.first_look.offers import Offer, counted, quoted, words_among

DAYS = (
    *("%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%y", "%d %b %y", "%d/%b/%Y", "%d. %b %Y", "%Y-%b-%d"),
    *("%d %B %Y", "%B %d, %Y", "%B %d %Y", "%d-%B-%Y", "%d. %B %Y"),
    *("%a, %d %b %Y", "%a %d %b %Y", "%A, %B %d, %Y", "%A, %d %B %Y"),
)
HOURS = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S%.f", " %H.%M", " %H.%M.%S", " %H"),
    *(" %I:%M %p", " %I:%M:%S %p", " %I:%M%p", " %I %p", ", %H:%M", ", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p"),
    *(":%H:%M:%S", "-%H:%M:%S", "T%H%M%S"),
)
MONTHS = ("%Y-%m", "%Y/%m", "%b %Y", "%b-%Y", "%B %Y", "%b-%y", "%m/%Y", "%G-W%V", "%GW%V")
SPECIAL = ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%S%z", "%Y-%j")
ZONED = tuple(f"{day}{hour}{zone}" for day, hour, zone in product(DAYS, HOURS, ("%z", " %z")) if "%H:%M" in hour)
FORMATS = (*ISO_FORMATS, *(day + hour for day, hour in product(DAYS, HOURS)), *ZONED, *MONTHS, *SPECIAL)
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
OF_A_DAY = ("%H:%M:%S", "%H:%M", "%H:%M:%S%.f", "%I:%M:%S %p", "%I:%M %p", "%H.%M.%S", "%H.%M")
TIME_NAME = re.compile(
    r"(^|[^a-z])(time|date|datetime|timestamp|ts|epoch|when|created|updated|day|start|end)([^a-z]|$)|_at$"
)
NOT_OF_ROWS = re.compile(r"birth|dob|expir|due|valid")  # a person's date, or one to come, is not the row's
ZONE_NAME = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)? ?([A-Z]{3,5}|[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+)$"
FIRST, LAST = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds from 1970 on
SAMPLE = 6
LONGEST = 40  # characters of a moment
MOST_FORMATS = 3
LEAST_SHARE = 0.9
OF_A_DAY_LIKE = r"[0-9][:.][0-9]"
PARTS = {"%Y": ("year", "yr", "yyyy"), "%m": ("month", "mon", "mnth", "mm", "mo"), "%d": ("day", "dd", "dom")}
HOUR_NAMES = ("hour", "hr", "hh", "hours")


@dataclass(frozen=True)
class Times:
    """A column's cells as moments: the formats that they are in, and the cells that are in none. ``either``: another
    order of day and month would do as well."""

    formats: tuple[str, ...]
    others: pl.Series
    either: str | None = None


def find_times(known: pl.Series) -> Times | None:
    """How these texts (without blanks around, none of them missing) spell moments; None where most do not."""
    few = known.head(SAMPLE)
    if not few.str.contains(r"[0-9]").any() or (few.str.len_chars() > LONGEST).any():
        return None
    rest, formats, either = known, list[str](), None
    while len(rest) and len(formats) < MOST_FORMATS:
        found = _formats_of(rest)
        if not found:
            break
        best = _likelier(known, found)
        others = [form for form in found if form != best]
        either = either or next((form for form in others if _swapped(form) == best), None)
        formats.append(best)
        rest = rest.filter(_read(rest, best).is_null())
    if not formats or len(rest) > (1 - LEAST_SHARE) * len(known):
        return None
    return Times(tuple(formats), rest, either)


def nearly_a_time(times: Times, name: str, known: pl.Series, rows: int) -> Offer | None:
    """Where one format is not enough."""
    words = words_among(times.others) if len(times.others) else ([], True)
    if words is None:
        return None
    nulls, usual = words
    formats = times.formats[0] if len(times.formats) == 1 else list(times.formats)
    iso = isinstance(formats, str) and formats in ISO_FORMATS
    column = Column(kind=TIMESTAMP, format=None if iso else formats, null_words=nulls)
    examples = [known.filter(_read(known, form).is_not_null())[0] for form in times.formats]
    said = (
        f"{name} is a time"
        if len(examples) == 1
        else f"{name} is a time in {len(examples)} formats ({quoted(examples)})"
    )
    if len(times.others):
        said += f" but for {counted(len(times.others), rows)} ({quoted(times.others)})"
    days_first = {bool(re.search("%d.%m", form)) for form in times.formats if "%d" in form and "%m" in form}
    return Offer(name, said, column, usual and (len(examples) == 1 or not (times.either and len(days_first) > 1)))


def number_as_time(known: pl.Series, rows: int) -> Offer | None:
    """Whole numbers that are days written without marks, or count seconds or milliseconds from 1970 on."""
    if not known.str.contains(r"^[0-9]{8,14}(\.0*)?$").all():
        return None
    numbers = known.cast(pl.Float64, strict=False)
    if numbers.n_unique() < 2:
        return None
    width = known.str.len_chars().unique().to_list()
    if len(width) == 1 and (form := COMPACT.get(width[0])):
        read = _read(known, form)
        if not read.null_count() and read.dt.year().is_between(1900, 2100).all():
            said = f"{known.name} is a day without marks in {counted(len(known), rows)} ({quoted(known)})"
            return Offer(known.name, said, Column(kind=TIMESTAMP, format=form), is_sure=True)
    for form, unit in EPOCHS.items():
        factor = 1_000_000 // unit
        if numbers.is_between(FIRST * factor, LAST * factor).all():
            named = bool(TIME_NAME.search(known.name.lower()))
            what = "seconds" if form == "epoch" else "milliseconds"
            said = f"{known.name} counts {what} from 1970 on in {counted(len(known), rows)} ({quoted(known)})"
            sure = named or (numbers.is_sorted() and numbers.n_unique() > len(numbers) / 2)
            return Offer(known.name, said, Column(kind=TIMESTAMP, format=form), sure)
    return None


def zone_names(known: pl.Series, rows: int) -> str | None:
    """That times have a zone's name, which does not tell their offset."""
    named = known.filter(known.str.contains(ZONE_NAME))
    if len(named) < LEAST_SHARE * len(known):
        return None
    return (
        f"{known.name} looks like a time with a zone's name in {counted(len(named), rows)} ({quoted(named)}), which "
        "does not tell its offset from UTC: write it in UTC, or with an offset as +01:00"
    )


def find_moment(columns: Mapping[str, Column], texts: pl.DataFrame) -> tuple[Moment, str] | None:
    """Columns that tell a moment together, a date and a time of day or year, month and day; and that, in words."""
    taken, column = set(texts.columns), "moment"
    while column in taken:
        column += "_2"
    of = _date_and_time(columns, texts) or _year_month_day(columns, texts)
    if of is None:
        return None
    first = texts.select(pl.concat_str([pl.col(name).str.strip_chars() for name in of], separator=" ")).to_series()[0]
    said = f"{' and '.join(of)} tell a time together in {counted(len(texts), len(texts))} ('{first}')"
    return Moment(column=column, of=of), said


def _date_and_time(columns: Mapping[str, Column], texts: pl.DataFrame) -> dict[str, str] | None:
    days: dict[str, str] = {}
    for name, column in columns.items():
        forms = column.formats or (("%Y-%m-%d",) if column.kind.is_time else ())
        if len(forms) == 1 and forms[0] in (*DAYS, "%Y%m%d") and not NOT_OF_ROWS.search(name.lower()):
            text = texts[name].str.strip_chars()
            if not _read(text.filter(text != ""), forms[0]).null_count():
                days[name] = forms[0]
    order = list(columns)
    for place, (name, column) in enumerate(columns.items()):
        form = _of_a_day(texts[name], name, column)
        beside = [day for day in days if len(days) == 1 or order[place - 1 : place] == [day]]
        if form and beside:
            return {beside[0]: days[beside[0]], name: form}
    return None


def _of_a_day(cells: pl.Series, name: str, column: Column) -> str | None:
    """The format in which a column tells a time of day, or the hour."""
    cells = cells.str.strip_chars()
    known = cells.filter(cells != "")
    if column.kind.is_quantity:
        is_hour = name.lower() in HOUR_NAMES and known.cast(pl.Int64, strict=False).is_between(0, 23).all()
        return "%H" if is_hour else None
    if column.kind.is_time or not known.head(SAMPLE).str.contains(OF_A_DAY_LIKE).any():
        return None
    on_a_day = pl.Series(name, "2000-01-01 " + known)
    return next((form for form in OF_A_DAY if not _read(on_a_day, f"%Y-%m-%d {form}").null_count()), None)


def _year_month_day(columns: Mapping[str, Column], texts: pl.DataFrame) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for form, names in (*PARTS.items(), ("%H", HOUR_NAMES)):
        low, high = {"%Y": (1900, 2100), "%m": (1, 12), "%d": (1, 31), "%H": (0, 23)}[form]
        for name in columns:
            numbers = texts[name].str.strip_chars().cast(pl.Int64, strict=False)
            if name.lower() in names and not numbers.null_count() and numbers.is_between(low, high).all():
                found[name] = form
                break
    parts = list(found.values())
    if not {"%Y", "%m"} <= set(parts) or ("%H" in parts and "%d" not in parts):
        return None
    joined = texts.select(pl.concat_str([pl.col(name).str.strip_chars() for name in found], separator=" ")).to_series()
    return None if _read(joined, " ".join(parts)).null_count() else found


def _formats_of(texts: pl.Series) -> list[str]:
    """The formats that most of these cells are in, after a look at a few."""
    different = texts.unique(maintain_order=True)
    sample = different.gather_every(max(1, len(different) // SAMPLE)).head(SAMPLE)
    tried = {form: int(_read(sample, form).is_not_null().sum()) for form in FORMATS}
    most = max(tried.values())
    if most == 0:
        return []
    likely = [form for form, count in tried.items() if count == most]
    counts = {form: int(_read(different, form).is_not_null().sum()) for form in likely}
    best = max(counts.values())
    return [form for form in likely if counts[form] == best]


def _likelier(known: pl.Series, formats: list[str]) -> str:
    """Of formats that do as well, the one in which the file is in order, else the first."""
    return next((form for form in formats if len(formats) > 1 and is_ordered(_read(known, form))), formats[0])


def is_ordered(moments: pl.Series) -> bool:
    """Whether rows come in the order of time, one way or the other."""
    known = moments.drop_nulls()
    return known.n_unique() > 1 and (known.is_sorted() or known.is_sorted(descending=True))


def _swapped(form: str) -> str:
    return form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")


def _read(texts: pl.Series, form: str) -> pl.Series:
    if "%y" in form:  # 1.2.3 is a version, not a day of the year 2003
        short = texts.str.contains(r"(^|[^0-9])[0-9]{2}([^0-9]|$)")
        texts = texts.to_frame().select(pl.when(short).then(pl.col(texts.name))).to_series()
    try:
        return texts.to_frame().select(moments(pl.col(texts.name), form)).to_series()
    except pl.exceptions.PolarsError:  # a format that polars does not take
        return pl.Series(texts.name, [None] * len(texts), dtype=pl.Datetime("us"))
