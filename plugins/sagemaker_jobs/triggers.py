"""The trigger that waits for a job on behalf of a deferred task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_jobs.failures import is_transient
from sagemaker_jobs.kinds import KINDS
from sagemaker_jobs.waiting import FIRST_LOOK, poll_interval


class JobTrigger(BaseTrigger):
    """Fires once, when the job is over, cannot be described, or has outlived its own limit.

    The event is ``{"event": "over" | "timeout" | "error", "job": name, "message": text}``; whether the job succeeded is
    read by the resumed task from a description of its own.

    Args:
        kind: word of the job's kind, a key of KINDS.
        job: its name.
        since: when the job was created, in seconds since the epoch; polling slows down with its age.
        deadline: when to stop waiting, in seconds since the epoch.
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
        botocore_config: dict[str, Any] | None = None,
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

    def serialize(self) -> tuple[str, dict[str, Any]]:
        fields = ("kind", "job", "since", "deadline", "aws_conn_id", "region_name", "verify", "botocore_config")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in fields}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        kind = KINDS[self.kind]
        hook = SageMakerHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config=self.botocore_config,
        )
        await asyncio.sleep(FIRST_LOOK)
        async with await hook.get_async_conn() as client:
            describe = getattr(client, f"describe_{kind.api}")
            while True:
                try:
                    description = await describe(**{kind.name_field: self.job})
                    if kind.is_over(description):
                        yield self._event("over", kind.status(description))
                        return
                except (ClientError, BotoCoreError) as error:
                    if not is_transient(error):
                        yield self._event("error", str(error))
                        return
                    self.log.warning("could not describe %s, looking again later: %s", self.job, error)
                if time.time() > self.deadline:
                    yield self._event("timeout", "it has outlived its own runtime limit")
                    return
                await asyncio.sleep(poll_interval(time.time() - self.since))

    def _event(self, event: str, message: str) -> TriggerEvent:
        return TriggerEvent({"event": event, "job": self.job, "message": message})
