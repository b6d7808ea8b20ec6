"""Daily schedules."""

from __future__ import annotations

from datetime import timedelta

import pendulum
import pytest
from airflow.sdk import Asset
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from pendulum import DateTime

from sagemaker_jobs.schedules import WHEN_TRIGGERED
from sagemaker_jobs.timetables import DailyAndOnEventTimetable, DailyTimetable, midnight_meant

AT_TWO = DailyTimetable(timedelta(hours=2))


def days_of_backfill(first: str, last: str, timetable: DailyTimetable = AT_TWO) -> list[str]:
    """As Airflow lists a backfill's runs."""
    found: list[DagRunInfo] = []
    restriction = TimeRestriction(_moment(first), _moment(last), catchup=True)
    info = None
    while info := timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction):
        found.append(info)
    return [each.data_interval.start.to_date_string() for each in found if each.data_interval]


def _moment(text: str) -> DateTime:
    moment = pendulum.parse(text)
    assert isinstance(moment, DateTime)
    return moment.in_timezone("UTC")


@pytest.mark.parametrize("delay", [timedelta(), timedelta(hours=2), timedelta(hours=23, minutes=59)])
def test_a_backfill_from_midnight_to_midnight_has_its_last_day(delay: timedelta) -> None:
    days = days_of_backfill("2022-03-01T00:00:00Z", "2022-03-03T00:00:00Z", DailyTimetable(delay))
    assert days == ["2022-03-01", "2022-03-02", "2022-03-03"]


@pytest.mark.parametrize("zone", [-10, -5, -3.5, 0, 1, 2, 5.75, 9.5, 12, 13])
def test_midnight_in_any_browsers_zone_is_that_day(zone: float) -> None:
    first, last = (DateTime(2022, 3, day, tzinfo=pendulum.UTC).subtract(minutes=int(zone * 60)) for day in (1, 3))
    assert days_of_backfill(first.isoformat(), last.isoformat()) == ["2022-03-01", "2022-03-02", "2022-03-03"]
    own = [midnight_meant(moment.in_timezone(pendulum.FixedTimezone(int(zone * 3600)))) for moment in (first, last)]
    assert [moment.isoformat() for moment in own] == ["2022-03-01T00:00:00+00:00", "2022-03-03T00:00:00+00:00"]


def test_the_end_of_a_day_is_not_another_days_midnight() -> None:
    assert days_of_backfill("2022-03-01T00:00:00Z", "2022-03-01T23:59:59Z") == ["2022-03-01"]


def test_a_run_starts_some_time_after_its_day() -> None:
    yesterday = DataInterval(pendulum.datetime(2022, 3, 1), pendulum.datetime(2022, 3, 2))
    unbounded = TimeRestriction(None, None, catchup=True)
    info = AT_TWO.next_dagrun_info(last_automated_data_interval=yesterday, restriction=unbounded)
    assert info is not None
    assert info.data_interval == DataInterval(pendulum.datetime(2022, 3, 2), pendulum.datetime(2022, 3, 3))
    assert info.run_after == pendulum.datetime(2022, 3, 3, 2)


@pytest.mark.parametrize("moment", ["2022-03-10T00:00:00Z", "2022-03-10T12:30:00Z", "2022-03-10T23:59:59Z"])
def test_a_manual_run_is_of_the_day_of_its_date(moment: str) -> None:
    interval = AT_TWO.infer_manual_data_interval(run_after=_moment(moment))
    assert interval == DataInterval(pendulum.datetime(2022, 3, 10), pendulum.datetime(2022, 3, 11))


def test_it_survives_the_way_through_the_database() -> None:
    again = DailyTimetable.deserialize(AT_TWO.serialize())
    assert again == AT_TWO
    assert again.summary == "0 2 * * *"
    assert again != DailyTimetable(timedelta(hours=3))
    assert again.periodic, "Airflow backfills no other schedule"


def test_a_delay_of_a_day_is_refused() -> None:
    with pytest.raises(ValueError, match="less than a day"):
        DailyTimetable(timedelta(days=1))


SAID = DailyAndOnEventTimetable(assets=Asset("scores"), delay=timedelta(hours=2))
ON_EVENT = DailyAndOnEventTimetable.deserialize(SAID.serialize())  # as the scheduler passes it


def test_days_that_an_asset_names_have_their_own_runs_beside_the_daily_ones() -> None:
    assert ON_EVENT.partitioned
    assert ON_EVENT.periodic, "Airflow backfills no other schedule"
    assert ON_EVENT.get_partition_mapper(name="scores").to_downstream("2022-03-01") == "2022-03-01"
    assert [key.name for key, _ in ON_EVENT.asset_condition.iter_assets()] == ["scores"]
    assert ON_EVENT.summary == "0 2 * * *, Asset"
    assert (ON_EVENT.description, ON_EVENT.partitioned, ON_EVENT.periodic) == (
        SAID.description,
        SAID.partitioned,
        SAID.periodic,
    )


def test_a_daily_run_is_of_the_partition_of_its_day() -> None:
    unbounded = TimeRestriction(None, None, catchup=True)
    day = pendulum.datetime(2022, 3, 1)
    last = DagRunInfo(day.add(days=1, hours=2), None, partition_date=day, partition_key="2022-03-01")
    info = ON_EVENT.next_dagrun_info_v2(last_dagrun_info=last, restriction=unbounded)
    assert info is not None
    assert (info.partition_key, info.partition_date) == ("2022-03-02", pendulum.datetime(2022, 3, 2))
    assert info.run_after == pendulum.datetime(2022, 3, 3, 2)
    assert info.data_interval is None, "as Airflow does for partitions"


def test_a_backfill_of_partitions_has_the_days_that_are_over() -> None:
    infos = ON_EVENT.iter_partition_dagrun_infos(
        earliest=_moment("2022-03-01T00:00:00Z"), latest=_moment("2022-03-03T00:00:00Z")
    )
    assert [info.partition_key for info in infos] == ["2022-03-01", "2022-03-02", "2022-03-03"]
    now = pendulum.now("UTC")
    days = [
        info.partition_key for info in ON_EVENT.iter_partition_dagrun_infos(earliest=now.subtract(days=3), latest=now)
    ]
    assert days
    assert days[-1] == now.subtract(days=1).to_date_string()


def test_what_is_only_triggered_is_backfilled_and_never_started_by_the_scheduler() -> None:
    triggered = DailyTimetable(None)
    asked = TimeRestriction(pendulum.datetime(2022, 3, 1), None, catchup=False)
    assert triggered.next_dagrun_info(last_automated_data_interval=None, restriction=asked) is None
    assert AT_TWO.next_dagrun_info(last_automated_data_interval=None, restriction=asked) is not None
    assert days_of_backfill("2022-03-01T00:00:00Z", "2022-03-02T00:00:00Z", triggered) == ["2022-03-01", "2022-03-02"]
    assert (triggered.can_be_scheduled, AT_TWO.can_be_scheduled) == (False, True)
    assert (triggered.description, AT_TWO.description) == (
        "When triggered",
        "Daily at 02:00 UTC, for the day that ended",
    )
    assert (triggered.summary, AT_TWO.summary) == (WHEN_TRIGGERED, "0 2 * * *")


def test_what_is_off_here_is_backfilled_as_where_it_is_on() -> None:
    off = DailyTimetable(timedelta(hours=2), off=True)
    asked = TimeRestriction(pendulum.datetime(2022, 3, 1), None, catchup=False)
    assert off.next_dagrun_info(last_automated_data_interval=None, restriction=asked) is None
    backfilled = TimeRestriction(pendulum.datetime(2022, 3, 1), None, catchup=True)
    of_a_backfill = [
        each.next_dagrun_info(last_automated_data_interval=None, restriction=backfilled) for each in (off, AT_TWO)
    ]
    assert of_a_backfill[0] == of_a_backfill[1] is not None
    assert (off.can_be_scheduled, off.periodic, off.summary) == (False, True, "off")
    assert "SCHEDULES=1" in off.description
    with_asset = DailyAndOnEventTimetable(assets=Asset("scores"), delay=timedelta(hours=2), off=True)
    as_the_scheduler_has_it = DailyAndOnEventTimetable.deserialize(with_asset.serialize())
    assert with_asset.summary == as_the_scheduler_has_it.summary == "off, Asset"
    assert (as_the_scheduler_has_it.can_be_scheduled, as_the_scheduler_has_it.periodic) == (False, True)


def test_a_dag_that_an_earlier_version_wrote_is_read() -> None:
    assert DailyTimetable.deserialize({"delay": 7200.0}) == AT_TWO


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("delay", [None, timedelta(), timedelta(hours=2, minutes=30)])
def test_a_timetable_survives_the_way_through_the_database(delay: timedelta | None, *, off: bool) -> None:
    made = DailyTimetable(delay, off=off)
    assert made != DailyTimetable(delay, off=not off)
    assert DailyTimetable.deserialize(made.serialize()) == made
    assert made != DailyTimetable(timedelta(hours=3))
    assert made != "another kind"


@pytest.mark.parametrize("moment", ["22:07:00", "22:00:01", "22:00:00.5"])
def test_only_a_quarter_of_an_hour_is_another_zones_midnight(moment: str) -> None:
    assert midnight_meant(_moment(f"2022-03-01T{moment}Z")) == pendulum.datetime(2022, 3, 1)
    assert midnight_meant(_moment("2022-03-01T22:00:00Z")) == pendulum.datetime(2022, 3, 2)
