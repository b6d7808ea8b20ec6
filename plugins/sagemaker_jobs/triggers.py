"""The trigger that waits for a job on behalf of a deferred task.

All triggers of a triggerer that use the same connection share one client: a SageMaker client takes megabytes, and
hundreds of jobs may be waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_jobs.failures import is_absent, is_transient
from sagemaker_jobs.kinds import KINDS, Json
from sagemaker_jobs.stopping import TaskIdentity, state_of
from sagemaker_jobs.waiting import first_look, poll_interval

STOP_SECONDS = 25  # Airflow gives on_kill 30 (triggerer.on_kill_timeout)
_HOOK_FIELDS = ("aws_conn_id", "region_name", "verify")


class _SharedClient:
    """A client that is opened once, and the number of triggers that use it."""

    def __init__(self, hook_arguments: Json) -> None:
        self.users = 0
        self._resources = AsyncExitStack()
        self._opened = asyncio.create_task(self._open(hook_arguments))

    async def _open(self, hook_arguments: Json) -> Any:
        return await self._resources.enter_async_context(await SageMakerHook(**hook_arguments).get_async_conn())

    async def client(self) -> Any:
        # in its own task: opening a client forgets why it was cancelled, and only by that does Airflow recognise a
        # trigger whose task someone ended, and call its on_kill
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        self._opened.cancel()  # no effect once it is open
        with suppress(asyncio.CancelledError, BotoCoreError, ClientError):
            await self._opened
        await self._resources.aclose()


_shared: dict[str, _SharedClient] = {}


@asynccontextmanager
async def _shared_client(hook_arguments: Json) -> AsyncIterator[tuple[Any, _SharedClient]]:
    """The client for these arguments: opened for the first trigger that needs it, closed with the last."""
    key = repr((id(asyncio.get_running_loop()), hook_arguments))
    if key not in _shared:
        _shared[key] = _SharedClient(hook_arguments)
    shared = _shared[key]
    shared.users += 1
    try:
        yield await shared.client(), shared
    except BaseException as error:
        try:
            await _leave(key, shared)
        except Exception as another:  # noqa: BLE001 - in a finally it would take the error's place
            error.add_note(f"The client could not be closed either: {type(another).__name__}: {another}")
        raise
    await _leave(key, shared)


async def _leave(key: str, shared: _SharedClient) -> None:
    shared.users -= 1
    if not shared.users:
        del _shared[key]
        await shared.close()


class JobTrigger(BaseTrigger):
    """Fires once, when the job is over, cannot be described, or has outlived its own limit.

    The event is ``{"event": "over" | "timeout" | "error", "job": name, "message": text}``. The resumed task describes
    the job itself to find out whether it succeeded.

    Args:
        kind: word of the job's kind, a key of KINDS.
        job: the job's name.
        since: when the job was created, in seconds since the epoch. Polling slows down with its age, and
            starts over once the job has its instances: so the end of a short job is noticed soon even after a long
            start-up.
        deadline: when to stop waiting, in seconds since the epoch.
        stop_on_kill: stop the job when someone fails, clears or marks the task or its run.
    """

    def __init__(
        self,
        *,
        kind: str,
        job: str,
        since: float,
        deadline: float,
        aws_conn_id: str | None,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: Json | None = None,
        stop_on_kill: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self.job = job
        self.since = since
        self.deadline = deadline
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.stop_on_kill = stop_on_kill

    def serialize(self) -> tuple[str, Json]:
        fields = ("kind", "job", "since", "deadline", *_HOOK_FIELDS, "botocore_config", "stop_on_kill")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in fields}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        kind, since, starts = KINDS[self.kind], self.since, True
        async with _shared_client(self._hook_arguments) as (client, shared):
            describe = getattr(client, f"describe_{kind.api}")
            await asyncio.sleep(first_look(shared.users))
            while True:
                try:
                    description = await describe(**{kind.name_field: self.job})
                    if kind.is_over(description):
                        yield self._event("over", kind.status(description))
                        return
                    if started := kind.started(description):
                        since, starts = started.timestamp(), False
                except (ClientError, BotoCoreError) as error:
                    if not is_transient(error):
                        yield self._event("error", str(error))
                        return
                    self.log.warning("could not describe %s, looking again later: %s", self.job, error)
                if time.time() > self.deadline:
                    yield self._event("timeout", "it has outlived its own runtime limit")
                    return
                await asyncio.sleep(poll_interval(time.time() - since, shared.users, starts=starts))

    async def on_kill(self) -> None:
        """Stops the job, unless the task still waits, or runs again.

        The triggerer cancels a trigger again every time it looks (about once a second) until the trigger has ended, so
        it would cancel this too while it waits for an answer: the work is done in a separate asyncio task. When
        Airflow's ``TriggerRunner.cancel_triggers`` cancels a trigger only once (3.3 does not), that task can go.
        """
        if not self.stop_on_kill or self.task_instance is None:
            return
        stopping = asyncio.create_task(asyncio.wait_for(self._stop_if_ended(self.task_instance), STOP_SECONDS))
        while not stopping.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(stopping)
        stopping.result()

    async def _stop_if_ended(self, task_instance: TaskIdentity) -> None:
        """A trigger that moves to another triggerer ends like one whose task someone ended
        (https://github.com/apache/airflow/issues/73454). When Airflow distinguishes the two, the check of the task's
        state can go."""
        state = await sync_to_async(state_of)(task_instance)
        if state in ("deferred", "running"):
            self.log.info("%s continues: its task is %s, only this trigger ended", self.job, state)
            return
        kind = KINDS[self.kind]
        async with _shared_client(self._hook_arguments) as (client, _):
            try:
                await getattr(client, f"stop_{kind.api}")(**{kind.name_field: self.job})
            except ClientError as error:
                if not is_absent(error):
                    raise
                self.log.info("%s is over already", self.job)
            else:
                self.log.warning("stopped %s, as its task is %s", self.job, state or "cleared")

    @property
    def _hook_arguments(self) -> Json:
        return {**{name: getattr(self, name) for name in _HOOK_FIELDS}, "config": self.botocore_config}

    def _event(self, event: str, message: str) -> TriggerEvent:
        return TriggerEvent({"event": event, "job": self.job, "message": message})
