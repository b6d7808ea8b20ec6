"""``make backfill-faults``: a year of daily partitions backfilled while the scheduler is killed twice, one job in five
gets no instance, and one is interrupted among its days. What the interrupted job has staged is published, and a second
backfill scores the rest. Every day must be published once, be announced once, and have the right rows.

    python -m tests.faults.year [--days N] [--data FOLDER]

Prints the figures and writes ``.local/backfill-faults.json``. Exit status: non-zero if a day is missing, published
twice, or has other rows than it should.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from include.models.config.files import DAY_RESULT
from include.ops.local_stack import run as training
from include.ops.local_stack.backfill import Asked, backfill
from include.ops.local_stack.seed import s3_client
from include.ops.local_stack.settings import BUCKET, ROOT
from include.platform.storage import daily_partition, scores_manifest, scores_partition
from include.score.plan import CHAMPION_AT, days_between
from include.score.published import read_published
from tests.faults.lab import Lab
from tests.promoted import enter_into_production

MODEL = "predictive_maintenance"
FIRST = date(2015, 1, 1)
JOB = "include.jobs.score_batch"
FAILING_SHARE = 0.2  # with a dozen jobs: at one in twenty, most years would see no failure


class Night(threading.Thread):
    """Kills the scheduler after a third and after two thirds of the days, and a job after the first kill."""

    def __init__(self, lab: Lab, days: list[str]) -> None:
        super().__init__(daemon=True)
        self.killed: list[int] = []
        self.broken_off = 0
        self.over = threading.Event()
        self._lab, self._days = lab, days

    def run(self) -> None:
        for share in (1, 2):
            while self._done() < share * len(self._days) // 3:
                if self.over.wait(3):
                    return
            self.killed.append(self._done())
            self._lab.kill_service("airflow-scheduler", signal.SIGKILL)
            if not self.broken_off:
                self.broken_off = self._break_off()

    def _break_off(self) -> int:
        """Kill the programs of jobs that score days; the number killed."""
        sagemaker = self._lab.services["local-sagemaker"].process()
        for process in sagemaker.children(recursive=True) if sagemaker else []:
            with suppress(psutil.NoSuchProcess):
                if JOB in process.cmdline():
                    for killed in (process, *process.children(recursive=True)):
                        killed.kill()
                    return 1
        return 0

    def _done(self) -> int:
        """Days that jobs have finished; the days of a batch are published together."""
        pages = s3_client(self._lab.settings).get_paginator("list_objects_v2")
        keys = (
            item["Key"]
            for page in pages.paginate(Bucket=BUCKET, Prefix="runs/backfill/")
            for item in page.get("Contents", [])
        )
        return sum(key.endswith(f"/{DAY_RESULT}") for key in keys)


def expected_rows(s3: Any, day: str) -> int:
    """The rows that a day's scores must have, counted in its raw data: the readings at every third hour."""
    prefix = daily_partition(MODEL, day)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]]
    (key,) = (key for key in keys if key.removeprefix(prefix).startswith("PdM_telemetry.csv"))
    body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    table = csv.DictReader(io.StringIO((gzip.decompress(body) if key.endswith(".gz") else body).decode()))
    return sum(datetime.fromisoformat(row["datetime"]).hour % 3 == 0 for row in table)


def findings(lab: Lab, days: list[str]) -> list[str]:
    """What is wrong with the published days."""
    s3 = s3_client(lab.settings)
    wrong = []
    told = Counter(day for (day,) in lab.select("SELECT partition_key FROM asset_event"))
    for day in days:
        written = lab.proxy.written[f"/{BUCKET}/{scores_manifest(MODEL, day)}"]
        if (written, told[day]) != (1, 1):
            wrong.append(f"{day} was published {written} times and told of {told[day]} times")
        manifest = read_published(s3, BUCKET, MODEL, day)
        if manifest is None:
            wrong.append(f"{day} is missing")
            continue
        rows, expected = manifest["rows"], expected_rows(s3, day)
        if not expected - sum(manifest["quarantined"].values()) <= rows <= expected:
            wrong.append(f"{day} has {rows} rows, not {expected}")
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=scores_partition(MODEL, day))["Contents"]
        files = {item["Key"] for item in listed if item["Key"].endswith(".parquet")}
        if files != {file["key"] for file in manifest["files"]}:
            wrong.append(f"{day} holds files that its manifest does not name: {sorted(files)}")
    return wrong


def processor_seconds() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system)


def measure(lab: Lab, days: list[str], data: Path | None, console: Console) -> dict[str, Any]:
    s3 = s3_client(lab.settings)
    trained = training.run(lab.settings, MODEL, data, console)
    arn = trained.summary["model_package_arn"]
    enter_into_production(s3, lab.sagemaker, BUCKET, MODEL, arn, since=datetime.now(UTC))
    night = Night(lab, days)
    night.start()
    lab.proxy.lacking_share = FAILING_SHARE
    busy = processor_seconds()
    began = time.monotonic()
    asked = Asked(MODEL, days[0], days[-1], CHAMPION_AT, force=False, dry_run=False)
    try:
        summary = backfill(lab.settings, asked, console)
        lab.proxy.lacking_share = 0.0
        again = backfill(lab.settings, asked, console)  # what the person on call does
    finally:
        night.over.set()
    seconds = time.monotonic() - began
    busy = processor_seconds() - busy
    assert summary is not None
    assert again is not None
    created = Counter({name: number for name, number in lab.proxy.calls.items() if name.startswith("Create")})
    return {
        "days": len(days),
        "scored": summary["scored"],
        "scored_by_the_second": again["scored"],
        "without_scores": again["failed"],
        "rows": again["rows"],
        "seconds": round(seconds, 1),
        "days_per_minute": round(60 * len(days) / seconds, 2),
        "processor_seconds_per_day": round(busy / len(days), 1),
        "processors_busy_share": round(busy / seconds / (psutil.cpu_count() or 1), 2),
        "jobs_created": sum(created[f"Create{kind}"] for kind in ("ProcessingJob", "TransformJob")),
        "jobs_without_capacity": lab.proxy.hits["no capacity"],
        "jobs_broken_off": night.broken_off,
        "scheduler_killed_after_days": night.killed,
        "wrong": findings(lab, days),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--data", type=Path, help="folder with the raw tables; generated when not given")
    arguments = parser.parse_args(argv)
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stack is stopped in this case too
    days = days_between(FIRST.isoformat(), (FIRST + timedelta(days=arguments.days - 1)).isoformat())
    home = Path(tempfile.mkdtemp(prefix="year-"))
    with Lab(home, console.print, impatient=False) as lab:
        result = measure(lab, days, arguments.data, console)
    file = ROOT / ".local" / "backfill-faults.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        console.print(f"{name.replace('_', ' '):28}{value}", highlight=False)
    kept = not result["wrong"] and result["scored"] + result["scored_by_the_second"] == len(days)
    kept &= len(result["scheduler_killed_after_days"]) == 2 and result["jobs_broken_off"] == 1
    if not kept:
        console.print(f"[red]a promise is broken[/]; the stack's logs are in {home}")
        return 1
    shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
