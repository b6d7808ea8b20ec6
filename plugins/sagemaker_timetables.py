"""Registers the timetables of ``sagemaker_jobs``: Airflow accepts only timetables that a plugin registers."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from sagemaker_jobs.timetables import DailyAndOnEventTimetable, DailyTimetable


class SageMakerTimetables(AirflowPlugin):
    """Registers the timetables."""

    name = "sagemaker_timetables"
    timetables = [DailyTimetable, DailyAndOnEventTimetable]  # noqa: RUF012 - as Airflow declares it
