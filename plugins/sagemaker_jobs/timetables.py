"""Schedules whose intervals are days: users always enter days, whatever the hour at which a Dag runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import Asset
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, duration

from sagemaker_jobs.kinds import Json
from sagemaker_jobs.schedules import OFF, WHEN_TRIGGERED, WHY_OFF

if TYPE_CHECKING:
    from airflow.serialization.definitions.assets import SerializedAssetBase

EASTERNMOST = 13  # hours before UTC, in New Zealand's summer


class DailyTimetable(CronDataIntervalTimetable):
    """Each interval is a day, from midnight to midnight UTC; its run starts ``delay`` after the day's end.

    Airflow's own daily schedule starts its intervals at the hour at which it runs. A backfill then leaves out its last
    day, and a manual run with a logical date covers parts of two earlier days
    (https://github.com/apache/airflow/issues/23689).

    Airflow does not backfill a Dag without a schedule, which it calls "non-periodic". So a Dag that never runs on its
    own, but is backfilled, has this timetable without a delay.

    Args:
        delay: less than a day; None: no run starts on its own.
        off: no run starts on its own here, though it would elsewhere.
    """

    def __init__(self, delay: timedelta | None = timedelta(), *, off: bool = False) -> None:
        super().__init__("0 0 * * *", timezone="UTC")
        self._delay, self._off = delay, off
        self.can_be_scheduled = delay is not None and not off
        if not self.can_be_scheduled:
            self.description = f"{WHY_OFF}: runs when triggered" if off else "When triggered"
        if delay is None:
            return
        if not timedelta() <= delay < timedelta(days=1):
            raise ValueError(f"delay is {delay}; allowed is from 0 to less than a day")
        minutes = int(delay.total_seconds() // 60)
        if not off:
            self.description = f"Daily at {minutes // 60:02}:{minutes % 60:02} UTC, for the day that ended"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DailyTimetable) and (other._delay, other._off) == (self._delay, self._off)

    def __hash__(self) -> int:
        return hash((self._delay, self._off))

    @property
    def summary(self) -> str:
        if self._off:
            return OFF
        if self._delay is None:
            return WHEN_TRIGGERED
        minutes = int(self._delay.total_seconds() // 60)
        return f"{minutes % 60} {minutes // 60} * * *"

    @classmethod
    def deserialize(cls, data: Json) -> DailyTimetable:
        return cls(**arguments_of(data))

    def serialize(self) -> Json:
        return {"delay": None if self._delay is None else self._delay.total_seconds(), "off": self._off}

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if not self.can_be_scheduled and not restriction.catchup:
            return None  # the scheduler asks; a backfill catches up
        days = TimeRestriction(
            restriction.earliest and midnight_meant(restriction.earliest),
            restriction.latest and midnight_meant(restriction.latest),
            restriction.catchup,
        )
        found = super().next_dagrun_info(last_automated_data_interval=last_automated_data_interval, restriction=days)
        if found is None or found.data_interval is None:
            return found
        starts = found.data_interval.end + duration(seconds=(self._delay or timedelta()).total_seconds())
        return DagRunInfo(run_after=starts, data_interval=found.data_interval)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The day that contains a manual run's logical date."""
        start = run_after.in_timezone("UTC").start_of("day")
        return DataInterval(start, start.add(days=1))


class DailyAndOnEventTimetable(DailyTimetable):
    """A run for each day, and one for the day in an Asset event's partition key.

    Dag files use this. Airflow's scheduler turns it into a ``DailyAndOnEventSchedule``, whose base class takes longer
    to import than all Dag files.

    Args:
        assets: the Asset; its events' partition keys are ISO dates.
        delay, off: as of ``DailyTimetable``.
    """

    partitioned = True

    def __init__(self, *, assets: Asset, delay: timedelta | None = timedelta(), off: bool = False) -> None:
        super().__init__(delay, off=off)
        self._assets = assets
        self.description = f"{self.description}, and when its Asset is updated"

    @property
    def asset_condition(self) -> SerializedAssetBase:  # type: ignore[override] # Airflow reads it
        from airflow.serialization.encoders import ensure_serialized_asset

        return ensure_serialized_asset(self._assets)

    @property
    def summary(self) -> str:
        return summary_with_asset(super().summary)

    def serialize(self) -> Json:
        from airflow.serialization.encoders import encode_asset_like

        return {"asset_condition": encode_asset_like(self._assets), **super().serialize()}

    @classmethod
    def deserialize(cls, data: Json) -> Any:
        from sagemaker_jobs.event_schedule import DailyAndOnEventSchedule

        return DailyAndOnEventSchedule.deserialize(data)


def summary_with_asset(daily: str) -> str:
    return "Asset" if daily == WHEN_TRIGGERED else f"{daily}, Asset"


class Arguments(TypedDict):
    """Of a ``DailyTimetable``."""

    delay: timedelta | None
    off: bool


def arguments_of(serialized: Json) -> Arguments:
    seconds = serialized["delay"]
    # a Dag that an earlier version serialized lacks ``off``
    return {"delay": None if seconds is None else timedelta(seconds=seconds), "off": serialized.get("off", False)}


def midnight_meant(moment: DateTime) -> DateTime:
    """The midnight (UTC) of the day that a user entered: the browser sends midnight of its own zone.

    22:00 is midnight two hours east of UTC: the next day's. Midnights lie on quarters of an hour, so 23:59:59 stays the
    end of its own day. At 11:00, where zones overlap, New Zealand's summer is meant rather than Samoa.
    """
    moment = moment.in_timezone("UTC")
    start = moment.start_of("day")
    return start.add(days=1) if _is_midnight_east(moment) else start


def _is_midnight_east(moment: DateTime) -> bool:
    on_a_quarter = moment.minute % 15 == 0 and moment.second == 0 and moment.microsecond == 0
    return on_a_quarter and moment.hour >= 24 - EASTERNMOST
