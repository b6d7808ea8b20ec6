"""Columns that are timestamps, or nearly: their formats, and which columns form one together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product

import polars as pl

from include.models.config import Column, Moment
from include.models.config.kinds import TIMESTAMP
from include.models.raw.times import EPOCHS, EXCEL_DAYS, ISO_FORMATS, moments
from include.models.tabular.first_look.names import NOT_OF_ROWS, is_of_a_time, is_of_an_id
from include.models.tabular.first_look.offers import TOLERATED, Offer, counted, quoted, words_among

DAYS = (
    *("%Y-%m-%d", "%d-%m-%Y", "%m-%d-%Y", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%y/%m/%d", "%y.%m.%d"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d-%b-%y", "%d %b %y", "%d/%b/%Y", "%d. %b %Y", "%Y-%b-%d"),
    *("%d %B %Y", "%B %d, %Y", "%B %d %Y", "%d-%B-%Y", "%d. %B %Y"),
    *("%a, %d %b %Y", "%a %d %b %Y", "%A, %B %d, %Y", "%A, %d %B %Y"),
)
ISO_DAYS = ("%Y-%m-%d", "%Y-%m-%d 00:00:00")  # the latter as pandas and Excel export a day
HOURS = (
    *("", " %H:%M", " %H:%M:%S", " %H:%M:%S%.f", "T%H:%M", "T%H:%M:%S", "T%H:%M:%S%.f", " %H.%M", " %H.%M.%S", " %H"),
    *(" %I:%M %p", " %I:%M:%S %p", " %I:%M%p", " %I %p", ", %H:%M", ", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p"),
    *(":%H:%M:%S", "-%H:%M:%S", "T%H%M%S", " %H:%M:%S,%3f", "-%H.%M.%S%.f"),
)
HOURS_FIRST = ("%H:%M ", "%H:%M:%S ", "%I:%M %p ", "%I:%M:%S %p ", "%H:%M, ")
AFTER_A_COMPACT_DAY = (" %H:%M", " %H:%M:%S", "T%H:%M:%S", "_%H%M%S", "-%H%M%S", " %H%M%S", "-%H:%M:%S", " %H%M")
MONTHS = ("%Y-%m", "%Y/%m", "%b %Y", "%b-%Y", "%B %Y", "%b-%y", "%m/%Y", "%G-W%V", "%GW%V", "%G-W%V-%u")
SPECIAL = (
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S UTC %Y", "%Y%m%dT%H%M%S"),
    *(
        "%Y%m%dT%H%M%S%z",
        "%Y-%m-%dT%H%M%S%z",
        "%Y-%j",
        "%Y年%m月%d日",
        "%d-%b-%y %I.%M.%S%.f %p",
        "[%d/%b/%Y:%H:%M:%S %z]",
    ),
)
ZONED = tuple(f"{day}{hour}{zone}" for day, hour, zone in product(DAYS, HOURS, ("%z", " %z")) if "%H:%M" in hour)
FORMATS = tuple(
    dict.fromkeys(
        (
            *(*ISO_FORMATS, *(day + hour for day, hour in product(DAYS, HOURS))),
            *(hour + day for hour, day in product(HOURS_FIRST, DAYS)),
            *("%Y%m%d" + hour for hour in AFTER_A_COMPACT_DAY),
            *(*ZONED, *MONTHS, *SPECIAL),
        )
    )
)
# by the number of digits
COMPACT = {
    6: ("%Y%m", "%y%m%d", "%d%m%y", "%m%d%y"),
    7: ("%Y%j",),
    8: ("%Y%m%d", "%d%m%Y", "%m%d%Y"),
    10: ("%Y%m%d%H", "%y%m%d%H%M"),
    12: ("%Y%m%d%H%M", "%y%m%d%H%M%S"),
    14: ("%Y%m%d%H%M%S", "%d%m%Y%H%M%S"),
}
SHORTEST_COUNT = 10  # digits of seconds from 1970 on
COUNTS = {
    "epoch": "seconds from 1970 on",
    "epoch_ms": "milliseconds from 1970 on",
    "epoch_us": "microseconds from 1970 on",
    "epoch_ns": "nanoseconds from 1970 on",
    EXCEL_DAYS: "days as Excel does",
}
EXCEL_FIRST, EXCEL_LAST = 32_874, 73_051  # 1990 and 2100
LIKE_A_TIME = (
    r"(^|[^0-9])(19|20)[0-9]{2} ?[-/._年] ?[0-9]{1,2}([^0-9]|$)"
    r"|(^|[^0-9])[0-9]{1,2}[-/._ ]{0,2}\p{L}{0,10}[-/._ ]{1,2}(19|20)[0-9]{2}([^0-9]|$)"
    r"|(19|20)[0-9]{2}[ -]?Q[1-4]|Q[1-4][ /-]?(19|20)[0-9]{2}"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2,4}.*[0-9]{1,2}:[0-9]{2}"
    r"|/Date\(-?[0-9]+"
)
OF_A_DAY = ("%H:%M:%S", "%H:%M", "%H:%M:%S%.f", "%I:%M:%S %p", "%I:%M %p", "%H.%M.%S", "%H.%M")
ZONE_NAME = r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)? ?([A-Z]{3,5}|[A-Z][A-Za-z]+/[A-Z][A-Za-z_/]+)$"
FIRST, LAST = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds from 1970 on
SAMPLE = 6
LONGEST = 40  # characters of a timestamp
MOST_FORMATS = 3
LEAST_SHARE = 0.9
OF_A_DAY_LIKE = r"[0-9][:.][0-9]"
OF_A_DAY_COMPACT = {"%H%M": r"^([01][0-9]|2[0-3])[0-5][0-9]$", "%H%M%S": r"^([01][0-9]|2[0-3])([0-5][0-9]){2}$"}
DURATION = r"^[0-9]+:[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?$"
PARTS = {"%Y": ("year", "yr", "yyyy"), "%m": ("month", "mon", "mnth", "mm", "mo"), "%d": ("day", "dd", "dom")}
MONTH_WORDS = ("%b", "%B")  # Jan, January
HOUR_NAMES = ("hour", "hr", "hh", "hours")


@dataclass(frozen=True)
class Times:
    """A column's cells as timestamps: the formats that fit, and the cells that fit none. ``either``: another order of
    day and month would fit as well."""

    formats: tuple[str, ...]
    others: pl.Series
    either: str | None = None


def find_times(known: pl.Series) -> Times | None:
    """The formats of these texts (stripped, none of them missing) as timestamps; None if most are not."""
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
        either = either or next((form for form in others if "%y" in form or _swapped(form) == best), None)
        formats.append(best)
        rest = rest.filter(_read(rest, best).is_null())
    if not formats or len(rest) > (1 - LEAST_SHARE) * len(known):
        return None
    return Times(tuple(formats), rest, either)


def nearly_a_time(times: Times, name: str, known: pl.Series, rows: int) -> Offer | None:
    """A suggestion if one format is not enough."""
    words = words_among(times.others) if len(times.others) else ([], True)
    nulls, usual = words or ([], False)
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
    if words is None and len(times.others) > TOLERATED * rows:  # too many rows would be rejected
        return Offer(name, said)
    days_first = {bool(re.search("%d.%m", form)) for form in times.formats if "%d" in form and "%m" in form}
    return Offer(name, said, column, usual and (len(examples) == 1 or not (times.either and len(days_first) > 1)))


def number_as_time(known: pl.Series, rows: int) -> Offer | None:
    """Numbers that are timestamps without separators, or counts of seconds, fractions of them, or days."""
    numbers = known.cast(pl.Float64, strict=False)
    if numbers.null_count() or numbers.n_unique() < 2:
        return None
    return _compact(known, rows) or _counted(known, numbers, rows)


def _compact(known: pl.Series, rows: int) -> Offer | None:
    if known.str.contains(r"^[0-9]+\.0+$").all():
        offer = _compact(known.str.replace(r"\.0+$", ""), rows)
        return offer and Offer(known.name, f"{offer.said}, but for the zeros after a dot: write them without")
    width = known.str.len_chars().unique().to_list()
    forms = COMPACT.get(width[0], ()) if len(width) == 1 else ()
    named = is_of_a_time(known.name)
    if not forms or (width[0] < 8 and not named) or not known.str.contains("^[0-9]+$").all():
        return None
    found = [form for form in forms if _is_in_our_time(_read(known, form))]
    if not found:
        return None
    form = _likelier(known, found)
    ordered = is_ordered(_read(known, form))
    sure = (len(found) == 1 or ordered) and (width[0] != SHORTEST_COUNT or named or ordered)
    said = f"{known.name} is a time without marks, {form}, in {counted(len(known), rows)} ({quoted(known)})"
    return Offer(known.name, said, Column(kind=TIMESTAMP, format=form), sure)


def _is_in_our_time(moments: pl.Series) -> bool:
    return not moments.null_count() and bool(moments.dt.year().is_between(1900, 2100).all())


def _counted(known: pl.Series, numbers: pl.Series, rows: int) -> Offer | None:
    named = is_of_a_time(known.name)
    for form, what in COUNTS.items():
        first, last = (EXCEL_FIRST, EXCEL_LAST) if form == EXCEL_DAYS else (FIRST * EPOCHS[form], LAST * EPOCHS[form])
        if not numbers.is_between(first, last).all() or (form == EXCEL_DAYS and not named):
            continue
        in_order = numbers.is_sorted() and numbers.n_unique() > len(numbers) / 2 and not is_of_an_id(known.name)
        said = f"{known.name} counts {what} in {counted(len(known), rows)} ({quoted(known)})"
        return Offer(known.name, said, Column(kind=TIMESTAMP, format=form), named or in_order)
    return None


def like_a_time(known: pl.Series, rows: int) -> Offer | None:
    """Texts that look like timestamps but match no known format."""
    likely = known.filter(known.str.contains(LIKE_A_TIME))
    if len(likely) < LEAST_SHARE * len(known):
        return None
    said = (
        f"{known.name} looks like a time in {counted(len(likely), rows)} ({quoted(likely)}), in no format that is "
        "known here: write it as 2024-01-31 06:00:00 in the source, or declare its format in strptime's letters"
    )
    return Offer(known.name, said)


def zone_names(known: pl.Series, rows: int) -> str | None:
    """A note if times have a zone's name, which does not tell their offset."""
    named = known.filter(known.str.contains(ZONE_NAME))
    if len(named) < LEAST_SHARE * len(known):
        return None
    return (
        f"{known.name} looks like a time with a zone's name in {counted(len(named), rows)} ({quoted(named)}), which "
        "does not tell its offset from UTC: write it in UTC, or with an offset such as +01:00"
    )


def like_a_duration(known: pl.Series, rows: int) -> Offer | None:
    """Lengths of time, or times of day without a date: neither numbers nor moments."""
    found = known.filter(known.str.contains(DURATION))
    if known.is_empty() or len(found) < LEAST_SHARE * len(known):
        return None
    said = f"{known.name} looks like a duration or a time of day in {counted(len(found), rows)} ({quoted(found)})"
    return Offer(known.name, f"{said}: a number of seconds or hours could be learned from")


def find_moment(columns: Mapping[str, Column], texts: pl.DataFrame) -> tuple[Moment, str] | None:
    """Columns that form a timestamp together (a date and a time of day, or year, month and day), with a note."""
    taken, column = set(texts.columns), "moment"
    while column in taken:
        column += "_2"
    of = _date_and_time(columns, texts) or _year_month_day(columns, texts)
    if of is None:
        return None
    first = texts.select(pl.concat_str([pl.col(name).str.strip_chars() for name in of], separator=" ")).to_series()[0]
    said = f"{' and '.join(of)} form a time together in {counted(len(texts), len(texts))} ('{first}')"
    return Moment(column=column, of=of), said


def _date_and_time(columns: Mapping[str, Column], texts: pl.DataFrame) -> dict[str, str] | None:
    days: dict[str, str] = {}
    for name, column in columns.items():
        forms = column.formats or (ISO_DAYS if column.kind.is_time else ())
        text = texts[name].str.strip_chars()
        for of_days in forms if not NOT_OF_ROWS.search(name.lower()) else ():
            if of_days in (*DAYS, "%Y%m%d", *ISO_DAYS) and not _read(text.filter(text != ""), of_days).null_count():
                days[name] = of_days
    order = list(columns)
    for place, (name, column) in enumerate(columns.items()):
        form = _of_a_day(texts[name], name, column)
        beside = [day for day in days if len(days) == 1 or order[place - 1 : place] == [day]]
        if form and beside:
            return {beside[0]: days[beside[0]], name: form}
    return None


def _of_a_day(cells: pl.Series, name: str, column: Column) -> str | None:
    """The format of a column with a time of day, or the hour."""
    cells = cells.str.strip_chars()
    known = cells.filter(cells != "")
    if column.kind.is_quantity:
        is_hour = name.lower() in HOUR_NAMES and known.cast(pl.Int64, strict=False).is_between(0, 23).all()
        return "%H" if is_hour else None
    if column.kind.is_time:
        return None
    if compact := next((form for form, digits in OF_A_DAY_COMPACT.items() if known.str.contains(digits).all()), None):
        return compact if is_of_a_time(name) and len(known) else None
    if not known.head(SAMPLE).str.contains(OF_A_DAY_LIKE).any():
        return None
    on_a_day = pl.Series(name, "2000-01-01 " + known)
    return next((form for form in OF_A_DAY if not _read(on_a_day, f"%Y-%m-%d {form}").null_count()), None)


def _year_month_day(columns: Mapping[str, Column], texts: pl.DataFrame) -> dict[str, str] | None:
    found: dict[str, str] = {}
    for form, names in (*PARTS.items(), ("%H", HOUR_NAMES)):
        low, high = {"%Y": (1900, 2100), "%m": (1, 12), "%d": (1, 31), "%H": (0, 23)}[form]
        for name in columns:
            cells = texts[name].str.strip_chars()
            numbers = cells.cast(pl.Int64, strict=False)
            if name.lower() not in names:
                continue
            if not numbers.null_count() and numbers.is_between(low, high).all():
                found[name] = form
                break
            words = [each for each in MONTH_WORDS if not _read("2000 " + cells + " 01", f"%Y {each} %d").null_count()]
            if form == "%m" and words:
                found[name] = words[0]
                break
    parts = list(found.values())
    if "%Y" not in parts or not {"%m", *MONTH_WORDS} & set(parts) or ("%H" in parts and "%d" not in parts):
        return None
    joined = texts.select(pl.concat_str([pl.col(name).str.strip_chars() for name in found], separator=" ")).to_series()
    return None if _read(joined, " ".join(parts)).null_count() else found


def _formats_of(texts: pl.Series) -> list[str]:
    """The formats of most of these cells, preselected on a few."""
    different = texts.unique(maintain_order=True)
    sample = different.gather_every(max(1, len(different) // SAMPLE)).head(SAMPLE)
    tried = _readable(sample, FORMATS)
    most = max(tried.values(), default=0)
    if most == 0:
        return []
    counts = _readable(different, [form for form, count in tried.items() if count == most])
    best = max(counts.values())
    return [form for form, count in counts.items() if count == best]


def _readable(texts: pl.Series, forms: Iterable[str]) -> dict[str, int]:
    """How many of these cells each format matches; skips formats with a separator that no cell has."""
    signs = frozenset("".join(texts))
    likely = [form for form in forms if _signs(form) <= signs]
    if not likely:
        return {}
    counts = texts.to_frame().select(_moment(texts.name, form).is_not_null().sum().alias(form) for form in likely)
    return counts.row(0, named=True)


@cache
def _signs(form: str) -> frozenset[str]:
    """A format's separators; blanks are optional."""
    return frozenset(re.sub(r"%\.f|%[0-9]?[A-Za-z]| ", "", form))


def _likelier(known: pl.Series, formats: list[str]) -> str:
    """Among equally good formats, the one in which the file is ordered, otherwise the first."""
    return next((form for form in formats if len(formats) > 1 and is_ordered(_read(known, form))), formats[0])


def is_ordered(moments: pl.Series) -> bool:
    """Whether rows are in order of time, ascending or descending."""
    known = moments.drop_nulls()
    return known.n_unique() > 1 and (known.is_sorted() or known.is_sorted(descending=True))


def _swapped(form: str) -> str:
    return form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")


def _read(texts: pl.Series, form: str) -> pl.Series:
    return texts.to_frame().select(_moment(texts.name, form)).to_series()


def _moment(name: str, form: str) -> pl.Expr:
    text = pl.col(name)
    if "%y" in form and not form.replace("%", "").isalpha():  # 1.2.3 is a version, not a day of the year 2003
        text = pl.when(text.str.contains(r"(^|[^0-9])[0-9]{2}([^0-9]|$)")).then(text)
    return moments(text, form)
