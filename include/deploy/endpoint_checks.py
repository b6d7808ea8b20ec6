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

from include.deploy.asked_endpoint import CSV, JSON, AskedEndpoint, RefusedError
from include.models.config.results import Golden
from include.platform.clients import error_code
from include.platform.errors import PermanentError
from include.platform.objects import read_json

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

TOLERANCE = 1e-6
MB = 1024 * 1024
CHANGING = ("Updating", "SystemUpdating", "RollingBack")  # an endpoint in these states continues to serve
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
    """What ``check_endpoint`` found; small enough to pass between tasks.

    ``golden_ok``: all golden requests were answered as trained. ``wrong``: how many of them were answered otherwise, or
    refused; ``unanswered``: how many requests, of the load too, got no answer.
    """

    passed: bool
    summary: str
    p50_ms: float | None
    p99_ms: float | None
    golden_ok: bool
    wrong: int
    unanswered: int
    failures: list[str]


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
    if why_not := _why_not_serving(sagemaker, endpoint, "InService"):
        return _not_asked(endpoint, why_not)
    asked = AskedEndpoint(runtime, endpoint, quote=quote)
    wrong, unanswered = _ask_golden(asked, golden, columns)
    lenient = list(_bad_requests_not_refused(asked, golden[0]["features"], columns, thresholds.largest_mb))
    _warm_up(asked, golden, thresholds)
    return _report(asked, wrong, unanswered, _load(asked, golden, thresholds), len(golden), thresholds, lenient)


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
    """The checks that can run at any time: serving, right answers, fast enough. As ``check_endpoint``, without bad
    requests and load, and of an endpoint that is being changed too."""
    if why_not := _why_not_serving(sagemaker, endpoint, "InService", *CHANGING):
        return _not_asked(endpoint, why_not)
    asked = AskedEndpoint(runtime, endpoint, quote=quote)
    wrong, unanswered = _ask_golden(asked, golden, columns)
    return _report(asked, wrong, unanswered, _load(asked, golden, thresholds), len(golden), thresholds)


def is_being_changed(sagemaker: SageMakerClient, endpoint: str, config: str) -> bool:
    """Whether another version than that of a configuration may answer: the endpoint is on its way to another one, or
    serves with another one. (With a shadow it does, too, but callers get the same version's answers.)

    Raises:
        botocore.exceptions.BotoCoreError, ClientError: SageMaker cannot be asked.
    """
    found = _describe(sagemaker, endpoint)
    if found is None:
        return False
    elsewhere = found["EndpointConfigName"] != config and not found.get("ShadowProductionVariants")
    return elsewhere or found["EndpointStatus"] in CHANGING


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


def _describe(sagemaker: SageMakerClient, endpoint: str) -> DescribeEndpointOutputTypeDef | None:
    """The endpoint; None if it does not exist."""
    try:
        return sagemaker.describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        if error_code(error) != "ValidationException":
            raise
        return None


def _why_not_serving(sagemaker: SageMakerClient, endpoint: str, *statuses: str) -> str | None:
    found = _describe(sagemaker, endpoint)
    if found is None:
        return "the endpoint does not exist"
    if found["EndpointStatus"] in statuses:
        return None
    return f"the endpoint is {found['EndpointStatus']}, not InService. {found.get('FailureReason', '')}".strip()


def _ask_golden(endpoint: AskedEndpoint, golden: GoldenRequests, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """What is wrong with the answers to golden requests, and which got none: by name as JSON, one at a time, then all
    at once as CSV in feature order."""
    requests = [(json.dumps(entry["features"]), JSON, [entry["expected"]]) for entry in golden]
    rows = "".join(_csv_line(entry["features"], columns) for entry in golden)
    wrong, unanswered = list[str](), list[str]()
    for body, content_type, expected in [*requests, (rows, CSV, [entry["expected"] for entry in golden])]:
        sent = f"golden request as {content_type}, {endpoint.shown(body)}"
        try:
            answers = endpoint.ask(body, content_type)
        except RefusedError as refused:
            said = f"{sent}: expected {endpoint.shown(expected)}, got {refused}"
            (unanswered if refused.is_no_answer else wrong).append(said)
        else:
            wrong += [f"{sent}: {difference}" for difference in _differences(endpoint, expected, answers)]
    return wrong, unanswered


def _differences(endpoint: AskedEndpoint, expected: list[object], answers: object) -> Iterable[str]:
    if not isinstance(answers, list) or len(answers) != len(expected):
        yield f"expected {len(expected)} answers, got {endpoint.shown(answers)}"
        return
    for wanted, answer in zip(expected, answers, strict=True):
        if not _same(wanted, answer):
            yield f"expected {endpoint.shown(wanted)}, got {endpoint.shown(answer)}"


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
    endpoint: AskedEndpoint, features: Row, columns: Sequence[str], largest_mb: int
) -> Iterable[str]:
    for what, body in _bad_requests(features, columns, largest_mb).items():
        sent = f"bad request ({what}: {endpoint.shown(body)})"
        try:
            answer = endpoint.ask(body, CSV)
        except RefusedError as refused:
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


def _warm_up(endpoint: AskedEndpoint, golden: GoldenRequests, thresholds: Thresholds) -> None:
    """Gets containers started; failures are ignored, as they recur when measured."""

    def ask(_: int) -> None:
        with contextlib.suppress(RefusedError):
            endpoint.ask(json.dumps(golden[0]["features"]), JSON)

    if thresholds.warm_up:
        with ThreadPoolExecutor(thresholds.clients) as clients:
            list(clients.map(ask, range(thresholds.warm_up)))


def _load(endpoint: AskedEndpoint, golden: GoldenRequests, thresholds: Thresholds) -> tuple[list[float], list[str]]:
    """Milliseconds of each answered request, and the errors of the others."""
    bodies = [json.dumps(entry["features"]) for entry in golden]

    def ask(number: int) -> float | str:
        began = time.perf_counter()
        try:
            endpoint.ask(bodies[number % len(bodies)], JSON)
        except RefusedError as refused:
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
    endpoint: AskedEndpoint,
    wrong: list[str],
    unanswered: list[str],
    load: tuple[list[float], list[str]],
    asked: int,
    thresholds: Thresholds,
    lenient: Sequence[str] = (),
) -> Report:
    latencies, failed = load
    failures = [*wrong, *unanswered, *lenient, *failed, *_too_slow(latencies, thresholds)]
    p50, p99 = (round(_quantile(latencies, share), 2) if latencies else None for share in (0.5, 0.99))
    summary = (
        f"endpoint {endpoint.name} answers {asked} golden requests as trained and rejects bad ones; p50 {p50} ms, p99 "
        f"{p99} ms under {thresholds.clients} clients"
    )
    return Report(
        passed=not failures,
        summary=_failed(endpoint.name, failures) if failures else summary,
        p50_ms=p50,
        p99_ms=p99,
        golden_ok=not wrong and not unanswered,
        wrong=len(wrong),
        unanswered=len(unanswered) + len(failed),
        failures=failures[:MOST_FAILURES],
    )


def _not_asked(endpoint: str, why: str) -> Report:
    return Report(
        passed=False,
        summary=_failed(endpoint, [why]),
        p50_ms=None,
        p99_ms=None,
        golden_ok=False,
        wrong=0,
        unanswered=0,
        failures=[why],
    )


def _failed(endpoint: str, failures: Sequence[str]) -> str:
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    return (
        f"endpoint {endpoint} failed its test: {failures[0]}{more}. Its log: CloudWatch group "
        f"/aws/sagemaker/Endpoints/{endpoint}."
    )


def _csv_line(features: Row, columns: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([features[name] for name in columns])
    return line.getvalue()
