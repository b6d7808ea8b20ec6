"""Joins new labels with the scores of their days: the realised performance.

    python -m include.jobs.join_labels --model M --given DIR --performance DIR [--days ISO ...] [--windows ISO ...]

``<given>`` mirrors the bucket: ``daily/<model>/``, ``labels/<model>/``, ``scores/<model>/`` and
``performance/<model>/`` of the required days. ``--days`` have new labels; ``--windows`` have new labels only on earlier
days of their window. For each of them it writes ``<performance>/date=<day>/performance.json``, and for each of
``--days``

- ``rows.parquet``: the labelled rows, with label and prediction
- ``to_label.csv``: if ``labels.ask`` is set, rows for people to label

If a day's labels are unusable, its performance says why, and otherwise what was known before they came.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.challenger import paired, paired_requests
from include.jobs.watching.realised import (
    as_scored,
    drawn,
    kept_rows,
    labelled_rows,
    performance_of_day,
    performance_of_window,
    without_labels,
)
from include.jobs.watching.truth import TruthReader
from include.models.config import ModelConfig, load_model
from include.models.config.files import (
    CHALLENGER_ROWS,
    LABELLED_ROWS,
    PERFORMANCE,
    SCORES_MANIFEST,
    SHADOW_ROWS,
    TO_LABEL,
    VERSION,
    day_folder,
    day_of_folder,
)
from include.models.config.performance import Performance
from include.models.errors import JobError


class Joiner:
    """Joins days of a model; ``days``: the performance of the known ones, by date."""

    def __init__(self, config: ModelConfig, given: Path, performance: Path) -> None:
        self._config, self._given, self._into = config, given, performance
        self._reader = TruthReader(config, given)
        self._earlier = given / "performance" / config.name
        self._joined: dict[str, pl.DataFrame] = {}
        known = sorted(self._earlier.glob(f"*/{PERFORMANCE}"))
        self.days: dict[str, Performance] = {
            day: json.loads(file.read_text(encoding="utf-8"))
            for file in known
            if (day := day_of_folder(file.parent.name))
        }

    def join(self, day: str) -> Performance:
        """Joins a day's labels and scores."""
        version, files = self._scored(day)
        try:
            found = self._join(day, version, files) if files else without_labels(self._config, day, version, 0)
        except JobError as error:
            before = self.days.get(day)
            if before is None or before["model_version"] != version:
                before = without_labels(self._config, day, version, sum(files.values()))
            found = {**before, "unusable": str(error)}
        self.days[day] = found
        return found

    def _join(self, day: str, version: int, files: Iterable[Path]) -> Performance:
        config = self._config
        scored = as_scored(config, version, pl.concat([pl.read_parquet(file) for file in files]))
        truth = self._reader.of(day)
        rows = labelled_rows(config, scored, truth)
        found, kept = performance_of_day(config, day, scored, truth, rows), kept_rows(config, rows)
        found["challengers"] = {
            version: paired(config, beside, kept) for version, beside in self._beside(day, CHALLENGER_ROWS)
        }
        found["shadows"] = {
            version: paired_requests(config, beside, rows) for version, beside in self._beside(day, SHADOW_ROWS)
        }
        own = self._into / day_folder(day)
        own.mkdir(parents=True, exist_ok=True)
        self._joined[day] = kept
        kept.write_parquet(own / LABELLED_ROWS)
        if config.labels and config.labels.ask:
            asked = drawn(config, day, scored.rows).select(config.data.key)
            asked.with_columns(pl.lit(None, pl.String).alias(config.data.label)).write_csv(own / TO_LABEL)
        return found

    def _scored(self, day: str) -> tuple[int, dict[Path, int]]:
        """The version that scored the day (0 if it is not there), and the rows of its files."""
        folder = self._given / "scores" / self._config.name / day_folder(day)
        if not (folder / SCORES_MANIFEST).is_file():
            return 0, {}
        manifest = json.loads((folder / SCORES_MANIFEST).read_text(encoding="utf-8"))
        files = {folder / Path(file["key"]).name: file["rows"] for file in manifest["files"] if file["rows"]}
        return manifest["model_version"], files

    def _rows(self, day: str) -> pl.DataFrame:
        if day not in self._joined:
            self._joined[day] = kept_rows(
                self._config, pl.read_parquet(self._earlier / day_folder(day) / LABELLED_ROWS)
            )
        return self._joined[day]

    def _beside(self, day: str, name: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """Each candidate that answered beside production, and the rows with both predictions."""
        folder = self._given / "performance" / self._config.name / day_folder(day)
        for file in sorted(folder.glob(f"{VERSION}*/{name}")):
            yield file.parent.name.removeprefix(VERSION), pl.read_parquet(file)

    def write(self, day: str) -> None:
        """Combines the day with earlier ones, and writes its performance."""
        found, every = self.days[day], window_days(self._config, day)
        window = {
            each: self.days[each]
            for each in every
            if each in self.days
            and self.days[each]["labelled"]
            and self.days[each]["model_version"] == found["model_version"]
        }
        scored = sum(
            sum(rows.values()) for version, rows in map(self._scored, every) if version == found["model_version"]
        )
        rows = [self._rows(each) for each in window]
        found["window"] = performance_of_window(self._config, window, rows, scored)
        own = self._into / day_folder(day)
        own.mkdir(parents=True, exist_ok=True)
        (own / PERFORMANCE).write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")


def window_days(config: ModelConfig, day: str) -> list[str]:
    """The days of a day's window, in order; the day itself is last."""
    length = config.monitoring.window_days if config.monitoring else 1
    return [str(date.fromisoformat(day) - timedelta(days=back)) for back in range(length - 1, -1, -1)]


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, given="folder that mirrors the bucket", performance="where to write")
    parser.add_argument("--days", nargs="*", default=[], help="days with new labels")
    parser.add_argument(
        "--windows", nargs="*", default=[], help="days with new labels only on earlier days of their window"
    )
    asked = parser.parse_args(argv)
    joiner = Joiner(load_model(asked.model), asked.given, asked.performance)
    for day in sorted(asked.days):
        found = joiner.join(day)
        known = f"{found['labelled']:,} of {found['rows']:,} rows have a label"
        print(f"{day}: {found.get('unusable', known)}", flush=True)
    for day in sorted({*asked.days, *asked.windows}):
        joiner.write(day)


if __name__ == "__main__":
    run_program(main)
