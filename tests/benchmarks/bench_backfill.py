"""Thirty days backfilled side by side, against thirty times one day: wall time, on a stack of this benchmark's own.

Measured twice, against the same bound: with twenty seconds of start-up for each job, as SageMaker has minutes of it,
which take no processor; and with jobs as short as a laptop's. There every second
of a day is work for this machine's processors, and thirty days cannot take less than that work divided by their number:
how busy they are is shown beside it.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psutil
from rich.console import Console

from include.ops.local_stack import run as training
from include.ops.local_stack import stack
from include.ops.local_stack.backfill import Asked, backfill
from include.ops.local_stack.seed import aws_client, s3_client
from include.ops.local_stack.settings import BUCKET, Settings
from include.score.plan import CHAMPION_AT
from rows import Row, end, parser, row
from tests.include.local_sagemaker.local_server import free_port
from tests.promoted import enter_into_production

MODEL = "predictive_maintenance"
LARGEST_SHARE = 0.35
START_UP = 20  # seconds


def seconds_of(settings: Settings, first: str, last: str, console: Console) -> float:
    """From the backfill's start to its last day's end."""
    summary = backfill(settings, Asked(MODEL, first, last, CHAMPION_AT, force=False, dry_run=False), console)
    if summary is None or summary["failed"] or summary["scored"] != summary["days"]:
        raise RuntimeError(f"not every day from {first} to {last} was scored: {summary}")
    return float(summary["seconds"])


class LikeSageMaker(Settings):
    """A stack whose jobs take their time."""

    @property
    def sagemaker_options(self) -> list[str]:
        return ["--start-up", f"processing={START_UP},transform={START_UP}"]


def thirty_days(settings: Settings, month: str, console: Console) -> tuple[float, float, float]:
    """The first day of a month; the thirty after it, the share of the processors that were busy meanwhile."""
    one = seconds_of(settings, f"{month}-01", f"{month}-01", console)
    psutil.cpu_percent()
    first, last = date.fromisoformat(f"{month}-02"), date.fromisoformat(f"{month}-02") + timedelta(days=29)
    thirty = seconds_of(settings, first.isoformat(), last.isoformat(), console)
    return one, thirty, psutil.cpu_percent() / 100


def measure(console: Console) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), free_port(), free_port())
        like_sagemaker = LikeSageMaker(settings.home, settings.airflow_port, settings.sagemaker_port)
        try:
            arn = training.run(settings, MODEL, None, console).summary["model_package_arn"]
            s3, sagemaker = s3_client(settings), aws_client(settings, "sagemaker")
            enter_into_production(s3, sagemaker, BUCKET, MODEL, arn, since=datetime.now(UTC))
            stack.down(settings, console.print)
            one, thirty, _ = thirty_days(like_sagemaker, "2015-05", console)
            stack.down(like_sagemaker, console.print)
            short_one, short_thirty, busy = thirty_days(settings, "2015-07", console)
        finally:
            stack.down(settings, console.print)
    slow = f"{START_UP} s of start-up for each job"
    return [
        row("one day scored, jobs as short as here, seconds", f"{short_one:.0f}"),
        row(f"one day scored, {slow}, seconds", f"{one:.0f}"),
        share(one, thirty, slow),
        share(short_one, short_thirty, f"jobs as short as here, {busy:.0%} of the processors busy"),
    ]


def share(one: float, thirty: float, jobs: str) -> Row:
    found = thirty / (30 * one)
    name = f"30 days backfilled ({thirty:.0f} s), of 30 times one day ({one:.0f} s), {jobs}"
    return row(name, f"{found:.2f}", f"<= {LARGEST_SHARE}", ok=found <= LARGEST_SHARE)


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    return end(measure(Console(stderr=True)), arguments)


if __name__ == "__main__":
    sys.exit(main())
