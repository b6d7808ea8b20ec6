"""Measures the labelled rows of every seven days together, whatever versions scored them: what a replay compares.

    python -m include.jobs.measure_weeks --model M --performance DIR --first ISO --last ISO

Reads ``<performance>/date=<day>/`` as ``join_labels`` writes it. Prints a JSON list of the range's weeks in order, the
last of which may have fewer days: a ``WindowPerformance``, whose ``days`` are the labelled ones; null without any.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from itertools import batched
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.watching.realised import performance_of_window
from include.models.config import ModelConfig, load_model
from include.models.config.files import LABELLED_ROWS, PERFORMANCE, day_folder
from include.models.config.performance import WEEK, Performance, WindowPerformance


def weeks_of(config: ModelConfig, performance: Path, first: date, last: date) -> list[WindowPerformance | None]:
    every = (str(first + timedelta(days=number)) for number in range((last - first).days + 1))
    return [_measured(config, performance, days) for days in batched(every, WEEK)]


def _measured(config: ModelConfig, performance: Path, days: tuple[str, ...]) -> WindowPerformance | None:
    files = {day: performance / day_folder(day) / PERFORMANCE for day in days}
    known: dict[str, Performance] = {
        day: json.loads(file.read_text(encoding="utf-8")) for day, file in files.items() if file.is_file()
    }
    labelled = {day: one for day, one in known.items() if one["labelled"]}
    rows = [pl.read_parquet(performance / day_folder(day) / LABELLED_ROWS) for day in labelled]
    scored = sum(one["rows"] for one in known.values())
    return performance_of_window(config, labelled, rows, scored) if labelled else None


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, performance="folder of date=<day> folders")
    parser.add_argument("--first", type=date.fromisoformat, required=True)
    parser.add_argument("--last", type=date.fromisoformat, required=True)
    asked = parser.parse_args(argv)
    weeks = weeks_of(load_model(asked.model), asked.performance, asked.first, asked.last)
    print(json.dumps(weeks, allow_nan=False))


if __name__ == "__main__":
    run_program(main)
