"""Whether models' schedules are on. They are off on a laptop unless asked for: its data ended long ago, so a run for
yesterday would fail, and nobody would be at fault."""

from __future__ import annotations

import os

VARIABLE = "AIRFLOW__SAGEMAKER_JOBS__SCHEDULES"
NO = {"off", "0", "no", "false"}
WHEN_TRIGGERED, OFF = "when triggered", "off"  # how Airflow shows a schedule by which no run starts
WHY_OFF = "Models' schedules are off on this laptop; 'make down up SCHEDULES=1' or 'make compose-up SCHEDULES=1' turns \
them on"


def schedules_are_off() -> bool:
    return os.environ.get(VARIABLE, "").strip().lower() in NO
