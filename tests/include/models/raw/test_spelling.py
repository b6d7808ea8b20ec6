"""Number formats of countries, currencies and accountants give the same value in a file and in a request."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from include.models.config import Column
from include.models.config.kinds import INTEGER, NUMBER
from include.models.raw.kinds import reading_of


def in_a_file(text: str, column: Column) -> object:
    """The value; None if it is missing, or if the row is set aside for it, as with infinity."""
    texts, reading = pl.Series("x", [text]), reading_of(column.kind)
    values = pl.select(reading.parse(pl.lit(texts), column)).to_series()
    aside = any(misread.wrong.any() for misread in reading.misread(texts, values, column))
    return None if aside else values.item()


def in_a_request(text: str, column: Column) -> object:
    try:
        return reading_of(NUMBER).cell(text, column)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "declared", "value"),
    [
        ("1,234", {"thousands": ","}, 1234.0),
        ("6,57,000", {"thousands": ","}, 657000.0),
        ("1,2", {"thousands": ","}, None),
        ("0,110", {"thousands": ","}, None),
        ("1.234,5", {"decimal": ",", "thousands": "."}, 1234.5),
        ("1234,5", {"decimal": ",", "thousands": "."}, 1234.5),
        ("1.5", {"decimal": ",", "thousands": "."}, None),
        ("1 234,5", {"decimal": ",", "thousands": " "}, 1234.5),
        ("1\u202f234", {"thousands": " "}, 1234.0),
        ("1'234.50", {"thousands": "'"}, 1234.5),
        ("1’234", {"thousands": "'"}, 1234.0),
        ("£19.86", {"unit": "£"}, 19.86),
        ("-£5", {"unit": "£"}, -5.0),
        ("19,86 €", {"unit": "€", "decimal": ","}, 19.86),
        ("USD 1,000", {"unit": "USD", "thousands": ","}, 1000.0),
        ("54.1 %", {"unit": "%"}, 54.1),
        ("54.1", {"unit": "%"}, 54.1),
        ("54.1 kg", {"unit": "%"}, None),
        ("(1,234.50)", {"thousands": ","}, -1234.5),
        ("($5)", {"unit": "$"}, -5.0),
        ("5-", {"thousands": ","}, -5.0),
        ("−5", {"thousands": ","}, -5.0),
        ("1,5E+03", {"decimal": ","}, 1500.0),
        ("1e400", {}, None),
        ("-1e400", {"decimal": ","}, None),
        ("?", {"null_words": ["?"]}, None),
        (" -999 ", {"null_words": ["-999"]}, None),
        ("N.A.", {"null_words": ["n.a."], "unit": "%"}, None),
    ],
)
def test_what_is_declared_is_read(text: str, declared: dict[str, object], value: float | None) -> None:
    column = Column.model_validate({"kind": "number", **declared})
    assert in_a_file(text, column) == value
    assert in_a_request(text, column) == value
    whole = column.model_copy(update={"kind": INTEGER})
    assert in_a_file(text, whole) == (value if value is None or value.is_integer() else None)


@given(
    st.text("0123456789.,' ()-+−%e€\u202f", max_size=10),
    st.sampled_from([".", ","]),
    st.sampled_from([None, ",", ".", " ", "'"]),
    st.sampled_from([None, "%", "€"]),
)
def test_a_file_and_a_request_agree_on_any_spelling(
    text: str, decimal: str, thousands: str | None, unit: str | None
) -> None:
    if decimal != thousands:
        column = Column.model_validate({"kind": "number", "decimal": decimal, "thousands": thousands, "unit": unit})
        assert in_a_file(text, column) == in_a_request(text, column)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([None, ".", " ", "'"]))
def test_what_is_written_is_read_back_bit_for_bit(number: float, thousands: str | None) -> None:
    column = Column.model_validate({"kind": "number", "decimal": ",", "thousands": thousands, "unit": "€"})
    written = pl.DataFrame({"x": [number]}).select(reading_of(NUMBER).to_text(pl.col("x"), column)).item()
    assert in_a_request(written, column) == number
    assert in_a_file(written, column) == number


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"kind": "string", "decimal": ","}, "are for numbers"),
        ({"kind": "number", "decimal": ",", "thousands": ","}, "cannot be both"),
        ({"kind": "number", "unit": "5"}, "unit"),
        ({"kind": "number", "multiline": True}, "multiline is for texts"),
    ],
)
def test_what_cannot_be_declared(declared: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Column.model_validate(declared)
