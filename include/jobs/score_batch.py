"""Scores many days of one model with one version, in one job.

    python -m include.jobs.score_batch --model M --partitions DIR --artifact DIR --plan DIR --days DIR [--reference DIR]

Reads ``<plan>/days.json``, which names each day's files below ``--partitions``, and the version's model.tar.gz in
``--artifact``. Writes ``<days>/date=<day>/scores/`` and ``<days>/date=<day>/report/``, as ``score_day`` does, each day
complete and as soon as it is scored, so that days can be uploaded while the job runs.

Each day is validated, scored and checked separately: a day that fails leaves its own report, and the others go on. All
cores are used, each for consecutive days, so that the look-back of a day is read once. The exit status is 0 whatever
the verdicts.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import traceback
from concurrent.futures import ProcessPoolExecutor
from itertools import batched
from pathlib import Path
from typing import TYPE_CHECKING

from include.jobs.cli import arguments_of, run_program
from include.jobs.serving.archive import unpack
from include.jobs.watching.feeds import add_reference
from include.models.config import load_model
from include.models.config.files import DAY_RESULT, DAYS, REPORT, SCORES, day_folder
from include.models.config.results import DayResult

if TYPE_CHECKING:
    from include.jobs.daily.one_job import DayScorer

SLOW_TO_IMPORT = "include.jobs.daily.one_job"  # only the workers need it
SLICES_A_CORE = 3  # so that no core waits long for the last one; each reads the day before its first once more

DayFiles = dict[str, list[str]]  # by day, relative to the folder of partitions
_scorer: DayScorer  # of a worker process


def _open(model: str, artifact: Path, reference: Path | None) -> None:
    from include.jobs.daily.one_job import DayScorer

    global _scorer
    _scorer = DayScorer(load_model(model), artifact, reference=reference)


def _score(days: DayFiles, partitions: Path, into: Path) -> list[tuple[str, DayResult]]:
    return [(day, score_one(_scorer, day, files, partitions, into)) for day, files in days.items()]


def score_one(scorer: DayScorer, day: str, files: list[str], partitions: Path, into: Path) -> DayResult:
    """Scores a day from its files; its folder appears atomically. Errors become the day's result."""
    with tempfile.TemporaryDirectory(dir=into.parent) as name:
        folder, own = Path(name, "day"), Path(name, "partitions")
        for file in files:
            (own / file).parent.mkdir(parents=True, exist_ok=True)
            (own / file).symlink_to(partitions / file)
        try:
            result = scorer.score(own, day, folder / SCORES, folder / REPORT)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other days go on
            traceback.print_exc()
            summary = f"{day} could not be scored: {type(error).__name__}: {error}"[:900]
            result = {"passed": False, "summary": summary, "rows": 0, "tables": {}, "seconds": {}}
            (folder / REPORT).mkdir(parents=True, exist_ok=True)
            (folder / REPORT / DAY_RESULT).write_text(json.dumps(result), encoding="utf-8")
        folder.rename(into / day_folder(day))
    return result


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        partitions="folder of date=<day> folders",
        artifact="folder of the version's model.tar.gz",
        plan="folder of days.json",
        days="where to write the days",
    )
    add_reference(parser)
    given = parser.parse_args(argv)
    days: DayFiles = json.loads((given.plan / DAYS).read_text(encoding="utf-8"))
    if not days:
        return
    given.days.mkdir(parents=True, exist_ok=True)
    if sys.platform == "linux":
        cores = min(len(os.sched_getaffinity(0)), len(days))  # those that this process may use
    else:  # macOS has no such limit
        cores = min(os.cpu_count() or 1, len(days))
    slices = [dict(some) for some in batched(days.items(), -(-len(days) // (cores * SLICES_A_CORE)))]
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([SLOW_TO_IMPORT])  # once
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            cores, processes, _open, (given.model, unpack(given.artifact, Path(folder)), given.reference)
        ) as pool,
    ):
        left = len(days)
        for some in pool.map(_score, slices, [given.partitions] * len(slices), [given.days] * len(slices)):
            left -= len(some)
            for day, result in some:
                print(f"{day}: {result['summary']}", flush=True)
            print(f"{left} of {len(days)} days left", flush=True)


if __name__ == "__main__":
    run_program(main)
