"""A cell means the same in a raw file, in a request and in new models' data."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.models.config import Column
from include.models.config.kinds import KINDS, NUMBER, STRING, Kind, is_missing, kind_of
from include.models.raw.kinds import READINGS, feature_kind, reading_of

NUMBERS = reading_of(NUMBER)


def in_a_file(text: str) -> float | str | None:
    """Validation's reading of a number's cell: its value, None, or the check that it fails."""
    texts = pl.Series("x", [text])
    column = Column(kind=NUMBER)
    values = texts.to_frame().select(NUMBERS.parse(pl.col("x"), column)).to_series()
    failed = [one.check for one in NUMBERS.misread(texts, values, column) if one.wrong.any()]
    return failed[0] if failed else values[0]


def in_a_request(text: str) -> float | str | None:
    try:
        value = NUMBERS.cell(text, Column(kind=NUMBER))
    except ValueError as error:
        return "values_are_finite" if "finite" in str(error) else "values_are_readable"
    assert not isinstance(value, str)
    return value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *((text, None) for text in ("", " ", "N/A", "n/a", "NA", "NaN", "null", "None", " nan ")),
        *(
            (text, "values_are_readable")
            for text in ("1_000", "١٢", "１２", "0x1F", "1,5", "True", "-nan", "+ 1", "1e")
        ),
        *((text, "values_are_finite") for text in ("inf", "-Infinity", "1e400")),
        *((text, 1.0) for text in ("1", " 1 ", "1.", "+1.0", "1e0", "\u20031")),
    ],
)
def test_a_number_has_one_meaning(text: str, meaning: object) -> None:
    assert in_a_file(text) == meaning
    assert in_a_request(text) == meaning


@given(st.text("0123456789.+-eEinfatyNA/_ x\u00a0\u0661\x1f", max_size=8) | st.floats().map(repr))
def test_a_file_and_a_request_agree_on_any_spelling(text: str) -> None:
    file, request = in_a_file(text), in_a_request(text)
    assert file == request or (isinstance(file, float) and isinstance(request, float) and math.isnan(file - request))


def test_a_text_is_missing_only_where_it_is_empty() -> None:
    texts = reading_of(STRING)
    column = Column(kind=STRING)
    assert [texts.cell(value, column) for value in ("", None, "NA", " ", " a b ")] == [None, None, "NA", None, "a b"]
    read = pl.DataFrame({"x": ["", "NA", " ", " a b "]}).select(texts.parse(pl.col("x"), column))
    assert read.to_series().to_list() == [None, "NA", None, "a b"]
    assert is_missing("NA")


def test_every_kind_has_both_halves() -> None:
    assert READINGS.keys() == KINDS.keys()
    for name, reading in READINGS.items():
        assert reading.kind is kind_of(name)


@pytest.mark.parametrize(
    ("dtype", "kind"), [(pl.Float64(), NUMBER), (pl.Int64(), NUMBER), (pl.Boolean(), NUMBER), (pl.String(), STRING)]
)
def test_features_are_numbers_or_text(dtype: pl.DataType, kind: Kind) -> None:
    assert feature_kind(dtype) is kind
