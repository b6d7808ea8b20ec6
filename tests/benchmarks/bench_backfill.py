"""Thirty days backfilled side by side, against thirty times one day: wall time, on a stack of this benchmark's own."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from include.laptop import run as training
from include.laptop import stack
from include.laptop.backfill import Asked, backfill
from include.laptop.seed import aws_client, s3_client
from include.laptop.settings import BUCKET, Settings
from include.scoring import CHAMPION_AT
from tests.include.local_sagemaker.local_server import free_port
from tests.promoted import enter_into_production

MODEL = "predictive_maintenance"
LARGEST_SHARE = 0.35


def seconds_of(settings: Settings, first: str, last: str, console: Console) -> float:
    """From the backfill's start to its last day's end."""
    summary = backfill(settings, Asked(MODEL, first, last, CHAMPION_AT, force=False, dry_run=False), console)
    if summary is None or summary["failed"] or summary["scored"] != summary["days"]:
        raise RuntimeError(f"not every day from {first} to {last} was scored: {summary}")
    return float(summary["seconds"])


def measure(console: Console) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), free_port(), free_port())
        try:
            arn = training.run(settings, MODEL, None, console).summary["model_package_arn"]
            s3, sagemaker = s3_client(settings), aws_client(settings, "sagemaker")
            enter_into_production(s3, sagemaker, BUCKET, MODEL, arn, since=datetime.now(UTC))
            one = seconds_of(settings, "2015-05-31", "2015-05-31", console)
            thirty = seconds_of(settings, "2015-06-01", "2015-06-30", console)
        finally:
            stack.down(settings, console.print)
    share = thirty / (30 * one)
    name = f"30 days backfilled ({thirty:.0f} s), of 30 times one day ({one:.0f} s)"
    return [{"name": name, "value": f"{share:.2f}", "bound": f"<= {LARGEST_SHARE}", "ok": share <= LARGEST_SHARE}]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args(argv)
    rows = measure(Console(stderr=True))
    print(json.dumps(rows) if arguments.json else "\n".join(map(str, rows)))
    return 0 if all(row["ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
