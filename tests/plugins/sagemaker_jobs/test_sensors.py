"""The partition sensor: deferred while there is time, with a clear message when there is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from sagemaker_jobs.sensors import PartitionSensor

CONTEXT: Any = {"logical_date": datetime(2015, 6, 5, tzinfo=UTC)}
KEYS = ["daily/pumps/date=2015-06-05/readings.csv*", "daily/pumps/date=2015-06-05/pumps.csv*"]


def sensor(there: list[str], until: datetime) -> PartitionSensor:
    what, advice = "the raw data of 2015-06-05", "Put them there."
    wanted = {"what": what, "bucket": "bucket", "keys": KEYS, "until": until, "advice": advice}

    def partition(context: Any) -> dict[str, Any]:
        assert context == CONTEXT
        return wanted

    made = PartitionSensor(task_id="wait_for_partition", partition=partition)

    class Hook:
        def get_s3_bucket_key(self, bucket: str, key: str, *names: str) -> tuple[str, str]:
            return bucket, key

        def iter_file_metadata(self, prefix: str, bucket: str) -> list[dict[str, Any]]:
            return [{"Key": key} for key in there if key.startswith(prefix)]

    made.__dict__["hook"] = Hook()
    return made


WHOLE = [key.replace("*", ".gz") for key in KEYS]


def in_three_hours() -> datetime:
    return datetime.now(UTC) + timedelta(hours=3)


def test_a_whole_partition_is_not_waited_for() -> None:
    sensor(WHOLE, in_three_hours()).execute(CONTEXT)  # without raising TaskDeferred


def test_what_is_missing_is_waited_for_without_a_worker() -> None:
    with pytest.raises(TaskDeferred) as deferred:
        sensor(WHOLE[:1], in_three_hours()).execute(CONTEXT)
    assert deferred.value.timeout is not None
    assert timedelta(hours=2, minutes=59) < deferred.value.timeout <= timedelta(hours=3)
    _, arguments = deferred.value.trigger.serialize()
    assert arguments["bucket_name"] == "bucket"
    assert arguments["bucket_key"] == KEYS


def test_a_day_long_past_is_not_waited_for() -> None:
    with pytest.raises(AirflowFailException) as failure:
        sensor([], datetime(2015, 6, 6, 12, tzinfo=UTC)).execute(CONTEXT)
    assert str(failure.value) == (
        "the raw data of 2015-06-05 was not complete by 2015-06-06 12:00 UTC. It needs readings.csv, pumps.csv in "
        "s3://bucket/daily/pumps/date=2015-06-05/. Put them there."
    )


def test_when_time_is_up_the_message_says_what_to_do() -> None:
    waiting = sensor([], in_three_hours())
    with pytest.raises(AirflowFailException, match=r"not complete by .* Put them there\."):
        waiting.resume_execution("__fail__", {"error": "Trigger timeout"}, CONTEXT)
