"""Checks a transform job's output and writes typed Parquet: may the day's scores be published?

    python -m include.jobs.validate_scores --model M --shards DIR [--predictions DIR] --scores DIR --report DIR

Reads what build_features says of each shard and ``<predictions>/shard-<n>.csv.out``; writes, if nothing is critical,
``<scores>/<shard>.parquet`` with the key, ``prediction``, of a classifier ``probability_<class>``, and where model.yaml
says ``explain`` the ``reasons`` of the rows that have some, as JSON; and
``parts.json``, which names the parts with rows, bytes and SHA-256, and holds how the day's features and predictions
lie; ``rows.json.gz``, the rows that the console shows; and in any case ``<report>/validation.json``.

One shard is in memory at a time. The checks are plain code: importing Great Expectations would take longer than
everything else.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.day_features import MOMENT, Shard
from include.jobs.daily.shown_rows import write_shown
from include.jobs.features.drift_profile import Counts, add_counts
from include.jobs.serving.reasons import REASONS, from_cells, limit, risks_of
from include.jobs.validation.findings import Finding, passed, summarize
from include.jobs.watching.answer_bins import add_answers, count_probabilities, count_values
from include.jobs.watching.table_counts import add_tables
from include.models.config import DayProfile, ModelConfig, load_model
from include.models.config.columns import key_columns, probability_columns
from include.models.config.files import PARTS, VERDICT
from include.models.config.watching import ClassAnswers, TableCounts, ValueAnswers
from include.models.errors import JobError
from include.models.interface import Array

TOLERANCE = 1e-6  # tolerance for the sum of a row's probabilities
PREDICTION = "prediction"
TYPES: dict[str, type[pl.DataType]] = {"Int64": pl.Int64, "Float64": pl.Float64, "String": pl.String}


class ScorePart(TypedDict):
    """A file of a day's scores."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ScoresVerdict(TypedDict):
    """``validation.json`` of scores."""

    passed: bool
    summary: str
    rows: int
    labels: dict[str, int]
    findings: list[dict[str, Any]]


@dataclass
class Distribution:
    """Statistics of all rows, complete once every shard was seen."""

    rows: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    total: float = 0.0
    features: Counts = field(default_factory=dict)
    answers: ClassAnswers | ValueAnswers = field(default_factory=list)
    tables: dict[str, TableCounts] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame, shard: Shard) -> None:
        self.rows += len(frame)
        self.features = add_counts(self.features, shard["features"])
        if shard["classes"]:
            self.labels.update(dict(frame[PREDICTION].value_counts().iter_rows()))
            probabilities = frame.select(probability_columns(shard["classes"]).values()).to_numpy()
            codes = {name: code for code, name in enumerate(shard["classes"])}
            # an unknown label is a finding; it is counted as the first class
            decided = frame[PREDICTION].replace_strict(codes, default=0, return_dtype=pl.Int64).to_numpy()
            counted = count_probabilities(probabilities, decided)
            self.answers = add_answers(self.answers, counted)
        else:
            self.total += float(frame[PREDICTION].sum())
            if edges := shard.get("edges"):
                self.answers = add_answers(self.answers, count_values(frame[PREDICTION].to_numpy(), edges))

    def value(self, name: str) -> float:
        """The share of a class, or the mean."""
        return (self.total if name == "mean" else self.labels[name]) / self.rows

    def as_json(self) -> DayProfile:
        """Sums, so that days add up: rows, rows by bin of each feature, rows by class or the sum of all values."""
        predictions: dict[str, float] = dict(sorted(self.labels.items())) if self.labels else {"sum": self.total}
        return {
            "rows": self.rows,
            "features": self.features,
            "predictions": predictions,
            "answers": self.answers,
            "tables": self.tables,
        }


def read_predictions(file: Path, shard: Shard, *, explain: bool = False) -> pl.DataFrame:
    """A shard's predictions, typed; with ``explain`` also their reasons, null where the version gives none.

    Raises:
        JobError: the file is missing or was not written by the transform job.
    """
    key, classes = shard["key"], shard["classes"]
    answers = {PREDICTION: pl.String, **dict.fromkeys(probability_columns(classes).values(), pl.Float64)}
    schema = dict.fromkeys(key, pl.String) | (answers if classes else {PREDICTION: pl.Float64})
    try:
        names = _columns(file, list(schema), explained="explained" in shard)
        kinds = [schema.get(name, pl.String) for name in names]
        frame = pl.read_csv(file, has_header=False, new_columns=names, schema_overrides=kinds)
        why = frame[REASONS] if REASONS in names else pl.Series([None] * len(frame), dtype=pl.String)
        frame = frame.select(*schema, *(name for name in frame.columns if name not in names))
        if frame.width != len(schema):
            raise JobError(f"{file.name} has {frame.width} columns instead of {len(schema)}: {', '.join(schema)}.")
        frame = frame.with_columns(_typed(column, kind) for column, kind in key.items())
        return frame.with_columns(from_cells(why)) if explain else frame
    except (FileNotFoundError, ValueError, pl.exceptions.PolarsError) as error:
        raise JobError(f"{file} cannot be read ({error}). It is written by the transform job: look at that.") from error


def _columns(file: Path, expected: list[str], *, explained: bool) -> list[str]:
    """A shard's columns. If the version explains and was asked to, the reasons come last; if a version that does not
    explain was asked, the last feature precedes its predictions."""
    with file.open(encoding="utf-8", newline="") as lines:
        width = len(next(csv.reader(lines), []))
    if width != len(expected) + 1:
        return expected
    key = expected.index(PREDICTION)
    return [*expected, REASONS] if explained else [*expected[:key], "__feature", *expected[key:]]


def _typed(column: str, kind: str) -> pl.Expr:
    if kind.startswith("Datetime"):
        return pl.col(column).str.to_datetime(MOMENT, time_unit="us")
    return pl.col(column).cast(TYPES[kind])


def check_shard(frame: pl.DataFrame, shard: Shard) -> list[Finding]:
    """Checks every row."""
    classes, name = shard["classes"], shard["name"]
    findings = []

    def expect(check: str, column: str | None, wrong: int, found: str, allowed: str) -> None:
        if wrong:
            action = "Look at the transform job and at the model: nothing of the day was published."
            findings.append(Finding("critical", "scores", name, column, check, found, allowed, wrong, action))

    wanted = shard["rows"]
    expect(
        "rows_are_complete", None, abs(wanted - len(frame)), f"{len(frame):,} rows", f"{wanted:,}, one for each scored"
    )
    for column in frame.columns:
        if column == REASONS:  # only some rows have them
            continue
        nulls = frame[column].null_count() + (frame[column].is_nan().sum() if frame[column].dtype.is_float() else 0)
        expect("values_are_there", column, int(nulls), f"no value in {nulls:,} rows", "a value in every row")
    key = list(shard["key"])
    repeated = int(frame.select(key).is_duplicated().sum())
    expect("keys_are_unique", ", ".join(key), repeated, f"{repeated:,} rows of the same key", "one row for each key")
    if classes:
        unknown = frame.filter(~pl.col(PREDICTION).is_in(classes))
        expect("labels_are_known", PREDICTION, len(unknown), f"labels such as {unknown[PREDICTION].head(1).to_list()}",
               ", ".join(classes))  # fmt: skip
        columns = list(probability_columns(classes).values())
        outside = frame.filter(pl.any_horizontal(~pl.col(columns).is_between(0, 1)))
        expect("probabilities_are_such", ", ".join(columns), len(outside), f"{len(outside):,} rows outside", "0 to 1")
        sums = frame.filter((pl.sum_horizontal(columns) - 1).abs() > TOLERANCE)
        expect(
            "probabilities_sum_to_one", ", ".join(columns), len(sums), f"{len(sums):,} rows that do not", "a sum of 1"
        )
    else:
        infinite = int(frame[PREDICTION].is_infinite().sum())
        expect("values_are_finite", PREDICTION, infinite, f"{infinite:,} infinite values", "finite numbers")
    return findings


def check_distribution(config: ModelConfig, distribution: Distribution) -> list[Finding]:
    """Checks model.yaml's bounds on all rows together."""
    findings = []
    for name, bounds in config.daily_scoring.bounds.items() if distribution.rows else ():
        value = distribution.value(name)
        low, high = bounds.min, bounds.max
        if (low is not None and value < low) or (high is not None and value > high):
            what = "a mean" if name == "mean" else f"a share of '{name}'"
            allowed = f"{'any' if low is None else f'{low:g}'} to {'any' if high is None else f'{high:g}'}"
            action = "Look at the day's raw data and at the version; if the world has changed, adjust scoring.bounds."
            found = f"{what} of {value:.4g}"
            where = ("scores", "all shards", PREDICTION, "distribution_within_bounds")
            findings.append(Finding("critical", *where, found, allowed, distribution.rows, action))
    return findings


@dataclass
class Explained:
    """Keeps the reasons of a day within their bounds: each request of it was held to the number on its own, and an
    endpoint that is asked for reasons gives them whatever the risk."""

    most: int = 0
    above: float = -math.inf
    gave_more: bool = False
    columns: list[str] = field(default_factory=list)
    highest: Array = field(default_factory=lambda: np.empty(0))

    def add(self, frame: pl.DataFrame, shard: Shard) -> None:
        if REASONS not in frame.columns or "explained" not in shard:
            return
        self.most, above = shard["explained"], shard.get("above")
        self.above = -math.inf if above is None else above
        self.columns = list(probability_columns(shard["classes"]).values()) or [PREDICTION]
        risks = risks_of(frame, self.columns)
        self.gave_more |= bool((frame[REASONS].is_not_null().to_numpy() & (risks < self.above)).any())
        self.highest = np.sort(np.concatenate([self.highest, risks]))[-self.most - 1 :]

    def bound(self, scores: Path) -> None:
        """Take the reasons out of those rows that are not among the day's highest risks, or not above the bound."""
        if len(self.highest) <= self.most and not self.gave_more:
            return
        least = limit(self.highest, self.most)
        for part in scores.glob("*.parquet"):
            frame = pl.read_parquet(part)
            risks = risks_of(frame, self.columns)
            kept = pl.when(pl.Series((risks > least) & (risks >= self.above))).then(pl.col(REASONS))
            frame.with_columns(kept.alias(REASONS)).write_parquet(part)


def _part(file: Path) -> ScorePart:
    rows = pl.scan_parquet(file).select(pl.len()).collect().item()
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"name": file.name, "rows": rows, "bytes": file.stat().st_size, "sha256": sha256}


def check_day(config: ModelConfig, shards: Path, predictions: Path | None, scores: Path) -> ScoresVerdict:
    """Checks a day's predictions and writes its scores; none if a finding is critical.

    Raises:
        JobError: a shard's predictions are missing or unreadable.
    """
    scores.mkdir(parents=True, exist_ok=True)
    distribution, findings, explained = Distribution(), list[Finding](), Explained()
    key: list[str] = []
    risks: list[str] = []
    for facts in sorted(shards.glob("shard-*.json")):
        shard: Shard = json.loads(facts.read_text(encoding="utf-8"))
        distribution.tables = add_tables(distribution.tables, shard.get("tables", {}))
        if not shard["rows"]:
            continue
        if predictions is None:
            raise JobError(f"{shard['name']} has {shard['rows']} rows, but no folder of predictions was given.")
        frame = read_predictions(predictions / f"{shard['name']}.csv.out", shard, explain=bool(config.explain))
        explained.add(frame, shard)
        findings += check_shard(frame, shard)
        distribution.add(frame, shard)
        part = scores / f"{shard['name']}.parquet"
        frame.rename(key_columns(shard["key"])).write_parquet(part)
        key = list(key_columns(shard["key"]).values())
        risks = list(probability_columns(shard["classes"]).values()) or [PREDICTION]
    explained.bound(scores)
    parts = [_part(part) for part in sorted(scores.glob("*.parquet"))]
    findings += check_distribution(config, distribution)
    if passed(findings):
        shown = write_shown(scores, key, risks, PREDICTION)
        staged = {"parts": parts, "profile": distribution.as_json(), **({"rows": shown} if shown else {})}
        (scores / PARTS).write_text(json.dumps(staged), encoding="utf-8")
    else:
        for part in scores.iterdir():
            part.unlink()
    return {
        "passed": passed(findings),
        "summary": summarize(f"scores of {config.name}", f"{distribution.rows:,} rows", findings),
        "rows": distribution.rows,
        "labels": dict(distribution.labels),
        "findings": [asdict(finding) for finding in findings[:40]],
    }


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__, shards="folder of shard-<n>.json", scores="where to write", report="where to write the verdict"
    )
    parser.add_argument("--predictions", type=Path, help="folder of shard-<n>.csv.out; none for a day without rows")
    given = parser.parse_args(argv)
    verdict = check_day(load_model(given.model), given.shards, given.predictions, given.scores)
    given.report.mkdir(parents=True, exist_ok=True)
    (given.report / VERDICT).write_text(json.dumps(verdict, indent=1), encoding="utf-8")
    print(verdict["summary"])


if __name__ == "__main__":
    run_program(main)
