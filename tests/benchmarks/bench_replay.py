"""Replays of past days with the Dags' tasks and jobs.

- Whether a replay that scores days together gives the same result as one that scores one day at a time, like the daily
  Dags: the same scores, metrics of labels, verdicts, trainings and versions, bit for bit. On generated data, with a
  training.
- Whether a permanent change is learned: in real data of predictive_maintenance, volt rises by one standard deviation on
  1 October; retraining on drift brings a version that has learned the new level into production within two weeks, and
  that version sees no drift. (Its performance may be lower: it has seen few failures at the new level.) SHARED_DATA
  names the folder of the data.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from statistics import pstdev
from typing import Any

from rich.console import Console

from include.models.config import load_model
from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.settings import BUCKET, Settings
from include.ops.replay.__main__ import lived, start
from include.ops.replay.policy import Course, course_of
from include.ops.replay.world import World
from rows import Row, end, parser, row

MODEL, FIRST, LAST = "electricity", "1998-04-20", "1998-04-29"
TOGETHER = 10  # days; the weekly policy trains on the seventh evening
SHARED = os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
DATA = Path(SHARED, "azure_pdm")
BEFORE, CHANGED, AFTER = "2015-09-24", "2015-10-01", "2015-10-21"
OF_A_RUN = {
    "run_id",
    "dag_id",
    "published_at",
    "jobs",
    "supersedes",
    "key",
    "profile",
    "shown",
    "digest",
    "told",
    "at",
    "made_of",
}


def plain(content: Any) -> Any:
    """Without names of runs, which each replay numbers separately."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items() if key not in OF_A_RUN}
    return [plain(one) for one in content] if isinstance(content, list) else content


def objects(settings: Settings) -> dict[str, Any]:
    """The days' output by key without names of runs: parsed JSON, and the bytes of other files."""
    world, found = World(settings), dict[str, Any]()
    with world.running():
        s3 = world.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        for key in (one["Key"] for page in pages for one in page.get("Contents", [])):
            if not key.startswith(("scores/", "performance/", "monitoring/")):
                continue
            name = key.rpartition("/")[2]
            if name in ("_SUCCESS.json", "drift.json") or (key.startswith("performance/") and name.endswith(".json")):
                found[key] = plain(json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()))
    return found


def compare() -> list[Row]:
    model = load_model(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        home, ports = Path(folder, "start"), free_ports(3)
        code = start(model, Settings(home, 0, ports[0]), FIRST, LAST, None, Console(stderr=True))
        ways: dict[int, tuple[Course, dict[str, Any]]] = {}
        for days, port in zip((1, TOGETHER), ports[1:], strict=True):
            given = ["--model", MODEL, "--to", LAST, "--days", str(days), "--code", code]
            own = home.with_name("weekly")
            result = lived(home, course_of(["weekly"], FIRST), port, given, [])
            ways[days] = result, objects(Settings(own, 0, port))
            own.rename(home.with_name(f"weekly-{days}"))
    (one, alone), (other, together) = ways[1], ways[TOGETHER]
    days = [day["version"] for day in one["days"]]
    differ = [key for key in alone.keys() | together.keys() if alone.get(key) != together.get(key)]
    return [
        row(
            f"a replay of {len(days)} days, {TOGETHER} at a time: objects that differ from one day at a time",
            f"{len(differ)} of {len(alone)} {sorted(differ)[:3]}",
            "0",
            not differ and len(alone) >= 2 * len(days),
        ),
        row(
            "days' versions, verdicts and metrics, and trainings, are equal",
            str(one["days"] == other["days"]),
            "True",
            one["days"] == other["days"] and one["trainings"] == other["trainings"] and len(one["trainings"]) > 0,
        ),
        row("jobs of the two", f"{len(one['jobs'])} and {len(other['jobs'])}"),
    ]


def higher(raw: Path, into: Path) -> None:
    """The raw tables, with volt one standard deviation higher from ``CHANGED`` on."""
    for file in raw.glob("PdM_*"):
        if "telemetry" not in file.name:
            shutil.copy(file, into)
    with gzip.open(raw / "PdM_telemetry.csv.gz", "rt", newline="") as file:
        header, *rows = csv.reader(file)
    time, volt = header.index("datetime"), header.index("volt")
    more = pstdev(float(row[volt]) for row in rows)
    for one in rows:
        if one[time] >= CHANGED:
            one[volt] = str(float(one[volt]) + more)
    with (into / "PdM_telemetry.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def learned() -> list[Row]:
    """What follows from a permanent change."""
    name = "volt one deviation higher for good: a version that has learned it is in production within two weeks"
    if not (DATA / "PdM_telemetry.csv.gz").is_file():
        return [row(name, f"no {DATA}; SHARED_DATA names the folder", ok=None)]
    with tempfile.TemporaryDirectory() as folder:
        raw, home, ports = Path(folder, "raw"), Path(folder, "start"), free_ports(2)
        raw.mkdir()
        higher(DATA, raw)
        model = load_model("predictive_maintenance")
        code = start(model, Settings(home, 0, ports[0]), BEFORE, AFTER, raw, Console(stderr=True))
        given = ["--model", model.name, "--to", AFTER, "--days", "28", "--code", code]
        found = lived(home, course_of(["on_drift"], BEFORE), ports[1], given, [])
        kept = objects(Settings(home.with_name("on_drift"), 0, ports[1]))
    trained = next((one for one in found["trainings"] if one["version"] is not None), None)
    outcomes = "; ".join(f"{one['day']} {one['outcome']}" for one in found["trainings"]) or "no training"
    verdicts = [one for key, one in kept.items() if key.endswith("/drift.json")]
    later = [one for one in verdicts if trained and one["model_version"] == trained["version"]]
    moved = sorted({name for one in later for name in [*one["drifted"], *one["moved"]]})
    return [
        row(name, outcomes, "by 2015-10-14", trained is not None and trained["day"] <= "2015-10-14"),
        row(
            f"what has drifted on the {len(later)} days that it scored",
            ", ".join(moved) or "nothing",
            "nothing",
            len(later) >= 7 and not moved,
        ),
        row("verdicts on them", ", ".join(one["verdict"] for one in later) or "none"),
    ]


def main(argv: list[str] | None = None) -> int:
    return end([*compare(), *learned()], parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    sys.exit(main())
