"""The scheduler's counterpart of ``timetables.DailyAndOnEventTimetable``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.serialization.decoders import decode_asset_like
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.simple import PartitionedAssetTimetable
from pendulum import DateTime, instance

from sagemaker_jobs.kinds import Json
from sagemaker_jobs.timetables import DailyTimetable, arguments_of, summary_with_asset


class DailyAndOnEventSchedule(PartitionedAssetTimetable):
    """What the scheduler deserializes a ``DailyAndOnEventTimetable`` to.

    Each run's partition key is its day. Airflow 3.3 has no such schedule: ``PartitionedAssetTimetable`` has no times,
    ``AssetOrTimeSchedule`` no partitions, and partition runs have no logical date and no data interval.

    Args:
        assets: the Asset; its events' partition keys are ISO dates.
        delay, off: as of ``DailyTimetable``.
    """

    # PartitionedAssetTimetable lacks these: Airflow schedules and backfills nothing without them
    periodic = True

    def __init__(self, *, assets: Any, delay: timedelta | None = timedelta(), off: bool = False) -> None:
        super().__init__(assets=assets)
        self._daily = DailyTimetable(delay, off=off)
        self.can_be_scheduled = self._daily.can_be_scheduled
        self.description = f"{self._daily.description}, and when its Asset is updated"

    @property
    def summary(self) -> str:
        return summary_with_asset(self._daily.summary)

    @classmethod
    def deserialize(cls, data: Json) -> DailyAndOnEventSchedule:
        return cls(assets=decode_asset_like(data["asset_condition"]), **arguments_of(data))

    def serialize(self) -> Json:
        return super().serialize() | self._daily.serialize()

    def next_dagrun_info_v2(
        self, *, last_dagrun_info: DagRunInfo | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        last = last_dagrun_info.partition_date if last_dagrun_info else None
        interval = DataInterval(last, last.add(days=1)) if last else None
        return _of_partition(
            self._daily.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        )

    def iter_partition_dagrun_infos(self, *, earliest: datetime, latest: datetime) -> Iterator[DagRunInfo]:
        """The runs of a backfill, for days that have ended."""
        restriction = TimeRestriction(instance(earliest), instance(latest), catchup=True)
        info = self.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
        while info and info.partition_date and info.partition_date.add(days=1) <= datetime.now(UTC):
            yield info
            info = self.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The day that contains a manual run's logical date."""
        return self._daily.infer_manual_data_interval(run_after=run_after)


def _of_partition(info: DagRunInfo | None) -> DagRunInfo | None:
    if info is None or info.data_interval is None:
        return None
    day = info.data_interval.start
    return DagRunInfo(info.run_after, None, partition_date=day, partition_key=day.to_date_string())
