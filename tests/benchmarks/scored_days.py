"""The cost of start-up times when scoring days: on a stack with jobs that start as slowly as SageMaker's, and on one
with jobs that start immediately. The number of jobs decides, so jobs are counted too.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console

from include.ops import Json
from include.ops.local_stack import run as training
from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.backfill import Asked, backfill
from include.ops.local_stack.seed import aws_client, s3_client
from include.ops.local_stack.settings import BUCKET, Settings
from include.score.plan import CHAMPION_AT
from include.score.published import read_published
from rows import Row, row
from sagemaker_jobs.account import account
from tests.include.local_sagemaker.local_server import free_port
from tests.promoted import enter_into_production

MODEL = "predictive_maintenance"
FIRST = date(2015, 1, 2)


@dataclass(frozen=True)
class SlowSettings(Settings):
    """A stack with jobs that start after the given number of seconds."""

    start_up: int = 0

    @property
    def sagemaker_options(self) -> list[str]:
        kinds = ("processing", "training", "transform")
        return ["--start-up", ",".join(f"{kind}={self.start_up}" for kind in kinds)]


def trigger(settings: Settings, dag_id: str, conf: Json) -> float:
    """Seconds from the trigger to the end of the run.

    Raises:
        RuntimeError: it failed.
    """
    api = AirflowApi(settings.airflow_url, settings.login)
    api.unpause(dag_id)
    began = time.monotonic()
    run_id = api.trigger(dag_id, conf)
    while (state := api.run_state(dag_id, run_id)) not in training.FINISHED:
        time.sleep(0.5)
    if state != "success":
        raise RuntimeError(f"{dag_id} ended as {state}: {run_id}")
    return time.monotonic() - began


def days(settings: Settings, first: date, count: int, console: Console) -> Json:
    """The summary of a backfill that rescores the given number of days."""
    last = first + timedelta(days=count - 1)
    asked = Asked(MODEL, first.isoformat(), last.isoformat(), CHAMPION_AT, force=True, dry_run=False, budget=1000.0)
    summary = backfill(settings, asked, console)
    if summary is None or summary["failed"] or summary["scored"] != count:
        raise RuntimeError(f"not every day from {first} on was scored: {summary}")
    return summary


def bounded(name: str, seconds: float, bound: float, words: str) -> Row:
    return row(f"{name}, seconds", f"{seconds:.0f}", f"<= {bound:.0f} ({words})", ok=seconds <= bound)


def slow_rows(settings: SlowSettings, console: Console) -> list[Row]:
    """With a minute of start-up: one day, and a month."""
    stack.up(settings, console.print)
    start_up = settings.start_up
    one = trigger(settings, f"score_{MODEL}", {"day": FIRST.isoformat(), "force": True})
    found = read_published(s3_client(settings), BUCKET, MODEL, FIRST.isoformat())
    jobs = len(found["jobs"]) if found else 0
    month = days(settings, FIRST, 30, console)
    return [
        row("jobs per scored day", str(jobs), "1", ok=jobs == 1),
        bounded(f"one day, start-up {start_up} s, trigger to published", one, start_up + 25, "1 start-up + 25 s"),
        bounded(f"30 days, start-up {start_up} s", month["seconds"], 2 * start_up + 60, "2 start-ups + 60 s"),
    ]


def year_rows(
    settings: Settings, count: int, bound: float, name: str, console: Console, month: float | None = None
) -> list[Row]:
    """``month``: seconds that 30 days took on the same stack."""
    stack.up(settings, console.print)
    year = days(settings, FIRST, count, console)
    rows = [
        bounded(f"{count} days {name}", year["seconds"], bound * count / 365, f"{bound / 60:.0f} minutes a year"),
        row(f"jobs of {count} days {name}", str(year["jobs"]), "<= 12", ok=year["jobs"] <= 12),
    ]
    if month:
        words = f"{count / 30:.1f} times the {month:.0f} s of 30 days"
        rows.append(bounded(f"{count} days, linear in days", year["seconds"], month * count / 30, words))
    return rows


def measure(count: int, console: Console) -> list[Row]:
    """A day, a month, and the given number of days of a year, each on a separate stack."""
    with tempfile.TemporaryDirectory() as folder:
        quick = Settings(Path(folder), free_port(), free_port())
        ports = (quick.home, quick.airflow_port, quick.sagemaker_port)
        minute, minutes = SlowSettings(*ports, start_up=60), SlowSettings(*ports, start_up=180)
        try:
            arn = training.run(quick, MODEL, None, console).summary["model_package_arn"]
            s3, sagemaker = s3_client(quick), aws_client(quick, "sagemaker")
            enter_into_production(s3, sagemaker, BUCKET, MODEL, arn, since=datetime.now(UTC))
            days(quick, FIRST, 2, console)  # creates the first days, and warms up
            month = days(quick, FIRST, 30, console)["seconds"]
            rows = year_rows(quick, count, 8 * 60, "on a laptop, no start-up", console, month)
            stack.down(quick, console.print)
            rows += slow_rows(minute, console)
            stack.down(minute, console.print)
            start_up = f"with a start-up of {minutes.start_up} s, quota {account().pools['processing']}"
            rows += year_rows(minutes, count, 15 * 60, start_up, console)
        finally:
            stack.down(quick, console.print)
    return rows
