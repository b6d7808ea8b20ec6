"""Deployments with guardrails: traffic moves step by step, and alarms on the endpoint's real metrics roll it back."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.hosting import Hosting, hosting_server
from tests.include.local_sagemaker.local_server import until


def _policy(kind: str, *, wait: int, alarms: tuple[str, ...] = (), termination: int = 0, **size: int) -> dict[str, Any]:
    routing: dict[str, Any] = {"Type": kind, "WaitIntervalInSeconds": wait}
    for name, percent in size.items():
        routing[name] = {"Type": "CAPACITY_PERCENT", "Value": percent}
    policy = {"TrafficRoutingConfiguration": routing, "TerminationWaitInSeconds": termination}
    rollback = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}} if alarms else {}
    return {"BlueGreenUpdatePolicy": policy, **rollback}


def _config(hosting: Hosting, **environment: str) -> str:
    return hosting.config(hosting.model(**environment))


def _alarm(hosting: Hosting, endpoint: str, metric: str, statistic: str, threshold: float) -> str:
    name = hosting.name("alarm")
    kind = "ExtendedStatistic" if statistic.startswith("p") else "Statistic"
    hosting.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName=metric,
        Dimensions=[{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}],
        Period=5,
        EvaluationPeriods=1,
        Threshold=threshold,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
        **{kind: statistic},
    )
    return name


@contextmanager
def _traffic(hosting: Hosting, endpoint: str) -> Iterator[list[tuple[float, str]]]:
    """Sends at most 100 requests per second meanwhile; the start and the answer of each."""
    answers: list[tuple[float, str]] = []
    stop = threading.Event()

    def invoke() -> None:
        while not stop.wait(0.01):
            began = time.monotonic()
            try:
                answer = hosting.invoke(endpoint).decode()
            except ClientError as error:
                answer = str(error.response["Error"]["Code"])
            answers.append((began, answer))

    thread = threading.Thread(target=invoke)
    thread.start()
    yield answers
    stop.set()
    thread.join()


def _watched(hosting: Hosting, endpoint: str) -> list[tuple[float, dict[str, Any]]]:
    """The descriptions of an update until it is over, and when each was received."""
    seen: list[tuple[float, dict[str, Any]]] = []
    while not seen or seen[-1][1]["EndpointStatus"] == "Updating":
        described = hosting.sagemaker.describe_endpoint(EndpointName=endpoint)
        seen.append((time.monotonic(), described))
        time.sleep(0.05)
    return seen


def _steps(seen: list[tuple[float, dict[str, Any]]]) -> list[tuple[float, float]]:
    """The period in which each baking step of the watched update was certainly in force."""
    steps: dict[Any, list[float]] = {}
    for at, described in seen:
        for variant in described.get("PendingDeploymentSummary", {}).get("ProductionVariants", []):
            status = variant["VariantStatus"][0]
            if status["Status"] == "Baking":
                steps.setdefault(status["StartTime"], []).append(at)
    return [(times[0], times[-1]) for times in steps.values()]


def _assert_share(answers: list[tuple[float, str]], step: tuple[float, float], share: float) -> None:
    """Within five standard deviations of that many draws, plus a request at the border."""
    count = Counter(answer for at, answer in answers if step[0] < at < step[1])
    requests = count.total()
    tolerance = 5 * math.sqrt(share * (1 - share) / requests) + 1 / requests
    assert count["new"] / requests == pytest.approx(share, abs=tolerance), count


def test_canary_gets_its_share_then_all(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_config(hosting, MODE="name", NAME="old"))
    new = _config(hosting, MODE="name", NAME="new")
    with _traffic(hosting, endpoint) as answers:
        hosting.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=new,
            DeploymentConfig=_policy("CANARY", wait=4, CanarySize=20),
        )
        seen = _watched(hosting, endpoint)
        over = time.monotonic()
        until(lambda: sum(at > over for at, _ in answers) >= 20)
    now = seen[-1][1]
    assert now["EndpointConfigName"] == new
    assert now["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]["Type"] == "CANARY"
    pending = [one["PendingDeploymentSummary"] for _, one in seen if "PendingDeploymentSummary" in one]
    statuses = [one["ProductionVariants"][0]["VariantStatus"][0] for one in pending]
    assert {status["Status"] for status in statuses} == {"Creating", "Baking"}
    baking = next(status["StatusMessage"] for status in statuses if status["Status"] == "Baking")
    assert baking.startswith("Baking for 4 seconds (WaitIntervalInSeconds) with traffic enabled on canary capacity")
    (step,) = _steps(seen)
    _assert_share(answers, step, 0.2)
    assert {answer for at, answer in answers if at > over} == {"new"}
    assert {answer for _, answer in answers} == {"old", "new"}


def test_linear_moves_in_steps(hosting: Hosting) -> None:
    endpoint = hosting.endpoint(_config(hosting, MODE="name", NAME="old"))
    with _traffic(hosting, endpoint) as answers:
        hosting.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=_config(hosting, MODE="name", NAME="new"),
            DeploymentConfig=_policy("LINEAR", wait=3, LinearStepSize=25),
        )
        steps = _steps(_watched(hosting, endpoint))
    assert len(steps) == 3
    for step, share in zip(steps, (0.25, 0.5, 0.75), strict=True):
        _assert_share(answers, step, share)


@pytest.mark.parametrize(
    ("broken", "metric", "statistic", "threshold"),
    [
        ({"MODE": "error"}, "Invocation5XXErrors", "Sum", 0),
        ({"MODE": "slow"}, "ModelLatency", "p90", 50_000),
    ],
)
def test_an_alarm_takes_the_canary_back(
    hosting: Hosting, broken: dict[str, str], metric: str, statistic: str, threshold: float
) -> None:
    before = _config(hosting)
    endpoint = hosting.endpoint(before)
    alarm = _alarm(hosting, endpoint, metric, statistic, threshold)
    with _traffic(hosting, endpoint) as answers:
        hosting.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=_config(hosting, **broken),
            DeploymentConfig=_policy("CANARY", wait=60, alarms=(alarm,), CanarySize=30),
        )
        described = hosting.settled(endpoint, 40)
        over = time.monotonic() + 0.1
        until(lambda: sum(at > over for at, _ in answers) >= 20)
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == before
    assert alarm in described["FailureReason"]
    assert "PendingDeploymentSummary" not in described
    after = [answer for at, answer in answers if at > over]
    assert set(after) == {"1"}


@pytest.mark.parametrize(
    ("turns", "metric", "statistic", "threshold"),
    [
        ("error", "Invocation5XXErrors", "Sum", 0),
        ("refuse", "Invocation4XXErrors", "Average", 0.05),
        ("slow", "ModelLatency", "p90", 50_000),
    ],
)
def test_a_model_that_turns_bad_between_the_steps_is_taken_back(
    hosting: Hosting, turns: str, metric: str, statistic: str, threshold: float
) -> None:
    """It is healthy at first, like a model that leaks memory or receives requests unlike those in its test."""
    before = _config(hosting)
    endpoint = hosting.endpoint(before)
    alarm = _alarm(hosting, endpoint, metric, statistic, threshold)
    with _traffic(hosting, endpoint) as answers:
        hosting.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=_config(hosting, TURNS=turns),
            DeploymentConfig=_policy("LINEAR", wait=6, alarms=(alarm,), LinearStepSize=30),
        )
        described = hosting.settled(endpoint, 60)
        over = time.monotonic() + 0.1
        until(lambda: sum(at > over for at, _ in answers) >= 20)
    assert described["EndpointConfigName"] == before
    assert f"alarm(s) {alarm} went into ALARM state while" in described["FailureReason"]
    assert "100%" not in described["FailureReason"]
    assert {answer for at, answer in answers if at > over} == {"1"}
    assert {answer for _, answer in answers} == ({"1"} if turns == "slow" else {"1", "ModelError"})


def test_an_alarm_after_the_full_shift_takes_it_back_too(hosting: Hosting) -> None:
    before = _config(hosting, MODE="name", NAME="old")
    endpoint = hosting.endpoint(before)
    alarm = _alarm(hosting, endpoint, "Invocations", "Sum", 1e9)
    hosting.sagemaker.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=_config(hosting, MODE="name", NAME="new"),
        DeploymentConfig=_policy("ALL_AT_ONCE", wait=0, termination=60, alarms=(alarm,)),
    )
    deadline = time.monotonic() + 20
    while hosting.invoke(endpoint) != b"new":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    hosting.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    described = hosting.settled(endpoint, 20)
    assert described["EndpointConfigName"] == before
    assert alarm in described["FailureReason"]
    assert hosting.invoke(endpoint) == b"old"


@pytest.mark.slow
def test_a_deployment_goes_on_after_a_crash_of_the_server(tmp_path: Path) -> None:
    server = hosting_server(tmp_path)
    server.start()
    hosting = Hosting(server)
    hosting.upload_artifact()
    endpoint = hosting.endpoint(_config(hosting, MODE="name", NAME="old"))
    new = _config(hosting, MODE="name", NAME="new")
    hosting.sagemaker.update_endpoint(
        EndpointName=endpoint, EndpointConfigName=new, DeploymentConfig=_policy("CANARY", wait=3, CanarySize=50)
    )
    until(lambda: hosting.invoke(endpoint) == b"new")  # half of the requests, as the old one still serves
    server.stop(signal.SIGKILL)
    server.start()
    assert hosting.invoke(endpoint) in (b"old", b"new")
    described = hosting.settled(endpoint)
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", new)
    assert {hosting.invoke(endpoint) for _ in range(20)} == {b"new"}
    assert server.stop() == 0
    assert "Traceback" not in server.log
