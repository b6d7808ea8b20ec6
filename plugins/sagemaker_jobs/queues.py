"""Triggers that start a Dag on an AWS event, which EventBridge puts into an SQS queue.

The provider's trigger for SQS is not used: it deletes messages before Airflow has stored the event, so one is lost if
the triggerer dies in between. It also needs the queue's URL, which depends on the environment, while a Dag file knows
only a name.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Hashable, Sequence

from airflow.providers.amazon.aws.hooks.sqs import SqsHook
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer, reject_shared_stream_event
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_jobs.kinds import Json

log = logging.getLogger(__name__)

POLL_SECONDS = 5.0
TROUBLE_SECONDS = 30.0
UNSEEN_SECONDS = 120  # how long SQS hides a message that was received but not deleted


class QueueTrigger(BaseEventTrigger):
    """Fires for every message of a queue.

    A message is deleted only after Airflow's database has the event. If a triggerer dies at the wrong moment, a message
    can start two runs, but it is never lost.

    Args:
        queue: the queue's name.
    """

    def __init__(self, *, queue: str, aws_conn_id: str | None = "aws_default", region_name: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.queue = queue
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    @staticmethod
    @abstractmethod
    def event_of(body: str) -> Json:
        """The event's payload, parsed from a message.

        Raises:
            ValueError, KeyError, TypeError: the message is of another kind.
        """

    def serialize(self) -> tuple[str, Json]:
        fields = ("queue", "aws_conn_id", "region_name")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in fields}

    def shared_stream_key(self) -> Hashable:
        return self.queue, self.aws_conn_id, self.region_name

    @classmethod
    def create_shared_stream_producer(cls, kwargs: Json) -> SharedStreamProducer:
        return _Queue(**kwargs)

    async def filter_shared_stream(self, shared_stream: AsyncIterator[str]) -> AsyncIterator[TriggerEvent]:
        async for body in shared_stream:
            try:
                yield TriggerEvent(self.event_of(body))
            except (ValueError, KeyError, TypeError) as error:
                log.warning("queue %s: unexpected message, removed (%r): %.1000s", self.queue, error, body)
                reject_shared_stream_event()

    def run(self) -> AsyncIterator[TriggerEvent]:
        """Never called: the shared stream drives the trigger."""
        raise NotImplementedError("messages come through the shared stream")


class _Queue(SharedStreamProducer):
    """The messages of one queue. Errors are logged, and the queue is read again later."""

    def __init__(self, *, queue: str, aws_conn_id: str | None, region_name: str | None) -> None:
        self._name = queue
        self._hook = SqsHook(aws_conn_id=aws_conn_id, region_name=region_name)
        self._url: str | None = None

    async def open_stream(self) -> AsyncIterator[tuple[str, str]]:
        while True:
            messages: list[Json] = []
            try:
                messages = await self._receive()
            except (ClientError, BotoCoreError) as error:
                log.warning("queue %s cannot be read, looking again in %d s: %s", self._name, TROUBLE_SECONDS, error)
                await asyncio.sleep(TROUBLE_SECONDS)
            for message in messages:
                yield message["Body"], message["ReceiptHandle"]
            if not messages:
                await asyncio.sleep(POLL_SECONDS)

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Deletes messages that were stored or are unexpected; those that could not be stored come again."""
        async with await self._hook.get_async_conn() as client:
            for item in batch:
                if item.outcome.failed or not (item.outcome.acked or item.outcome.rejected):
                    continue
                await client.delete_message(QueueUrl=self._url, ReceiptHandle=item.broker_payload)

    async def _receive(self) -> list[Json]:
        async with await self._hook.get_async_conn() as client:
            self._url = self._url or (await client.get_queue_url(QueueName=self._name))["QueueUrl"]
            answer = await client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, VisibilityTimeout=UNSEEN_SECONDS
            )
            found: list[Json] = answer.get("Messages", [])
            return found
