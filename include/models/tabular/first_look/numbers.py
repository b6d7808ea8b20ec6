"""Columns that are nearly numbers: a few cells are words for missing values, or all use a country's number format,
units, or accountants' notation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import polars as pl

from include.models.config import Column
from include.models.config.kinds import NUMBER
from include.models.config.spelling import PLAIN, Spelling
from include.models.raw.numbers import names_things, plain
from include.models.tabular.first_look.offers import MOST_WORDS, TOLERATED, Offer, counted, quoted, words_among

LEAST_SHARE = 0.5  # of the cells must be numbers, if the others are words
MOSTLY = 0.9  # of the cells, if the others are anything
NEARLY_ALL = 0.98  # of the cells have units
MARKS: tuple[tuple[str, str | None], ...] = (
    (".", None),
    (".", ","),
    (",", None),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
    (".", "_"),
)
BEFORE = r"^[(+\u2212-]?\s*([^\d\s.,()'+:/\u2212-][^\d()+:\u2212-]*?)\s*[+\u2212-]?[.,]?\d"
AFTER = r"\d[.,]?\s*([^\d\s.,()'+:/\u2212-][^\d():]*?[23]?)\s*[)-]?$"
CURRENCIES = frozenset(
    re.findall(
        r"\S+",
        "USD EUR GBP CHF JPY CNY RMB INR AUD CAD NZD SEK NOK DKK PLN CZK HUF RON TRY RUB BRL MXN ZAR KRW SGD HKD THB "
        "IDR MYR PHP VND ILS AED SAR NGN KES EGP PKR ARS CLP COP Rs Rs. kr R$ US$ A$ C$ NZ$ HK$ S$",
    )
)
# units after a number that cannot be part of a code, as the letter in 12B may be
UNITS = CURRENCIES | frozenset(
    re.findall(
        r"\S+",
        "% \u2030 kg g mg lb lbs oz km m cm mm mi ft km/h kmh kph mph m/s knots kmpl km/l km/kg mpg cc CC bhp hp PS kW "
        "MW W kWh MWh V mV kV A mA \u00b0C \u00b0F \u00b0 Pa hPa kPa bar psi l ml dl L mL h hr hrs hours min mins "
        "minutes s sec ms days years yrs year months weeks rpm Nm Hz kHz MHz GHz GB MB KB TB dB px pcs m2 m3 m\u00b2 "
        "m\u00b3 ppm ppb mg/dL mmHg bpm",
    )
)
LONGEST_UNIT = 12
CURRENCY = r"^\p{Sc}$"  # a sign of one, as polars tells it
UNIT = r"^[^\d\s@#_]+( [^\d\s@#_]+)?[23]?$"
IN_THREES = re.compile(r"(^|[^0-9])[1-9][0-9]{0,2},[0-9]{3}($|[^0-9])")
LIMIT = r"^(?:[<>\u2264\u2265~\u2248]=?|(?i:ca\.?|approx\.?|about|over|under|below|above))\s*[0-9]|^[0-9.,]+\s*\+$"
RANGE = r"^[0-9.,]+\s*(?:[-\u2013]|to)\s*[0-9.,]+$"
INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"
# numbers that are not read as such, and what they are
UNREAD = {
    r"^[+-]?0[xX][0-9a-fA-F]+$": "is hexadecimal",
    r"^[+-]?[0-9]*\.?[0-9]+[dD][+-]?[0-9]+$": "has exponents with a D, as Fortran writes them,",
    r"^[+-]?\p{Nd}+([.,\u066b]\p{Nd}+)?$": "has digits of another script",
    r"^[0-9]+ ?/ ?[0-9]+$|^[0-9]+ [0-9]+/[0-9]+$": "is a fraction, or two numbers in a cell,",
    r"^'.*'$": "has single quotes, which belong to the cell,",
    r'^="?[^"]*"?$': "has formulas, as Excel keeps texts,",
    rf"[{INVISIBLE}]": "has invisible characters",
}
INFINITE = r"(?i)^[+\u2212-]?(inf(inity)?|∞|1\.#inf)$"
SENTINEL = re.compile(r"-?9{2,}(\.0+)?|-[0-9]+(\.0+)?")
FEWEST_SENTINELS = 3


def nearly_a_number(known: pl.Series, rows: int, delimiter: str, *, decimal_commas: bool = False) -> Offer | None:
    """How to read these cells (stripped, none of them missing); None if they are plain numbers, or not numbers.

    Args:
        rows: of the file, for the words.
        delimiter: if it is a comma, a comma in a cell separates thousands; otherwise it may be the decimal mark.
        decimal_commas: other columns of the file have them.
    """
    finite = known.filter(~infinite(known))
    if finite.is_empty() or names_things(finite):
        return None
    spelling, fits = _best(finite, delimiter)
    others = pl.concat([finite.filter(~fits), known.filter(infinite(known))])
    if not fits.sum() or (spelling.is_plain and others.is_empty()):
        return None
    limits = bool((others.str.contains(LIMIT) | others.str.contains(RANGE)).all())
    words = words_among(others) or (_few(others), False) if limits else words_among(others)
    share = int(fits.sum()) / len(known)
    if share < (LEAST_SHARE if words else MOSTLY) or (words and finite.filter(fits).n_unique() < 2):
        return None
    nulls, usual = words or ([], False)
    column = Column(
        kind=NUMBER,
        decimal=spelling.decimal,  # type: ignore[arg-type] # one of MARKS
        thousands=spelling.thousands,  # type: ignore[arg-type]
        unit=spelling.unit,
        null_words=nulls,
    )
    said = f"{known.name} is a number"
    if not spelling.is_plain:
        unusual = finite.filter(fits & finite.cast(pl.Float64, strict=False).is_null())
        said += f" spelled in its own way in {counted(len(unusual), rows)} ({quoted(unusual)})"
    if len(others):
        said += f"{' and' if not spelling.is_plain else ''} but for {counted(len(others), rows)} ({quoted(others)})"
    if len(others) and limits:
        said += ", a limit or a range rather than a value"
    if not nulls and len(others) > TOLERATED * rows:  # too many rows would be rejected
        return Offer(known.name, said)
    doubtful = spelling.unit is not None and not (_is_currency(spelling.unit) or spelling.unit in UNITS)
    doubtful |= spelling.thousands == "_" or _may_be_either(finite, spelling, delimiter, decimal_commas)
    return Offer(known.name, said, column, usual and not doubtful)


def infinite(cells: pl.Series) -> pl.Series:
    """Which cells, stripped or not, are infinite, or a number that is too large."""
    cells = cells.str.strip_chars()
    return cells.str.contains(INFINITE) | cells.cast(pl.Float64, strict=False).is_infinite().fill_null(value=False)


def _few(others: pl.Series) -> list[str]:
    different = others.unique(maintain_order=True).to_list()
    return different if len(different) <= MOST_WORDS else []


def unread(known: pl.Series, rows: int) -> Offer | None:
    """Numbers in another notation, which no declaration can read."""
    for pattern, what in UNREAD.items():
        found = known.filter(known.str.contains(pattern) & known.cast(pl.Float64, strict=False).is_null())
        if len(found) > LEAST_SHARE * len(known):
            return Offer(known.name, f"{known.name} {what} in {counted(len(found), rows)} ({quoted(found)})")
    return None


def differently_united(known: pl.Series, rows: int) -> str | None:
    """A note if numbers have several units, which no declaration can convert."""
    units = _units(known).value_counts(sort=True)
    if len(units) < 2 or len(units) > 20 or units["count"].sum() < NEARLY_ALL * len(known):
        return None
    several = known.filter(_units_of(known).is_in(units["unit"].head(2).to_list())).unique(maintain_order=True)
    return (
        f"{known.name} has numbers with {len(units)} different units in {counted(len(known), rows)} "
        f"({quoted(several)}): a column must have one unit. Convert them at the source, or it stays a text"
    )


def sentinels(known: pl.Series, rows: int, suspected: frozenset[str] = frozenset()) -> Offer | None:
    """A number that means missing: repeated, at an extreme, far from all others; or one in ``suspected``."""
    numbers = known.cast(pl.Float64, strict=False)
    for value in (numbers.min(), numbers.max()):
        if not isinstance(value, float) or abs(value) == float("inf"):
            continue
        at_end, rest = known.filter(numbers == value), numbers.filter(numbers != value)
        spelled = at_end.unique(maintain_order=True).to_list()
        if len(at_end) < FEWEST_SENTINELS or rest.len() < FEWEST_SENTINELS or not SENTINEL.fullmatch(spelled[0]):
            continue
        low, high = float(rest.min()), float(rest.max())  # type: ignore[arg-type] # numbers
        is_nines = set(spelled[0].split(".")[0].lstrip("-")) == {"9"}
        far = min(abs(value - low), abs(value - high)) > (high - low)
        if (far and (is_nines or low >= 0)) or (spelled[0] in suspected and value < 0 <= low):
            column = Column(kind=NUMBER, null_words=spelled)
            said = f"{known.name} is {spelled[0]} in {counted(len(at_end), rows)}, all others from {low:g} to {high:g}"
            return Offer(known.name, said, column, is_sure=False)
    return None


def thousands_after_all(known: pl.Series, rows: int) -> Offer | None:
    """If other columns have decimal commas, 1.234 may be a thousand and more."""
    dotted = known.filter(known.str.contains(r"\."))
    grouped = known.str.contains(r"^[+-]?[0-9]{1,3}(\.[0-9]{3})*$")
    if dotted.is_empty() or not grouped.all():
        return None
    column = Column(kind=NUMBER, decimal=",", thousands=".")
    said = f"{known.name} has dots before three digits in {counted(len(dotted), rows)} ({quoted(dotted)})"
    return Offer(
        known.name, f"{said}, and other columns have decimal commas", column, _are_groups(known, column.spelling)
    )


def _best(known: pl.Series, delimiter: str) -> tuple[Spelling, pl.Series]:
    """The simplest spelling that fits the most cells, and which cells it fits."""
    best, found = PLAIN, pl.Series([], dtype=pl.Boolean)
    most = -1
    for spelling in _spellings(known, delimiter):
        text = known.to_frame().select(plain(pl.col(known.name), spelling).cast(pl.Float64, strict=False)).to_series()
        fits = text.is_not_null() & text.is_not_nan()
        if (count := int(fits.sum())) > most:
            best, found, most = spelling, fits, count
    return best, found


def _spellings(known: pl.Series, delimiter: str) -> Iterator[Spelling]:
    units = _units(known).value_counts(sort=True)["unit"].head(2).to_list()
    marks = MARKS if delimiter in ",\t" else (MARKS[0], MARKS[2], MARKS[3], MARKS[1], *MARKS[4:])
    for unit in [None, *units]:
        for decimal, thousands in marks:
            yield Spelling(decimal, thousands, unit)


def _units_of(known: pl.Series) -> pl.Series:
    """The unit beside each number (before it only a currency: Q1 is a name). Null for plain numbers and non-numbers."""
    cell = pl.col("cell")
    before, after = (cell.str.extract(pattern).str.strip_chars() for pattern in (BEFORE, AFTER))
    is_currency = before.str.contains(CURRENCY) | before.is_in(list(CURRENCIES))
    is_unit = (after.str.len_chars() <= LONGEST_UNIT) & after.str.contains(UNIT)
    unit = pl.coalesce(pl.when(is_currency).then(before), pl.when(before.is_null() & is_unit).then(after))
    united = pl.when(cell.cast(pl.Float64, strict=False).is_null()).then(unit).alias("unit")
    return known.to_frame("cell").select(united).to_series()


def _is_currency(unit: str) -> bool:
    return unit in CURRENCIES or unicodedata.category(unit[0]) == "Sc"


def _units(known: pl.Series) -> pl.Series:
    return _units_of(known).drop_nulls()


def _may_be_either(known: pl.Series, spelling: Spelling, delimiter: str, decimal_commas: bool) -> bool:
    """Is 1,234 a thousand and more, or one and a bit? If commas separate cells, decimal commas are not expected, unless
    other columns have them."""
    if "," not in (spelling.decimal, spelling.thousands):
        return False
    if decimal_commas:
        return spelling.thousands == "," and not _are_groups(known, spelling)
    if delimiter in ",\t":
        return False
    commas = known.filter(known.str.contains(",", literal=True)).unique().to_list()
    return bool(commas) and all(IN_THREES.search(cell) for cell in commas)


def _are_groups(known: pl.Series, spelling: Spelling) -> bool:
    """Whether what looks like groups of three digits can be nothing else: some cells have two groups, decimals too, or
    no separator, which numbers with three decimals would have."""
    gap, mark = re.escape(spelling.thousands or ""), re.escape(spelling.decimal)
    return bool(known.str.contains(rf"{gap}.*{gap}|{mark}|^[^{gap}]*[1-9][^{gap}]*$").any())
