"""The sensor that waits for a partition of data without holding a worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from sagemaker_jobs.kinds import Json


class Partition(TypedDict):
    """What to wait for, where, and until when (a datetime with a time zone). ``keys`` are patterns with ``*``; ``what``
    names it for people; ``advice``: what to do if it does not arrive."""

    bucket: str
    keys: list[str]
    until: datetime
    what: str
    advice: str


class PartitionSensor(S3KeySensor):
    """Waits, deferred, until every file of a partition exists or a deadline passes; for past deadlines it does not
    wait.

    Args:
        partition: called as ``partition(context)``, when the task runs.

    Raises:
        AirflowFailException: it is incomplete at the deadline. Not retried.
    """

    def __init__(self, *, partition: Callable[[Context], Partition], **kwargs: Any) -> None:
        super().__init__(bucket_key=[], wildcard_match=True, deferrable=True, **kwargs)
        self.partition = partition

    def execute(self, context: Context) -> None:
        wanted = self._look_up(context)
        if self.poke(context):
            return
        left = wanted["until"] - datetime.now(UTC)
        if left <= timedelta(0):
            raise AirflowFailException(_missing(wanted))
        self.log.info("%s is not there yet; waiting deferred until %s", wanted["what"], wanted["until"])
        self.timeout = left.total_seconds()
        self._defer()

    def resume_execution(self, next_method: str, next_kwargs: Json | None, context: Context) -> Any:
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            raise AirflowFailException(_missing(self._look_up(context))) from error

    def _look_up(self, context: Context) -> Partition:
        wanted = self.partition(context)
        self.bucket_name, self.bucket_key = wanted["bucket"], list(wanted["keys"])
        return wanted


def _missing(wanted: Partition) -> str:
    names = ", ".join(key.rsplit("/", 1)[-1].removesuffix(".*").removesuffix("*") for key in wanted["keys"])
    folder = f"s3://{wanted['bucket']}/{wanted['keys'][0].rsplit('/', 1)[0]}/"
    until = f"{wanted['until']:%Y-%m-%d %H:%M} UTC"
    return f"{wanted['what']} was not complete by {until}. It needs {names} in {folder}. {wanted['advice']}"
