"""Requests in three formats are parsed into rows, answers are rendered, and refusals say why."""

from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.jobs.serving import payload
from include.jobs.serving.payload import CSV, JSON, JSONLINES, BadRequestError, Columns, answers, parse, render
from include.models.config.kinds import STRING
from include.models.quoting import VARIABLE

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


CELLS = st.text("0123456789.+-eEinfaN_ #'", max_size=6) | st.floats().map(repr)
LINES = st.lists(st.lists(CELLS, min_size=2, max_size=4).map(",".join), min_size=1, max_size=4)


@given(lines=LINES, header=st.sampled_from([[], ["age,volt,rotate"], ["volt,machineID,age,rotate"]]), end=st.booleans())
def test_all_rows_at_once_are_what_they_are_one_by_one(lines: list[str], header: list[str], end: bool) -> None:
    text = "\n".join(header + lines) + "\n" * end
    names = header[0].split(",") if header else None
    at_once = payload._all_rows_at_once(text, names, COLUMNS)
    if at_once is not None:
        order = [(names or COLUMNS.features).index(name) for name in COLUMNS.features]
        assert at_once.rows() == [tuple(row) for row in payload._csv_rows(text, names, order, COLUMNS)]


@pytest.mark.parametrize("text", ["1,2,3\r\n,-0.5,1e-300\r\n", "age,failure,volt,rotate\n3,none,1,\n", "1,NA,nan"])
def test_plain_csv_is_read_at_once(text: str) -> None:
    names = text.splitlines()[0].split(",") if "age" in text else None
    assert payload._all_rows_at_once(text, names, COLUMNS) is not None


def test_a_large_request_is_read_at_once_and_its_one_bad_cell_is_still_named() -> None:
    numbers = np.random.default_rng(1).normal(0, 1e6, (5000, 3)).tolist()
    text = "".join(",".join(map(repr, row)) + "\n" for row in numbers)
    assert payload._all_rows_at_once(text, None, COLUMNS) is not None
    assert rows(text, CSV) == [tuple(row) for row in numbers]
    with pytest.raises(BadRequestError, match="row 5001, column 'age': 'old' is not a number"):
        rows(text + "1,2,old\n", CSV)


TEXTS = Columns(["volt", "site"], frozenset({"id"}), {"site": STRING})


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ("1,none\n,\nnan,NA\n", CSV),
        ('1,"none"\n,\nnan,NA\n', CSV),
        ("id,site,volt\n1,none,1\n2,,\n3,NA,nan\n", CSV),
        ('[[1, "none"], {"volt": null, "site": ""}, ["nan", "NA"]]', JSON),
    ],
)
def test_a_text_is_missing_only_where_it_is_empty(body: str, media_type: str) -> None:
    frame = parse(body.encode(), media_type, TEXTS)
    assert frame.schema == {"volt": pl.Float64, "site": pl.String}
    assert frame.rows() == [(1.0, "none"), (None, None), (None, "NA")]


CATEGORIES = Columns(["colour", "shape"], kinds={"colour": STRING, "shape": STRING})
MIXED = Columns(["colour", "weight"], frozenset({"id"}), {"colour": STRING})


@pytest.mark.parametrize(
    ("body", "columns", "expected"),
    [
        ("red,round\nblue,\n", CATEGORIES, [("red", "round"), ("blue", None)]),
        ("shape,colour\nround,red\n", CATEGORIES, [("red", "round")]),
        ("red,\nblue,2\n", MIXED, [("red", None), ("blue", 2.0)]),
        ("colour,weight\nred,\n", MIXED, [("red", None)]),
        ("id,colour,weight\n7,red,1\n", MIXED, [("red", 1.0)]),
    ],
)
def test_texts_alone_are_a_row_where_texts_belong(
    body: str, columns: Columns, expected: list[tuple[object, ...]]
) -> None:
    assert parse(body.encode(), CSV, columns).rows() == expected


def test_text_where_numbers_belong_is_a_header_that_is_wrong() -> None:
    with pytest.raises(BadRequestError, match="the header lacks the column 'colour'"):
        parse(b"color,waight\nred,1\n", CSV, MIXED)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"red,1_000\n", r"If line 1 is a row: row 1, column 'weight': '1_000' is not a number"),
        (b"red;2\n", r"has 1 value instead of 2: separate them by commas"),
        (b"a;b,c,d\n", r"If line 1 is a row: it has 3 values instead of 2"),
        (b"red,?\nblue,2\n", r"If line 1 is a row: row 1, column 'weight': '\?' is not a number"),
    ],
)
def test_what_may_be_a_row_is_refused_as_one_too(body: bytes, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        parse(body, CSV, MIXED)


def test_a_quote_that_never_ends_is_refused() -> None:
    with pytest.raises(BadRequestError, match="the request is not CSV: unexpected end of data"):
        parse(b'1,a\n2,"b\n3,c\n', CSV, TEXTS)


def test_lines_of_json_end_in_a_line_feed_alone() -> None:
    body = "\n".join(json.dumps({"volt": 1, "site": text}, ensure_ascii=False) for text in ("a\u2028b", "c\u0085d"))
    assert parse(body.encode(), JSONLINES, TEXTS)["site"].to_list() == ["a\u2028b", "c\u0085d"]


def test_texts_may_hold_commas_and_line_breaks() -> None:
    multiline = replace(TEXTS, multiline=True)
    assert parse(b'1,"a,b"\n2,"c\nd"\n', CSV, multiline)["site"].to_list() == ["a,b", "c\nd"]
    assert parse(b'[[2, "c\\nd"]]', JSON, TEXTS)["site"].to_list() == ["c\nd"]
    with pytest.raises(BadRequestError, match=r"row 1, column 'site': a line break within a cell. Look for a quote"):
        parse(b'1,"a\n2,b"\n3,c\n', CSV, TEXTS)  # two rows, one of them within the quotes
    with pytest.raises(BadRequestError, match="row 1, column 'site': 7 is not text"):
        parse(b"[[1, 7]]", JSON, TEXTS)


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
    for marks in ("\ufeff", "\ufeff\ufeff"):
        assert rows(f"{marks}volt,rotate,age\n1,,NaN\n", CSV) == [(1.0, None, None)]
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
        ("1" * 200_000, CSV, "the request is not CSV: field larger than"),
        ("1,2,3\n1,abc,3\n", CSV, "row 2, column 'rotate': 'abc' is not a number"),
        ("1,inf,3\n", CSV, "row 1, column 'rotate': 'inf' is not finite"),
        ("1,1e999,3\n", CSV, "row 1, column 'rotate': '1e999' is not finite"),
        ("{", JSON, "the request is not JSON"),
        ("7", JSON, "expected"),
        ("[]", JSON, "the request holds no rows"),
        ('{"instances": [7]}', JSON, "row 1 is 7; a row is an object"),
        ('[{"volt": 1, "rotate": 2}]', JSON, "row 1 lacks the column 'age'"),
        ('[{"volt": "1", "rotate": "x", "age": 1}]', JSON, "row 1, column 'rotate': 'x' is not a number"),
        ("[[1, true, 3]]", JSON, "row 1, column 'rotate': True is not a number"),
        ("[[1, 2, 3], [1, [2], 3]]", JSON, r"row 2, column 'rotate': \[2\] is not a number"),
        (f"[[1, 1{'0' * 400}, 3]]", JSON, "row 1, column 'rotate': 1.* is not finite"),
        ("[" * 100_000, JSON, "the request is not JSON"),
        ("[1, 2, 3]\n[1,", JSONLINES, "line 2 is not JSON"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_row_and_column(body: str, media_type: str, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        rows(body, media_type)


@pytest.mark.parametrize(
    ("body", "media_type", "said"),
    [
        ("1,2,Miller", CSV, "row 1, column"),
        ("Miller,Miller,Miller\n1,2,3", CSV, "is named twice"),
        ("Miller,volt,rotate,age\n1,2,3,4", CSV, "the header has the unknown column"),
        ('{"instances": ["Miller"]}', JSON, "row 1 is"),
        ('{"Miller": 1}', JSON, "row 1 lacks the column"),
        ('{"Miller": 1, "Miller": 2}', JSON, "is named twice"),
    ],
)
def test_a_refusal_quotes_no_value_where_none_may_be(
    body: str, media_type: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "no")
    with pytest.raises(BadRequestError, match=said) as refused:
        parse(body.encode(), media_type, COLUMNS)
    assert "Miller" not in str(refused.value)


def test_text_in_another_encoding_is_refused() -> None:
    with pytest.raises(BadRequestError, match="not UTF-8 text"):
        parse("1,2,ü".encode("latin-1"), CSV, COLUMNS)


@given(st.binary(max_size=200), st.sampled_from([CSV, JSON, JSONLINES]))
def test_any_bytes_are_rows_or_a_refusal(body: bytes, media_type: str) -> None:
    with contextlib.suppress(BadRequestError):
        assert len(parse(body, media_type, COLUMNS)) > 0


def test_answers_in_the_three_formats() -> None:
    found = answers(np.array([[0.75, 0.25], [0.125, 0.875]]), ["none", "comp1"])
    assert render(found, CSV) == "none,0.75,0.25\ncomp1,0.125,0.875\n"
    assert json.loads(render(found, JSON))["predictions"] == found.to_dicts()
    assert found.to_dicts()[1] == {"label": "comp1", "probabilities": {"none": 0.125, "comp1": 0.875}}
    assert [json.loads(line) for line in render(found, JSONLINES).splitlines()] == found.to_dicts()


def test_answers_of_a_regression_are_one_number_per_row_as_csv_and_have_intervals_where_there_are_some() -> None:
    assert render(answers(np.array([1.5, 2.0]), []), CSV) == "1.5\n2.0\n"
    with_intervals = answers(np.array([1.5, 2.0]), [], np.array([[1.0, 2.0], [0.0, 4.0]]))
    assert render(with_intervals, CSV) == "1.5\n2.0\n"
    assert json.loads(render(with_intervals, JSONLINES).splitlines()[1]) == {"value": 2.0, "interval": [0.0, 4.0]}


def test_classes_may_have_any_names() -> None:
    found = answers(np.array([[0.75, 0.25]]), ["label", 'a "b", c'])
    assert next(csv.reader([render(found, CSV)])) == ["label", "0.75", "0.25"]
    assert json.loads(render(found, JSONLINES))["probabilities"] == {"label": 0.75, 'a "b", c': 0.25}


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_answers_read_back_bit_for_bit(values: list[float]) -> None:
    found = answers(np.array(values), [])
    assert [float(line) for line in render(found, CSV).splitlines()] == values
    assert [answer["value"] for answer in json.loads(render(found, JSON))["predictions"]] == values
