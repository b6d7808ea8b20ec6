"""Whether a replay that scores days together gives the same result as one that takes one day at a time, like the daily
Dags: the same scores, metrics of labels, verdicts, trainings and versions, bit for bit. On generated data, with a
training."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from include.models.config import load_model
from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.settings import BUCKET, Settings
from include.ops.replay.__main__ import lived, start
from include.ops.replay.policy import Replayed
from include.ops.replay.world import World
from rows import Row, end, parser, row

MODEL, FIRST, LAST = "electricity", "1998-04-20", "1998-04-29"
TOGETHER = 10  # days; the weekly policy trains on the seventh evening
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
    """Without what names a run, which two replays number on their own."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items() if key not in OF_A_RUN}
    return [plain(one) for one in content] if isinstance(content, list) else content


def objects(settings: Settings) -> dict[str, Any]:
    """The days' output: the content of JSON, the bytes of other files, by key without names of runs."""
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
        ways: dict[int, tuple[Replayed, dict[str, Any]]] = {}
        for days, port in zip((1, TOGETHER), ports[1:], strict=True):
            given = ["--model", MODEL, "--from", FIRST, "--to", LAST, "--days", str(days), "--code", code]
            own = home.with_name("weekly")
            result = lived(home, "weekly", port, given)
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


def main(argv: list[str] | None = None) -> int:
    return end(compare(), parser(__doc__).parse_args(argv))


if __name__ == "__main__":
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    sys.exit(main())
