"""Requests in three formats to rows, answers back, and what is refused with which words."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.payload import CSV, JSON, JSONLINES, BadRequestError, Columns, answers, parse, render

COLUMNS = Columns(["volt", "rotate", "age"], frozenset({"machineID", "failure"}))
VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
ROWS = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=5)


def rows(body: str, media_type: str) -> list[tuple[float | None, ...]]:
    frame = parse(body.encode(), media_type, COLUMNS)
    assert frame.columns == COLUMNS.features
    assert set(frame.dtypes) == {pl.Float64}
    return frame.rows()


@given(given_rows=ROWS, header=st.booleans(), ending=st.sampled_from(["\n", "\r\n"]))
def test_csv_comes_back_bit_for_bit(given_rows: list[tuple[float | None, ...]], header: bool, ending: str) -> None:
    lines = [",".join("" if value is None else repr(value) for value in row) for row in given_rows]
    body = ending.join(["volt,rotate,age"] * header + lines) + ending
    assert rows(body, CSV) == given_rows


@given(given_rows=ROWS, named=st.booleans())
def test_json_and_json_lines_come_back_bit_for_bit(given_rows: list[tuple[float | None, ...]], named: bool) -> None:
    sent = [dict(zip(COLUMNS.features, row, strict=True)) if named else list(row) for row in given_rows]
    assert rows(json.dumps({"instances": sent}), JSON) == given_rows
    assert rows(json.dumps(sent), JSON) == given_rows
    assert rows("\n".join(map(json.dumps, sent)), JSONLINES) == given_rows


def test_named_columns_are_aligned_and_keys_are_ignored() -> None:
    assert rows("age,machineID,volt,rotate,failure\n3,7,1,2,none\n", CSV) == [(1.0, 2.0, 3.0)]
    assert rows('{"age": 3, "rotate": 2, "volt": 1, "machineID": 7}', JSON) == [(1.0, 2.0, 3.0)]


def test_a_byte_order_mark_and_missing_values_are_accepted() -> None:
    assert rows("\ufeffvolt,rotate,age\n1,,NaN\n", CSV) == [(1.0, None, None)]
    assert rows("1,null,2\n", CSV) == [(1.0, None, 2.0)]
    assert rows('{"volt": 1, "rotate": null, "age": NaN}', JSON) == [(1.0, None, None)]


@pytest.mark.parametrize(
    ("body", "media_type", "message"),
    [
        ("", CSV, "the request holds no rows"),
        ("volt,rotate,age\n", CSV, "the request holds no rows"),
        ("1,2\n", CSV, "line 1 has 2 values instead of 3: column 'age' and those after it are missing"),
        (
            "1,2,3\n1,2,3,4\n",
            CSV,
            "line 2 has 4 values instead of 3: what comes after the last column 'age' is unknown",
        ),
        ("1,2,3\n\n1,2,3\n", CSV, "line 2 has 0 values"),
        ("volt,rotate\n1,2\n", CSV, "the header lacks the column 'age'"),
        ("vlot,rotate,age\n1,2,3\n", CSV, "the header lacks the column 'volt'"),
        ("volt,rotate,age,colour\n1,2,3,4\n", CSV, "the header has the unknown column 'colour'"),
        ("volt,volt,rotate,age\n1,2,3,4\n", CSV, "column 'volt' is named twice"),
        ("1,2,3\n1,abc,3\n", CSV, "row 2, column 'rotate': 'abc' is no number"),
        ("1,inf,3\n", CSV, "row 1, column 'rotate': 'inf' is not finite"),
        ("1,1e999,3\n", CSV, "row 1, column 'rotate': '1e999' is not finite"),
        ("{", JSON, "the request is no JSON"),
        ("7", JSON, "expected"),
        ("[]", JSON, "the request holds no rows"),
        ('{"instances": [7]}', JSON, "row 1 is 7; a row is an object"),
        ('[{"volt": 1, "rotate": 2}]', JSON, "row 1 lacks the column 'age'"),
        ('[{"volt": "1", "rotate": "x", "age": 1}]', JSON, "row 1, column 'rotate': 'x' is no number"),
        ("[[1, true, 3]]", JSON, "row 1, column 'rotate': True is no number"),
        ("[[1, 2, 3], [1, [2], 3]]", JSON, r"row 2, column 'rotate': \[2\] is no number"),
        (f"[[1, 1{'0' * 400}, 3]]", JSON, "row 1, column 'rotate': 1.* is not finite"),
        ("[" * 100_000, JSON, "the request is no JSON"),
        ("[1, 2, 3]\n[1,", JSONLINES, "line 2 is no JSON"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_row_and_column(body: str, media_type: str, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        rows(body, media_type)


def test_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(BadRequestError, match="no UTF-8 text"):
        parse("1,2,ü".encode("latin-1"), CSV, COLUMNS)


@given(st.binary(max_size=200), st.sampled_from([CSV, JSON, JSONLINES]))
def test_any_bytes_are_rows_or_a_refusal(body: bytes, media_type: str) -> None:
    with contextlib.suppress(BadRequestError):
        assert len(parse(body, media_type, COLUMNS)) > 0


def test_answers_in_the_three_formats() -> None:
    found = answers(np.array([[0.75, 0.25], [0.125, 0.875]]), ["none", "comp1"])
    assert render(found, CSV) == "none,0.75,0.25\ncomp1,0.125,0.875\n"
    assert json.loads(render(found, JSON))["predictions"][1]["label"] == "comp1"
    assert [json.loads(line) for line in render(found, JSONLINES).splitlines()] == found
    assert render(answers(np.array([1.5, 2.0]), []), CSV) == "1.5\n2.0\n"
