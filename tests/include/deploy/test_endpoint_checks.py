"""The test of an endpoint, against endpoints that are right, wrong, lenient, failing, slow or missing."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.deploy.endpoint_checks import (
    MB,
    MOST_FAILURES,
    GoldenRequestsError,
    Thresholds,
    _bad_requests,
    _quantile,
    _same,
    _too_slow,
    check_endpoint,
    columns_of,
    is_being_changed,
    load_golden_requests,
    probe_endpoint,
)
from include.platform.run_folders import Run
from include.platform.storage import split_uri
from tests.include.local_aws import LocalS3

COLUMNS = ["volt", "site", "age"]
GOLDEN = [
    {
        "features": {"volt": volt, "site": "a,b", "age": age},
        "expected": {"label": "ok", "probabilities": {"ok": volt / 10, "broken": 1 - volt / 10}},
    }
    for volt, age in ((1.5, None), (2.5, 7))
]
VALUES = [{**entry, "expected": {"value": entry["features"]["volt"]}} for entry in GOLDEN]  # type: ignore[index]
FAST = Thresholds(p50_ms=30_000, p99_ms=60_000, requests=10)


def model_error(status: int, message: str) -> ClientError:
    error = {
        "Error": {"Code": "ModelError", "Message": f"Received an error ({status}) from primary"},
        "OriginalStatusCode": status,
        "OriginalMessage": message,
        "ResponseMetadata": {"HTTPStatusCode": 424},
    }
    return ClientError(error, "InvokeEndpoint")  # type: ignore[arg-type]


def api_error(code: str, status: int = 400) -> ClientError:
    response = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "InvokeEndpoint")  # type: ignore[arg-type]


@dataclass
class Endpoint:
    """Both clients of one endpoint; ``answer`` maps a request's rows to predictions."""

    answer: Callable[[list[dict[str, Any]]], Any]
    refuse: Callable[[str], None] = lambda _: None
    status: str = "InService"
    config: str = "pumps-1"
    shadows: list[Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        if self.status == "absent":
            raise api_error("ValidationException")
        return {
            "EndpointStatus": self.status,
            "EndpointConfigName": self.config,
            "ShadowProductionVariants": self.shadows,
            "FailureReason": "did not pass the ping health check",
        }

    def invoke_endpoint(self, **request: str) -> dict[str, Any]:
        assert (request["EndpointName"], request["Accept"]) == ("pumps", "application/json")
        self.asked.append(request["ContentType"])
        body = request["Body"]
        self.refuse(body)
        if request["ContentType"] == "application/json":
            rows = [json.loads(body)]
        else:
            rows = [self.row(line) for line in body.splitlines()]
        return {"Body": io.BytesIO(json.dumps({"predictions": self.answer(rows)}).encode())}

    @staticmethod
    def row(line: str) -> dict[str, Any]:
        """Reads only the first column; ``refuse`` finds faults in a line."""
        volt, site, *_ = next(csv.reader([line]))
        assert site == "a,b"
        return {"volt": 1.5 if volt == "not-a-number" else float(volt)}


def strict(body: str) -> None:
    """Refuses every invalid request."""
    if len(body) > 6 * 1024 * 1024:
        raise api_error("ValidationError")
    if not body.startswith("{") and (not body or body.count(",") != 3 * body.count("\n") or "not-a-number" in body):
        raise model_error(400, "line 1 is wrong")


def classify(rows: list[dict[str, Any]]) -> Any:
    return [
        {"label": "ok", "probabilities": {"ok": row["volt"] / 10 + 1e-9, "broken": 1 - row["volt"] / 10}}
        for row in rows
    ]


def check(endpoint: Endpoint, golden: Any = GOLDEN, thresholds: Thresholds = FAST, quote: bool = True) -> Any:
    return check_endpoint(
        endpoint, endpoint, "pumps", golden=golden, columns=COLUMNS, thresholds=thresholds, quote=quote
    )


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (api_error("ValidationError"), True),
        (api_error("413", 413), True),  # from a gateway, which sends a bare status
        (api_error("RequestEntityTooLargeException", 413), True),
        (model_error(422, "too long"), True),
        (model_error(500, "out of memory"), False),
        (api_error("ServiceUnavailable", 503), False),
    ],
)
@pytest.mark.parametrize("limit", [4, 6])  # serverless, and on instances
def test_a_request_above_the_limit_of_its_mode_may_be_refused_by_any_4xx(
    error: ClientError, passes: bool, limit: int
) -> None:
    sizes: list[int] = []

    def refuse(body: str) -> None:
        if len(body) > limit * MB:
            sizes.append(len(body))
            raise error
        strict(body)

    report = check(Endpoint(classify, refuse), thresholds=replace(FAST, largest_mb=limit))
    assert report["passed"] is passes, report
    assert [size // MB for size in sizes] == [limit]
    assert passes or f"more than {limit} MB" in report["failures"][0]


def test_a_permission_that_lacks_is_not_taken_for_a_refusal() -> None:
    def refuse(body: str) -> None:
        if len(body) > 6 * MB:
            raise api_error("AccessDeniedException", 403)
        strict(body)

    with pytest.raises(ClientError, match="AccessDenied"):
        check(Endpoint(classify, refuse))


def test_a_container_that_is_still_to_be_started_is_not_measured() -> None:
    """The first answers of a serverless endpoint take seconds; they are requested before the load test."""
    loaded: list[int] = []

    def answer(rows: list[dict[str, Any]]) -> Any:
        if len(rows) == 1:  # two golden requests, then one row each for the warm-up and the load test
            loaded.append(1)
            time.sleep(0.1 if 2 < len(loaded) <= 6 else 0)
        return classify(rows)

    slow = Thresholds(p50_ms=60, p99_ms=60, requests=10, clients=2)
    assert not check(Endpoint(answer, strict), thresholds=slow)["passed"]
    loaded.clear()
    assert check(Endpoint(answer, strict), thresholds=replace(slow, warm_up=10))["passed"]


def test_values_are_not_quoted_where_they_are_not_to_be() -> None:
    def wrong(rows: list[dict[str, Any]]) -> Any:
        return [{"label": f"secret {row['volt']}"} for row in rows]

    def refuse(body: str) -> None:
        if body.startswith("2.5"):
            raise model_error(500, f"cannot read {body}")

    for report in (check(Endpoint(wrong), quote=False), check(Endpoint(classify, refuse), quote=False)):
        assert not report["passed"]
        said = json.dumps(report)
        assert "not shown: see quote_values" in said
        assert not [value for value in ("secret", "2.5", "a,b") if value in said], said
    assert "secret" in json.dumps(check(Endpoint(wrong)))


def test_a_good_endpoint_passes_and_its_report_is_small() -> None:
    endpoint = Endpoint(classify, strict)
    report = check(endpoint)
    assert report["passed"], report
    assert report["golden_ok"]
    assert report["failures"] == []
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert "answers 2 golden requests as trained" in report["summary"]
    assert len(json.dumps(report)) < 1000
    assert len(endpoint.asked) == 2 + 1 + 5 + 10


def test_a_regression_answers_a_value() -> None:
    assert check(Endpoint(lambda rows: [{"value": row["volt"]} for row in rows], strict), VALUES)["passed"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda rows: [{"value": row["volt"] + 1e-4} for row in rows],
            'expected {"value": 1.5}, got {"value": 1.5001}',
        ),
        (lambda rows: [{"value": str(row["volt"])} for row in rows], 'expected {"value": 1.5}, got {"value": "1.5"}'),
        (lambda rows: [{"value": None} for row in rows], 'got {"value": null}'),
        (lambda rows: [{"value": True} for row in rows], 'got {"value": true}'),
        (lambda rows: [{"prediction": row["volt"]} for row in rows], 'got {"prediction": 1.5}'),
        (lambda rows: [], "expected 1 answers, got []"),
        (lambda rows: "nonsense", "expected 1 answers, got nonsense"),
        (lambda rows: [{"value": row["volt"]} for row in reversed(rows)], "golden request as text/csv"),
    ],
)
def test_wrong_answers_are_shown_beside_what_was_expected(answer: Any, said: str) -> None:
    report = check(Endpoint(answer, strict), VALUES)
    assert not report["passed"]
    assert not report["golden_ok"]
    assert said in report["failures"][0]
    assert "/aws/sagemaker/Endpoints/pumps" in report["summary"]


def test_bad_requests_that_are_answered_fail_the_test() -> None:
    report = check(Endpoint(classify))
    assert report["golden_ok"]
    assert not report["passed"]
    kinds = ("nothing", "a column too few", "a column too many", "more than 6 MB", "text in the number volt")
    assert len(report["failures"]) == len(kinds)
    for kind, failure in zip(kinds, report["failures"], strict=True):
        assert failure.startswith(f"bad request ({kind}: ")
        assert "expected a 4xx, got the answer [" in failure
    assert sum(map(len, report["failures"])) < 5000


def test_a_bad_request_that_breaks_the_model_is_not_a_refusal() -> None:
    def refuse(body: str) -> None:
        if "not-a-number" in body:
            raise model_error(500, "could not convert string to float")
        strict(body)

    report = check(Endpoint(classify, refuse))
    assert not report["passed"]
    assert report["golden_ok"]
    assert report["failures"] == [
        'bad request (text in the number volt: not-a-number,"a,b",\n): expected a 4xx, got HTTP 500: '
        "could not convert string to float"
    ]


def test_the_load_counts_failures_and_measures_time() -> None:
    def answer(rows: list[dict[str, Any]]) -> Any:
        time.sleep(0.02)
        return classify(rows)

    report = check(Endpoint(answer, strict), thresholds=Thresholds(p50_ms=1, p99_ms=60_000, requests=10))
    assert report["p50_ms"] >= 20
    (failure,) = report["failures"]
    assert "p50 is" in failure
    assert "model.yaml allows 1 ms" in failure


def test_requests_that_fail_under_load_fail_the_test() -> None:
    asked: list[str] = []

    def refuse(body: str) -> None:
        strict(body)
        asked.append(body)
        if len(asked) > 3:
            raise model_error(503, "overloaded")

    report = check(Endpoint(classify, refuse))
    assert report["golden_ok"]
    assert report["p50_ms"] is None
    assert "of the load" in report["failures"][0]
    assert "HTTP 503: overloaded" in report["failures"][0]


@pytest.mark.parametrize("status", ["Failed", "Creating", "Updating", "absent"])
def test_an_endpoint_that_is_not_in_service_is_not_asked(status: str) -> None:
    endpoint = Endpoint(classify, status=status)
    report = check(endpoint)
    assert not report["passed"]
    assert endpoint.asked == []
    assert ("does not exist" if status == "absent" else f"is {status}, not InService") in report["failures"][0]


def test_what_is_not_a_fault_of_the_endpoint_is_raised() -> None:
    def refuse(_: str) -> None:
        raise api_error("AccessDeniedException", 403)

    with pytest.raises(ClientError, match="AccessDeniedException"):
        check(Endpoint(classify, refuse))
    with pytest.raises(GoldenRequestsError, match="no golden requests"):
        check(Endpoint(classify), golden=[])

    endpoint = Endpoint(classify)
    endpoint.describe_endpoint = lambda **_: refuse("")  # type: ignore[method-assign]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        check(endpoint)


@pytest.mark.parametrize(
    "code", ["InternalFailure", "ModelNotReadyException", "ServiceUnavailable", "ThrottlingException"]
)
def test_an_endpoint_that_is_too_busy_for_the_load_fails_the_test(code: str) -> None:
    def refuse(body: str) -> None:
        strict(body)
        if body.startswith("{"):
            raise api_error(code)

    report = check(Endpoint(classify, refuse))
    assert (report["passed"], report["golden_ok"], len(report["failures"])) == (False, False, 12)
    assert (report["wrong"], report["unanswered"]) == (0, 12)
    assert f"got HTTP 503: An error occurred ({code})" in report["failures"][-1]


@pytest.mark.parametrize(
    ("error", "wrong", "unanswered"),
    [
        (api_error("ThrottlingException"), 0, 1),
        (api_error("ServiceUnavailable", 503), 0, 1),
        (model_error(500, "out of memory"), 0, 1),
        (model_error(429, "too many requests"), 0, 1),
        (model_error(400, "unknown column"), 1, 0),
        (model_error(415, "unknown content type"), 1, 0),
    ],
)
def test_a_golden_request_without_an_answer_is_no_wrong_answer(error: ClientError, wrong: int, unanswered: int) -> None:
    failing = iter([error])

    def refuse(_: str) -> None:
        if one := next(failing, None):
            raise one

    report = probe(Endpoint(classify, refuse))
    assert (report["wrong"], report["unanswered"]) == (wrong, unanswered)
    assert (report["passed"], report["golden_ok"], len(report["failures"])) == (False, False, 1)


@pytest.mark.parametrize("status", ["Updating", "SystemUpdating", "RollingBack"])
def test_an_endpoint_that_is_being_changed_is_probed_as_it_serves(status: str) -> None:
    assert probe(Endpoint(classify, status=status))["passed"]


@pytest.mark.parametrize(
    ("about", "changes"),
    [
        ({}, False),
        ({"status": "absent"}, False),
        ({"status": "Failed"}, False),
        ({"status": "Updating"}, True),
        ({"status": "RollingBack"}, True),
        ({"config": "pumps-2"}, True),
        ({"config": "pumps-2-with-shadow", "shadows": [{"VariantName": "Shadow-2"}]}, False),
        ({"config": "pumps-2-with-shadow", "shadows": [{"VariantName": "Shadow-2"}], "status": "Updating"}, True),
    ],
)
def test_an_endpoint_may_be_on_its_way_to_another_version(about: dict[str, Any], changes: bool) -> None:
    endpoint: Any = Endpoint(classify, **about)
    assert is_being_changed(endpoint, "pumps", "pumps-1") is changes


def probe(endpoint: Endpoint, thresholds: Thresholds = FAST) -> Any:
    return probe_endpoint(endpoint, endpoint, "pumps", golden=GOLDEN, columns=COLUMNS, thresholds=thresholds)  # type: ignore[arg-type]


def test_a_probe_asks_golden_requests_and_a_little_load_and_nothing_that_is_wrong() -> None:
    endpoint = Endpoint(classify)
    assert probe(endpoint)["passed"]
    assert len(endpoint.asked) == 2 + 1 + 10
    wrong, absent = (
        probe(Endpoint(lambda rows: [{"label": "other"} for _ in rows])),
        probe(Endpoint(classify, status="absent")),
    )
    assert (wrong["passed"], wrong["golden_ok"]) == (absent["passed"], absent["golden_ok"]) == (False, False)
    slow = probe(endpoint, replace(FAST, p50_ms=1e-6))
    assert (slow["passed"], slow["golden_ok"]) == (False, True)


def test_many_failures_are_counted_and_the_first_shown() -> None:
    report = check(Endpoint(lambda rows: [], strict), thresholds=replace(FAST, requests=1), golden=GOLDEN * 20)
    assert len(report["failures"]) == MOST_FAILURES
    assert "and 40 more. Its log" in report["summary"]  # 40 single ones, and one with all


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'"predictions"'])
def test_an_answer_without_predictions_is_shown(content: bytes) -> None:
    endpoint = Endpoint(classify)
    endpoint.invoke_endpoint = lambda **_: {"Body": io.BytesIO(content)}  # type: ignore[method-assign]
    assert f"got HTTP 200: no predictions in {content!r}" in check(endpoint)["failures"][0]


def test_bad_requests_of_a_model_with_one_column_or_no_number() -> None:
    bad = _bad_requests({"site": "x"}, ["site"], 1)
    assert list(bad) == ["nothing", "a column too few", "a column too many", "more than 1 MB"]
    assert (bad["a column too few"], bad["a column too many"]) == ("x,1,1\n", "x,1\n")
    assert MB < len(bad["more than 1 MB"]) <= MB + 2
    named = _bad_requests({"site": "x", "volt": 1, "age": 2}, ["site", "age", "volt"], 1)
    assert (named["a column too few"], named["text in the number age"]) == ("x,2\n", "x,not-a-number,1\n")


def test_a_quantile_is_a_measured_value_and_a_limit_may_be_reached() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [_quantile(values, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert _quantile([7.0], 0.5) == _quantile([7.0], 0.99) == 7.0
    assert list(_too_slow(values, Thresholds(p50_ms=50, p99_ms=99))) == []
    assert [one.partition(" ms")[0] for one in _too_slow(values, Thresholds(p50_ms=49, p99_ms=98))] == [
        "p50 is 50.0",
        "p99 is 99.0",
    ]
    assert list(_too_slow([], Thresholds(p50_ms=0, p99_ms=0))) == []


GOLDEN_URI = Run("bucket", "train_pumps", "r").golden_requests


def test_golden_requests_are_read_with_their_columns_in_order(s3: LocalS3) -> None:
    s3.objects[split_uri(GOLDEN_URI)[1]] = json.dumps(GOLDEN).encode()
    found = load_golden_requests(s3, GOLDEN_URI)  # type: ignore[arg-type]
    assert found == GOLDEN
    assert columns_of(found) == COLUMNS


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'[{"features": {}}]'])
def test_golden_requests_that_are_of_no_use_say_where_they_come_from(s3: LocalS3, content: bytes | None) -> None:
    if content is not None:
        s3.objects[split_uri(GOLDEN_URI)[1]] = content
    with pytest.raises(GoldenRequestsError, match=r"golden_requests\.json.*evaluate_model"):
        load_golden_requests(s3, GOLDEN_URI)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "answer", "same"),
    [
        (1.0, 1.0 + 1e-9, True),
        (1.0, 1.01, False),
        (1, "1", False),
        (1, True, False),
        (True, True, True),
        (0, False, False),
        ("a", "a", True),
        ("a", "b", False),
        (None, None, True),
        ([1, 2], [1, 2], True),
        ([1, 2], [1, 3], False),
        ([1, 2], [1], False),
        ([1], [1, 2], False),
        ([], {}, False),
        ([1], 1, False),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({}, [], False),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, False),
    ],
)
def test_an_answer_is_that_of_the_test_or_is_not(expected: object, answer: object, same: bool) -> None:
    """Shape, kind and value at every depth decide whether an endpoint answers as trained."""
    assert _same(expected, answer) is same
