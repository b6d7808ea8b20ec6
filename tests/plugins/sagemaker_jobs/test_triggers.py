"""The trigger against a client with scripted answers, and simulated time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from sagemaker_jobs import triggers
from sagemaker_jobs.triggers import JobTrigger
from sagemaker_jobs.waiting import CALLS_PER_SECOND, FASTEST, FIRST_LOOK, SLOWEST, first_look, poll_interval

from .conftest import FakeTaskInstance


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    @property
    def now(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Client:
    """Describes a job that is over after the given seconds, or raises the errors it was given first."""

    def __init__(self, clock: Clock, lasts: float, errors: list[Exception], status: str, start_up: float = 0) -> None:
        self.clock, self.lasts, self.errors, self.status, self.start_up = clock, lasts, errors, status, start_up
        self.looks: list[float] = []
        self.opened = self.closed = 0

    async def __aenter__(self) -> Client:
        self.opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed += 1

    async def describe_training_job(self, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803 - as boto3 spells it
        self.looks.append(self.clock.now)
        if self.errors:
            raise self.errors.pop(0)
        found: dict[str, Any] = {"TrainingJobStatus": self.status if self.clock.now >= self.lasts else "InProgress"}
        if self.clock.now >= self.start_up > 0:
            found["TrainingStartTime"] = datetime.fromtimestamp(time.time() - self.clock.now + self.start_up, UTC)
        return found


def client_error(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "DescribeTrainingJob")


Fire = Callable[..., tuple[dict[str, Any], Client]]


@pytest.fixture
def fire(monkeypatch: pytest.MonkeyPatch) -> Fire:
    clock = Clock()
    started = time.time()

    def fired(
        lasts: float = 0,
        errors: list[Exception] | None = None,
        status: str = "Completed",
        deadline: float = 1e6,
        start_up: float = 0,
    ) -> tuple[dict[str, Any], Client]:
        client = Client(clock, lasts, errors or [], status, start_up)

        class Hook:
            def __init__(self, **arguments: Any) -> None:
                assert arguments["region_name"] == "eu-west-1"

            async def get_async_conn(self) -> Client:
                return client

        monkeypatch.setattr(triggers, "SageMakerHook", Hook)
        monkeypatch.setattr(triggers.asyncio, "sleep", clock.sleep)
        monkeypatch.setattr(triggers.time, "time", lambda: started + clock.now)
        trigger = JobTrigger(
            kind="training",
            job="train-1",
            since=started,
            deadline=started + deadline,
            aws_conn_id="aws_default",
            region_name="eu-west-1",
        )

        async def first_event() -> Any:
            async for event in trigger.run():
                return event.payload
            raise AssertionError("the trigger ended without an event")

        return asyncio.run(first_event()), client

    return fired


def test_never_fires_in_its_first_seconds(fire: Fire) -> None:
    event, client = fire(lasts=0)
    assert event == {"event": "over", "job": "train-1", "message": "Completed"}
    assert len(client.looks) == 1
    assert FIRST_LOOK <= client.looks[0] <= FIRST_LOOK + 1 / CALLS_PER_SECOND


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_fires_when_the_job_is_over(fire: Fire, status: str) -> None:
    event, client = fire(lasts=600, status=status)
    assert (event["event"], event["message"]) == ("over", status)
    assert 600 <= client.clock.now <= 600 * 1.13


def test_an_hour_costs_few_calls(fire: Fire) -> None:
    _, client = fire(lasts=3600)
    assert len(client.looks) < 120


def test_the_end_of_a_short_job_is_noticed_soon_after_a_long_start_up(fire: Fire) -> None:
    _, client = fire(lasts=210, start_up=180)
    assert 210 <= client.clock.now <= 214
    assert len(client.looks) < 80


def test_the_deadline_ends_the_wait(fire: Fire) -> None:
    event, client = fire(lasts=1e9, deadline=3600)
    assert event == {"event": "timeout", "job": "train-1", "message": "it has outlived its own runtime limit"}
    assert 3600 <= client.clock.now < 3600 + 2 * SLOWEST


@pytest.mark.parametrize(
    "error",
    [client_error("ThrottlingException"), client_error("Whatever", 503), EndpointConnectionError(endpoint_url="x")],
    ids=["throttled", "5xx", "no connection"],
)
def test_what_passes_is_waited_out(fire: Fire, error: Exception) -> None:
    event, client = fire(errors=[error] * 5)
    assert event["event"] == "over"
    assert len(client.looks) == 6


def test_what_does_not_pass_is_told(fire: Fire) -> None:
    event, client = fire(errors=[client_error("AccessDeniedException", 400)])
    assert event["event"] == "error"
    assert "AccessDeniedException" in event["message"]
    assert len(client.looks) == 1


def test_survives_the_way_through_the_database() -> None:
    fields = {"kind": "training", "job": "j", "since": 1.0, "deadline": 2.0, "aws_conn_id": "aws_default"}
    path, arguments = JobTrigger(**fields).serialize()  # type: ignore[arg-type]
    assert path == "sagemaker_jobs.triggers.JobTrigger"
    assert JobTrigger(**arguments).serialize() == (path, arguments)


CONFIG = {"read_timeout": 5}


class StoppableClient(Client):
    def __init__(self) -> None:
        super().__init__(Clock(), 0, [], "InProgress")
        self.stopped: list[str] = []

    async def stop_training_job(self, TrainingJobName: str) -> None:  # noqa: N803 - as boto3 spells it
        self.stopped.append(TrainingJobName)
        if self.errors:
            raise self.errors.pop(0)


@pytest.mark.parametrize(
    ("state", "stop_on_kill", "stopped"),
    [
        ("failed", True, ["train-1"]),
        ("success", True, ["train-1"]),
        ("skipped", True, ["train-1"]),
        (None, True, ["train-1"]),  # cleared
        ("queued", True, ["train-1"]),  # cleared a moment ago
        ("deferred", True, []),  # moved to another triggerer
        ("running", True, []),  # cleared, and already attached to
        ("failed", False, []),
    ],
)
def test_a_kill_stops_the_job_unless_its_task_goes_on(
    monkeypatch: pytest.MonkeyPatch, state: str | None, stop_on_kill: bool, stopped: list[str]
) -> None:
    client = StoppableClient()
    trigger = stoppable(monkeypatch, client, state, stop_on_kill)
    asyncio.run(trigger.on_kill())
    assert client.stopped == stopped


def test_a_kill_after_the_jobs_end_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StoppableClient()
    client.errors = [client_error("ValidationException")]
    asyncio.run(stoppable(monkeypatch, client, "failed", True).on_kill())
    assert client.stopped == ["train-1"]


def test_a_kill_that_is_refused_is_not_taken_for_the_jobs_end(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StoppableClient()
    client.errors = [client_error("AccessDeniedException")]
    with pytest.raises(ClientError, match="AccessDeniedException"):
        asyncio.run(stoppable(monkeypatch, client, "failed", True).on_kill())
    assert (client.opened, client.closed) == (1, 1)


def test_triggers_share_a_client_that_the_last_one_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StoppableClient()
    first, second = (stoppable(monkeypatch, client, "failed", stop_on_kill=True) for _ in range(2))
    seen: list[tuple[int, int, int]] = []

    async def both_wait() -> None:
        async with triggers._shared_client(first._hook_arguments) as (_, shared):
            async with triggers._shared_client(second._hook_arguments) as (again, _):
                assert again is client
                seen.append((shared.users, client.opened, client.closed))
            seen.append((shared.users, client.opened, client.closed))

    asyncio.run(both_wait())
    assert seen == [(2, 1, 0), (1, 1, 0)]
    assert (client.opened, client.closed, triggers._shared) == (1, 1, {})


def test_a_trigger_that_ends_before_its_client_is_open_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StoppableClient()
    trigger = stoppable(monkeypatch, client, "failed", stop_on_kill=True)
    opening = asyncio.Event()

    async def slowly() -> None:
        opening.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(type(client), "__aenter__", lambda self: slowly())

    async def cancelled() -> None:
        running = asyncio.create_task(anext(trigger.run()))
        await opening.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    assert triggers._shared == {}


def test_the_job_is_stopped_though_the_triggerer_cancels_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    client = StoppableClient()
    trigger = stoppable(monkeypatch, client, "failed", stop_on_kill=True)
    answered = threading.Event()
    monkeypatch.setattr(triggers, "state_of", lambda task_instance: answered.wait(10) and "failed")

    async def cancelled_three_times() -> None:
        killed = asyncio.create_task(trigger.on_kill())
        for _ in range(3):
            await asyncio.sleep(0.05)
            killed.cancel()
        answered.set()
        await killed

    asyncio.run(cancelled_three_times())
    assert client.stopped == ["train-1"]


def stoppable(
    monkeypatch: pytest.MonkeyPatch, client: StoppableClient, state: str | None, stop_on_kill: bool
) -> JobTrigger:
    class Hook:
        def __init__(self, **arguments: Any) -> None:
            assert arguments == {"aws_conn_id": "aws_default", "region_name": None, "verify": None, "config": CONFIG}

        async def get_async_conn(self) -> StoppableClient:
            return client

    monkeypatch.setattr(triggers, "SageMakerHook", Hook)
    monkeypatch.setattr(triggers, "state_of", lambda task_instance: state)
    trigger = JobTrigger(
        kind="training",
        job="train-1",
        since=0,
        deadline=1,
        aws_conn_id="aws_default",
        botocore_config=CONFIG,
        stop_on_kill=stop_on_kill,
    )
    trigger._task_instance = FakeTaskInstance()
    return trigger


def test_hundreds_of_jobs_share_the_calls_of_a_triggerer() -> None:
    assert all(poll_interval(5, 500) >= 0.8 * 500 / CALLS_PER_SECOND > 30 for _ in range(50))
    assert max(first_look(500) for _ in range(500)) > 30
    assert min(first_look(500) for _ in range(500)) < 15


def test_many_jobs_do_not_ask_together() -> None:
    assert len({round(poll_interval(100), 3) for _ in range(50)}) > 25
    assert all(8 <= poll_interval(100) <= 12 for _ in range(50))
    assert all(0.8 * FASTEST <= poll_interval(0) <= 1.2 * FASTEST for _ in range(50))
    assert all(0.8 * SLOWEST <= poll_interval(1e5) <= 1.2 * SLOWEST for _ in range(50))
