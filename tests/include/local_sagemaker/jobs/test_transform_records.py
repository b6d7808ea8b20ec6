"""How batch transform cuts data into records and requests, filters and joins them."""

import json
from typing import Any

import pytest

from include.local_sagemaker.jobs.transform_records import BadRecordError, Path, Processing, batches, lines

RECORD = {"id": 7, "features": {"a": 1, "b": [10, 20, 30]}, "odd name": "x"}


@pytest.mark.parametrize("cut", range(1, 12))
def test_lines_do_not_depend_on_how_the_stream_is_cut(cut: int) -> None:
    data = b"one\r\ntwo\n\nthree"
    chunks = [data[i : i + cut] for i in range(0, len(data), cut)]
    assert list(lines(chunks)) == [b"one", b"two", b"three"]


def test_batches_fill_the_payload_in_order() -> None:
    records = [b"x" * 9] * 5  # ten bytes each, including the line end
    assert [len(batch) for batch in batches(records, 30, single=False)] == [3, 2]
    assert [len(batch) for batch in batches(records, 30, single=True)] == [1, 1, 1, 1, 1]
    assert [len(batch) for batch in batches(records, None, single=False)] == [5]
    with pytest.raises(BadRecordError, match="Too much data for max payload size"):
        list(batches([b"x" * 31], 30, single=False))


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("$", RECORD, RECORD),
        ("$.features", RECORD, RECORD["features"]),
        ("$.features.b[1]", RECORD, 20),
        ("$.features.b[-1]", RECORD, 30),
        ("$.features.b[0,-1]", RECORD, [10, 30]),
        ("$.features.b[1:]", RECORD, [20, 30]),
        ("$['id','odd name']", RECORD, {"id": 7, "odd name": "x"}),
        ("$.features['a']", RECORD, 1),
        ("$.features.*", RECORD, [1, [10, 20, 30]]),
        ("$[:2]", ["a", "b", "c"], ["a", "b"]),
        ("$[1:]", ["a", "b", "c"], ["b", "c"]),
        ("$[-2,-1]", ["a", "b", "c"], ["b", "c"]),
    ],
)
def test_json_paths(path: str, value: Any, found: Any) -> None:
    assert Path.parse(path).select(value) == found


@pytest.mark.parametrize("path", ["features", "$.", "$[", "$[?(@.a>1)]", "$..a"])
def test_paths_that_transform_does_not_know(path: str) -> None:
    with pytest.raises(BadRecordError):
        Path.parse(path)


def test_a_path_into_nothing_names_the_record() -> None:
    with pytest.raises(BadRecordError, match="'id'"):
        Path.parse("$.missing").select(RECORD)


def _processing(content_type: str, **processing: str) -> Processing:
    request = {
        "DataProcessing": processing,
        "TransformInput": {"ContentType": content_type},
        "TransformOutput": {"Accept": content_type},
    }
    return Processing.from_request(request)


def test_csv_join_appends_the_answers_columns() -> None:
    processing = _processing("text/csv", InputFilter="$[1:]", JoinSource="Input")
    assert processing.model_input(b'id1,"a,b",3') == b'"a,b",3'
    assert processing.output([b"id1,2,3", b"id2,4,5"], b"0.1,0.9\n0.2,0.8\n", split=True) == [
        b"id1,2,3,0.1,0.9",
        b"id2,4,5,0.2,0.8",
    ]


def test_csv_output_filter_after_the_join() -> None:
    processing = _processing("text/csv", JoinSource="Input", OutputFilter="$[0,-1]")
    assert processing.output([b"id1,2,3"], b"0.1,0.9\n", split=True) == [b"id1,0.9"]


def test_json_join() -> None:
    processing = _processing("application/jsonlines", JoinSource="Input", OutputFilter="$['id','SageMakerOutput']")
    outputs = processing.output([b'{"id":1,"x":2}'], b'{"label":"a"}\n', split=True)
    assert [json.loads(one) for one in outputs] == [{"id": 1, "SageMakerOutput": {"label": "a"}}]
    plain = _processing("application/jsonlines", JoinSource="Input")
    assert json.loads(plain.output([b"[1,2]"], b"3", split=True)[0]) == {"SageMakerInput": [1, 2], "SageMakerOutput": 3}


def test_join_refuses_another_number_of_records() -> None:
    processing = _processing("text/csv", JoinSource="Input")
    with pytest.raises(BadRecordError, match="mismatched line count between the input and the output"):
        processing.output([b"1", b"2"], b"only one\n", split=True)


def test_without_join_and_filter_the_answer_is_untouched() -> None:
    answer = b"\x00\xff any bytes \n"
    assert _processing("application/x-image").output([b"1"], answer, split=False) == [answer]
