"""Tells Airflow of the timetables in ``sagemaker_jobs``: what a Dag's schedule is of must be registered by a plugin."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from sagemaker_jobs.timetables import DailyAndOnEventTimetable, DailyTimetable


class SageMakerTimetables(AirflowPlugin):
    """Registers the timetables."""

    name = "sagemaker_timetables"
    timetables = [DailyTimetable, DailyAndOnEventTimetable]  # noqa: RUF012 - as Airflow declares it
