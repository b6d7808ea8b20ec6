"""Whether an endpoint may take traffic: in service, right answers, bad requests rejected, fast enough.

Runs in an Airflow worker, with boto3 only. Training wrote what an endpoint must answer (``golden_requests.json``): rows
with their predictions. Nothing here changes the endpoint.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from include.models.config.results import Golden
from include.models.config.watching import GOLDEN_REQUEST
from include.platform.clients import error_code
from include.platform.errors import PermanentError
from include.platform.objects import read_json

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

CSV, JSON = "text/csv", "application/json"
TOLERANCE = 1e-6
MB = 1024 * 1024
# error codes that mean the endpoint cannot be asked at all, rather than that it rejects the request
NOT_ITS_ANSWER = ("AccessDenied", "AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException")
SHOWN = 200  # characters of requests and responses
MOST_FAILURES = 20

GoldenRequests = Sequence[Golden]
Row = Mapping[str, object]


class GoldenRequestsError(PermanentError):
    """A version's golden requests cannot be used; the message says where they are and what to do."""


@dataclass(frozen=True)
class Thresholds:
    """The latency limits of an endpoint, and the load under which they are measured.

    ``p50_ms`` and ``p99_ms``: milliseconds from request to answer at the caller, one row each. A serverless endpoint
    needs ``clients`` of at most its concurrency. ``largest_mb``: the largest request that it accepts. ``warm_up``: the
    number of unmeasured requests beforehand, as a container that has yet to start answers in seconds.
    """

    p50_ms: float
    p99_ms: float
    requests: int = 200
    clients: int = 2
    largest_mb: int = 6
    warm_up: int = 0


class Report(TypedDict):
    """What ``check_endpoint`` found; small enough to pass between tasks."""

    passed: bool
    summary: str
    p50_ms: float | None
    p99_ms: float | None
    golden_ok: bool
    failures: list[str]


class _RefusedError(Exception):
    """The endpoint's answer was an error; ``status`` is the model's, or the API's if no model was reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {_short(message)}")
        self.status = status


class _Endpoint:
    """One endpoint as its callers see it."""

    def __init__(self, runtime: SageMakerRuntimeClient, name: str, *, quote: bool = True) -> None:
        self.name = name
        self._runtime, self._quote = runtime, quote

    def shown(self, value: object) -> str:
        """A request or response, for people."""
        text = value if isinstance(value, str) else json.dumps(value)
        return _short(text) if self._quote else f"({len(text)} characters, not shown: see quote_values in model.yaml)"

    def ask(self, body: str | bytes, content_type: str) -> object:
        """The predictions, requested as JSON.

        Raises:
            _RefusedError: rejected by the model, or by the API.
            botocore.exceptions.BotoCoreError, ClientError: the endpoint cannot be asked at all.
        """
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self.name,
                Body=body,
                ContentType=content_type,
                Accept=JSON,
                CustomAttributes=GOLDEN_REQUEST,
            )
        except ClientError as error:
            code = error_code(error)
            if code == "ModelError":
                said: Mapping[str, object] = {**error.response}  # with members specific to this operation
                raise _RefusedError(
                    int(str(said["OriginalStatusCode"])), self.shown(said.get("OriginalMessage"))
                ) from error
            if code in ("InternalFailure", "ServiceUnavailable", "ThrottlingException"):  # the last has status 400
                raise _RefusedError(503, str(error)) from error
            # a gateway in front of SageMaker returns a bare status as the code, such as 413 for a body that is too
            # large
            status = int(code) if code.isdecimal() else error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code == "ValidationError" or (status and 400 <= status < 500 and code not in NOT_ITS_ANSWER):
                raise _RefusedError(status or 400, str(error)) from error
            raise
        content = answer["Body"].read()
        try:
            return json.loads(content)["predictions"]
        except (ValueError, KeyError, TypeError):
            raise _RefusedError(200, f"no predictions in {self.shown(repr(content))}") from None


def check_endpoint(
    runtime: SageMakerRuntimeClient,
    sagemaker: SageMakerClient,
    endpoint: str,
    *,
    golden: GoldenRequests,
    columns: Sequence[str],
    thresholds: Thresholds,
    quote: bool = True,
) -> Report:
    """Runs all checks that production requires of an endpoint; earlier failures do not hide later ones.

    Args:
        golden: ``[{"features": {column: value}, "expected": answer}]``, at least one.
        columns: the model's features in order; rows without names are in this order.
        quote: whether failures may show what was sent and answered: rows of the data.

    Raises:
        GoldenRequestsError: there are none.
        botocore.exceptions.BotoCoreError, ClientError: SageMaker cannot be asked (network, permissions).
    """
    if not golden:
        raise GoldenRequestsError(f"there are no golden requests to send to endpoint {endpoint}")
    if why_not := _why_not_in_service(sagemaker, endpoint):
        return _report(endpoint, [why_not], golden_ok=False, latencies=[], asked=len(golden), thresholds=thresholds)
    asked = _Endpoint(runtime, endpoint, quote=quote)
    wrong = list(_wrong_answers(asked, golden, columns))
    lenient = list(_bad_requests_not_refused(asked, golden[0]["features"], columns, thresholds.largest_mb))
    _warm_up(asked, golden, thresholds)
    latencies, failed = _load(asked, golden, thresholds)
    failures = [*wrong, *lenient, *failed, *_too_slow(latencies, thresholds)]
    return _report(
        endpoint, failures, golden_ok=not wrong, latencies=latencies, asked=len(golden), thresholds=thresholds
    )


def probe_endpoint(
    runtime: SageMakerRuntimeClient,
    sagemaker: SageMakerClient,
    endpoint: str,
    *,
    golden: GoldenRequests,
    columns: Sequence[str],
    thresholds: Thresholds,
    quote: bool = True,
) -> Report:
    """The checks that can run at any time: in service, right answers, fast enough. As ``check_endpoint``, without bad
    requests and load."""
    if why_not := _why_not_in_service(sagemaker, endpoint):
        return _report(endpoint, [why_not], golden_ok=False, latencies=[], asked=len(golden), thresholds=thresholds)
    asked = _Endpoint(runtime, endpoint, quote=quote)
    wrong = list(_wrong_answers(asked, golden, columns))
    latencies, failed = _load(asked, golden, thresholds)
    failures = [*wrong, *failed, *_too_slow(latencies, thresholds)]
    return _report(
        endpoint, failures, golden_ok=not wrong, latencies=latencies, asked=len(golden), thresholds=thresholds
    )


def load_golden_requests(s3: S3Client, uri: str) -> list[Golden]:
    """The golden requests at an S3 URI (``storage.golden_requests_of``).

    Raises:
        GoldenRequestsError: there are none at this URI, or they cannot be read.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    advice = "They are written by evaluate_model: look at that job of the run that trained this version."
    try:
        found = read_json(s3, uri)
    except ValueError as error:
        raise GoldenRequestsError(f"{error} {advice}") from error
    if found is None:
        raise GoldenRequestsError(f"no golden requests at {uri}. {advice}")
    if not isinstance(found, list) or not found or not all({"features", "expected"} <= set(entry) for entry in found):
        raise GoldenRequestsError(f"{uri} does not hold a list of features with their expected answers. {advice}")
    return found


def columns_of(golden: GoldenRequests) -> list[str]:
    """The features in the model's order, which is the order that training writes them in."""
    return list(golden[0]["features"])


def _why_not_in_service(sagemaker: SageMakerClient, endpoint: str) -> str | None:
    try:
        described = sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if error_code(error) != "ValidationException":
            raise
        return f"the endpoint does not exist: {error.response['Error']['Message']}"
    status = described["EndpointStatus"]
    if status == "InService":
        return None
    return f"the endpoint is {status}, not InService. {described.get('FailureReason', '')}".strip()


def _wrong_answers(endpoint: _Endpoint, golden: GoldenRequests, columns: Sequence[str]) -> Iterable[str]:
    """Golden requests by name as JSON, one at a time, then all at once as CSV in feature order."""
    for entry in golden:
        body = json.dumps(entry["features"])
        yield from _differences(endpoint, body, JSON, [entry["expected"]])
    rows = "".join(_csv_line(entry["features"], columns) for entry in golden)
    yield from _differences(endpoint, rows, CSV, [entry["expected"] for entry in golden])


def _differences(endpoint: _Endpoint, body: str, content_type: str, expected: list[object]) -> Iterable[str]:
    sent = f"golden request as {content_type}, {endpoint.shown(body)}"
    try:
        answers = endpoint.ask(body, content_type)
    except _RefusedError as refused:
        yield f"{sent}: expected {endpoint.shown(expected)}, got {refused}"
        return
    if not isinstance(answers, list) or len(answers) != len(expected):
        yield f"{sent}: expected {len(expected)} answers, got {endpoint.shown(answers)}"
        return
    for wanted, answer in zip(expected, answers, strict=True):
        if not _same(wanted, answer):
            yield f"{sent}: expected {endpoint.shown(wanted)}, got {endpoint.shown(answer)}"


def _same(expected: object, answer: object) -> bool:
    """Same shape, with numbers equal within ``TOLERANCE``."""
    if isinstance(expected, dict):
        return (
            isinstance(answer, dict)
            and expected.keys() == answer.keys()
            and all(_same(value, answer[key]) for key, value in expected.items())
        )
    if isinstance(expected, list):
        return (
            isinstance(answer, list)
            and len(expected) == len(answer)
            and all(_same(one, other) for one, other in zip(expected, answer, strict=True))
        )
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        if not isinstance(answer, int | float) or isinstance(answer, bool):
            return False
        return math.isclose(expected, answer, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(expected == answer)


def _bad_requests_not_refused(
    endpoint: _Endpoint, features: Row, columns: Sequence[str], largest_mb: int
) -> Iterable[str]:
    for what, body in _bad_requests(features, columns, largest_mb).items():
        sent = f"bad request ({what}: {endpoint.shown(body)})"
        try:
            answer = endpoint.ask(body, CSV)
        except _RefusedError as refused:
            if not 400 <= refused.status < 500:
                yield f"{sent}: expected a 4xx, got {refused}"
        else:
            yield f"{sent}: expected a 4xx, got the answer {endpoint.shown(answer)}"


def _bad_requests(features: Row, columns: Sequence[str], largest_mb: int) -> dict[str, str]:
    """CSV bodies that every model must reject, by what is wrong with them."""
    line = _csv_line(features, columns)
    bad = {
        "nothing": "",
        "a column too few": _csv_line(features, columns[:-1]) if len(columns) > 1 else f"{line.strip()},1,1\n",
        "a column too many": f"{line.strip()},1\n",
        f"more than {largest_mb} MB": line * (largest_mb * MB // len(line) + 1),
    }
    numeric = [name for name in columns if isinstance(features[name], int | float)]
    if numeric:
        bad[f"text in the number {numeric[0]}"] = _csv_line({**features, numeric[0]: "not-a-number"}, columns)
    return bad


def _warm_up(endpoint: _Endpoint, golden: GoldenRequests, thresholds: Thresholds) -> None:
    """Gets containers started; failures are ignored, as they recur when measured."""

    def ask(_: int) -> None:
        with contextlib.suppress(_RefusedError):
            endpoint.ask(json.dumps(golden[0]["features"]), JSON)

    if thresholds.warm_up:
        with ThreadPoolExecutor(thresholds.clients) as clients:
            list(clients.map(ask, range(thresholds.warm_up)))


def _load(endpoint: _Endpoint, golden: GoldenRequests, thresholds: Thresholds) -> tuple[list[float], list[str]]:
    """Milliseconds of each answered request, and the errors of the others."""
    bodies = [json.dumps(entry["features"]) for entry in golden]

    def ask(number: int) -> float | str:
        began = time.perf_counter()
        try:
            endpoint.ask(bodies[number % len(bodies)], JSON)
        except _RefusedError as refused:
            return f"request {number + 1} of the load, {endpoint.shown(bodies[number % len(bodies)])}: got {refused}"
        return (time.perf_counter() - began) * 1000

    with ThreadPoolExecutor(thresholds.clients) as clients:
        outcomes = list(clients.map(ask, range(thresholds.requests)))
    latencies = [outcome for outcome in outcomes if isinstance(outcome, float)]
    return latencies, [outcome for outcome in outcomes if isinstance(outcome, str)]


def _too_slow(latencies: list[float], thresholds: Thresholds) -> Iterable[str]:
    if not latencies:
        return
    for share, allowed in ((0.5, thresholds.p50_ms), (0.99, thresholds.p99_ms)):
        found = _quantile(latencies, share)
        if found > allowed:
            yield (
                f"p{share * 100:.0f} is {found:.1f} ms under {thresholds.clients} clients and {thresholds.requests} "
                f"requests; model.yaml allows {allowed:g} ms"
            )


def _quantile(values: list[float], share: float) -> float:
    """The smallest value that is at least as large as this share of the values."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _report(
    endpoint: str, failures: list[str], *, golden_ok: bool, latencies: list[float], asked: int, thresholds: Thresholds
) -> Report:
    p50, p99 = (round(_quantile(latencies, share), 2) if latencies else None for share in (0.5, 0.99))
    if failures:
        more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
        log = f"Its log: CloudWatch group /aws/sagemaker/Endpoints/{endpoint}."
        summary = f"endpoint {endpoint} failed its test: {failures[0]}{more}. {log}"
    else:
        summary = (
            f"endpoint {endpoint} answers {asked} golden requests as trained and rejects bad ones; p50 {p50} ms, p99 "
            f"{p99} ms under {thresholds.clients} clients"
        )
    return Report(
        passed=not failures,
        summary=summary,
        p50_ms=p50,
        p99_ms=p99,
        golden_ok=golden_ok,
        failures=failures[:MOST_FAILURES],
    )


def _csv_line(features: Row, columns: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([features[name] for name in columns])
    return line.getvalue()


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
