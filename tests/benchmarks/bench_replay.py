"""Replays of past days with the Dags' tasks and jobs.

- Whether a replay that scores days together gives the same result as one that scores one day at a time, like the daily
  Dags: the same scores, metrics of labels, verdicts, trainings and versions, bit for bit. On generated data, with a
  training.
- Whether a replay gives the same result as Airflow's daily runs: the first of these days are also scored and watched by
  the Dags, under the real scheduler, from the same first version; the same objects, bit for bit.
- Whether a permanent change is learned: in real data of predictive_maintenance, volt rises by one standard deviation on
  1 October; retraining on drift brings a version that has learned the new level into production within two weeks, and
  monitoring it is quiet: it sees no drift, and performs as evaluated on rows of the new level, as far as their few
  failures tell. SHARED_DATA names the folder of the data.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import pstdev
from typing import Any, Literal

from rich.console import Console

from include.models.config import load_model
from include.monitor.verdict import BAD
from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.processes import free_ports, wait_until
from include.ops.local_stack.settings import BUCKET, Settings
from include.ops.replay.__main__ import lived, start
from include.ops.replay.policy import Course, course_of
from include.ops.replay.world import World, say
from include.score.plan import days_between
from rows import Row, end, parser, row

MODEL, FIRST, LAST = "electricity", "1998-04-20", "1998-04-28"
TOGETHER = 9  # days; the weekly policy trains on the seventh evening
DAILY = days_between(FIRST, LAST)[:3]  # also by Airflow
SAME: tuple[Literal["days", "weeks", "trainings"], ...] = ("days", "weeks", "trainings")
PATIENCE = 400  # seconds for a run
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
        by_airflow = daily_runs(home)
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
            "days' versions, verdicts and metrics, weeks, and trainings, are equal",
            str(all(one[what] == other[what] for what in SAME)),
            "True",
            all(one[what] == other[what] for what in SAME) and len(one["trainings"]) > 0,
        ),
        row("jobs of the two", f"{len(one['jobs'])} and {len(other['jobs'])}"),
        same_as_airflow(alone, by_airflow),
    ]


def daily_runs(start_home: Path) -> dict[str, Any]:
    """The output of ``DAILY``, each scored and watched by the Dags' runs in a copy of the first world."""
    settings = Settings(start_home.with_name("airflow"), *free_ports(2))
    shutil.copytree(start_home, settings.home, ignore=shutil.ignore_patterns("logs", "pids"))

    try:
        stack.up(settings, say)
        airflow = AirflowApi(settings.airflow_url, settings.login)
        score, watch = f"score_{MODEL}", f"monitor_{MODEL}"
        wait_until(lambda: {score, watch} <= {*airflow.dag_ids()}, "the Dags being parsed", PATIENCE)
        airflow.unpause(score)
        airflow.unpause(watch)
        for day in DAILY:
            ended(airflow, score, airflow.trigger(score, {"day": day}))
            ended(airflow, watch, started_by_scores(airflow, watch, day))
            say(f"{day} scored and watched by Airflow")
    finally:
        stack.down(settings, say)
    return objects(settings)


def started_by_scores(airflow: AirflowApi, dag_id: str, day: str) -> str:
    """The run that the publication of a day's scores starts.

    Raises:
        RuntimeError: there is none.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for run in airflow.call("GET", f"/dags/{dag_id}/dagRuns", params={"limit": 100})["dag_runs"]:
            if run["run_type"] == "asset_triggered" and run["partition_key"] == day:
                return str(run["dag_run_id"])
        time.sleep(1)
    raise RuntimeError(f"the scores of {day} have started no run of {dag_id}")


def ended(airflow: AirflowApi, dag_id: str, run_id: str) -> None:
    """Waits for a run.

    Raises:
        RuntimeError: it failed, or takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    while (state := airflow.run_state(dag_id, run_id)) != "success":
        if state == "failed" or time.monotonic() > deadline:
            tasks = {one["task_id"]: one["state"] for one in airflow.task_instances(dag_id, run_id)}
            raise RuntimeError(f"the run {run_id} of {dag_id} is {state}: {tasks}")
        time.sleep(1)


def same_as_airflow(replayed: dict[str, Any], by_airflow: dict[str, Any]) -> Row:
    of_days = {key: content for key, content in replayed.items() if any(f"date={day}/" in key for day in DAILY)}
    differ = sorted(key for key in of_days.keys() | by_airflow.keys() if of_days.get(key) != by_airflow.get(key))
    return row(
        f"the same replay's first {len(DAILY)} days: objects that differ from Airflow's daily runs",
        f"{len(differ)} of {len(of_days)} {differ[:3]}",
        "0",
        not differ and len(of_days) >= 3 * len(DAILY),
    )


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
        row(
            "verdicts on them",
            ", ".join(one["verdict"] for one in later) or "none",
            "fine, or too little to say",
            bool(later) and not {one["verdict"] for one in later} & set(BAD),
        ),
    ]


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--only", choices=["same", "learned"], help="one of the two questions")
    given = arguments.parse_args(argv)
    rows = [] if given.only == "learned" else compare()
    return end([*rows, *([] if given.only == "same" else learned())], given)


if __name__ == "__main__":
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    sys.exit(main())
