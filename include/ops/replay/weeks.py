"""What policies are compared by: how good the scores of each week were, whatever versions made them.

Monitoring takes the days of one version together, so its windows leave out the days before a promotion. A week here is
seven days from the replay's first; metrics such as macro F1 are no means of days, so each week's labelled rows are
measured together, by a program with the jobs' libraries, from what ``join_labels`` left in the world. It writes nothing
there: a replay's objects stay those of daily runs.
"""

from __future__ import annotations

import json
import tempfile
from itertools import batched
from pathlib import Path
from typing import TypedDict

from include.models.config import ModelConfig
from include.models.config.files import LABELLED_ROWS, PERFORMANCE
from include.models.config.metrics import COST
from include.models.config.performance import WEEK, WindowPerformance
from include.ops.local_stack.arguments import ArgumentsError
from include.ops.local_stack.command import under_way
from include.ops.local_stack.raw_data import run_job
from include.ops.local_stack.settings import BUCKET
from include.ops.replay.world import World, say
from include.platform.raw_files import list_raw_data
from include.platform.storage import performance_prefix


class Week(TypedDict):
    """Consecutive days: seven, but for the last week. ``metric``: of their labelled rows; None without any."""

    first: str
    last: str
    days: int
    labelled: int
    metric: float | None


def check_labels(model: ModelConfig) -> None:
    """Raises ArgumentsError: a replay could not measure this model."""
    where = f"include/models/{model.name}/model.yaml"
    cannot = f"{model.name} cannot be replayed: a replay compares policies by labels, and"
    if model.labels is None:
        raise ArgumentsError(
            f"{cannot} {where} has no section labels. If a raw table has the truth, name it there: "
            "labels: {table: ...}. See docs/how-to/watch.md, Measure with labels"
        )
    if model.labels.table is None:
        raise ArgumentsError(
            f"{cannot} {where} expects them as files, which past days do not have here. If a raw table has the truth, "
            "name it: labels: {table: ...}. See docs/how-to/watch.md, Measure with labels"
        )
    if model.champion.metric not in {*model.validation_metrics, COST}:
        raise ArgumentsError(
            f"{cannot} {model.champion.metric}, the metric of champion in {where}, is not measured on labelled rows "
            f"alone. Name one that is, such as {next(iter(model.validation_metrics))}"
        )


def measure_weeks(model: ModelConfig, world: World, days: list[str]) -> list[Week]:
    """The weeks of consecutive days.

    Raises:
        RawDataError: the program failed.
    """
    s3, prefix = world.client("s3"), performance_prefix(model.name)
    with tempfile.TemporaryDirectory(dir=world.settings.home) as folder, under_way(f"{world.who}: weeks", say):
        for file in list_raw_data(s3, BUCKET, prefix):
            path = Path(folder, file["key"].removeprefix(prefix))
            if path.name in (PERFORMANCE, LABELLED_ROWS):
                path.parent.mkdir(exist_ok=True)
                s3.download_file(BUCKET, file["key"], str(path))
        asked = ("--model", model.name, "--performance", folder, "--first", days[0], "--last", days[-1])
        printed = run_job(world.settings.python("jobs"), "include.jobs.measure_weeks", *asked)
    measured: list[WindowPerformance | None] = json.loads(printed)
    metric = model.champion.metric
    return [
        {
            "first": week[0],
            "last": week[-1],
            "days": len(week),
            "labelled": found["labelled"] if found else 0,
            "metric": found["metrics"].get(metric) if found else None,
        }
        for week, found in zip(batched(days, WEEK), measured, strict=True)
    ]
