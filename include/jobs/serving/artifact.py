"""The content of model.tar.gz: the model, its inputs and outputs, and its serving code.

model's own files     written by the estimator's ``save``
decision.json         calibration of its probabilities, and the alarm threshold: see serving.decision
feature_order.json    names of the features, in the order that rows without names have
drift_profile.json    distribution of each feature in the training split: see features.drift_profile
golden_requests.json  rows of the validation split with their answers, to test an endpoint with
learned_rows.npy      the rows it was trained on: see features.learned_rows
metadata.json         what was trained, on which data, with which result
code/                 jobs/ and models/ as far as serving needs them

The same data, code, hyperparameters and libraries give the same bytes. What concerns only the run (when, which job) is
in ``training.json``, which SageMaker keeps beside the artifact, in output.tar.gz.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import polars as pl

import include
from include.jobs.features.drift_profile import drift_profile
from include.jobs.features.learned_rows import LearnedFrom
from include.jobs.serving.decision import Judgement, judgement
from include.jobs.serving.payload import Columns, answers
from include.jobs.serving.reasons import DTYPE, REASONS, Reason, most_risky, reasons, risks_of
from include.jobs.watching.answer_bins import value_edges
from include.models.config import Column, Kind, ModelConfig, Scalar
from include.models.config.explain import Explain
from include.models.config.files import DRIFT_PROFILE, FEATURE_ORDER, GOLDEN_REQUESTS, METADATA
from include.models.config.kinds import NUMBER, STRING, kind_of
from include.models.errors import JobError
from include.models.interface import AnyEstimator, Array, Contributions, Examples
from include.models.loader import estimator
from include.models.raw.kinds import feature_kind, reading_of
from include.models.raw.reading import Cell

GOLDEN_ROWS = 20
WRITTEN = 946_684_800  # 2000-01-01: the constant modification time of an artifact's files
LIBRARIES = ("lightgbm", "scikit-learn", "polars", "numpy")


class Facts(TypedDict, total=False):
    """Further metadata that training adds."""

    hyperparameters: dict[str, Scalar]
    fit: dict[str, Scalar]
    validation_metrics: dict[str, float | None]
    learned_from: LearnedFrom
    git_commit: str | None


class TrainingRun(TypedDict, total=False):
    """``training.json``: what differs between two trainings of the same model."""

    run_id: str | None
    training_job: str | None
    trained_at: str
    fit_seconds: float
    mlflow_run_id: str | None
    tracking: str | None  # why MLflow has no run of it, although it should


class Metadata(Facts, total=False):
    """metadata.json. ``feature_kinds``: of features that are not numbers; older artifacts have ``text_columns``.
    ``feature_headers``: features by their header in the raw file, where that differs. ``feature_spellings``: columns of
    model.yaml, for features whose cells are not spelled plainly. ``answer_edges``: of the bins for a regression's
    predictions. ``explain``: that section of model.yaml. ``multiline``: whether texts of the raw tables
    may have line breaks."""

    model: str
    problem: str
    classes: list[str]
    ignored_columns: list[str]
    feature_headers: dict[str, str]
    feature_kinds: dict[str, str]
    feature_spellings: dict[str, dict[str, object]]
    explain: dict[str, object]
    multiline: bool
    text_columns: list[str]
    answer_edges: list[float]
    code_hash: str | None
    rows: dict[str, int]
    libraries: dict[str, str]


class GoldenRequest(TypedDict):
    """A row to send to an endpoint, and the expected answer."""

    features: dict[str, Cell]
    expected: dict[str, object]


@dataclass(frozen=True)
class LoadedModel:
    """A model read from its artifact, ready to predict."""

    metadata: Metadata
    feature_order: list[str]
    model: Any
    estimator: AnyEstimator
    judgement: Judgement = field(default_factory=Judgement)

    @property
    def classes(self) -> list[str]:
        return list(self.metadata["classes"])

    @cached_property
    def columns(self) -> Columns:
        return columns_of(self.metadata, self.feature_order)

    def predict(self, frame: pl.DataFrame) -> Array:
        """Probabilities (calibrated, if the model is) or values, for a frame whose columns include the features.

        Raises:
            JobError: the frame lacks a feature.
        """
        if missing := [name for name in self.feature_order if name not in frame.columns]:
            raise JobError(
                f"the model needs the feature {missing[0]}, which this feature table does not have ({len(missing)} are "
                f"missing). Score it with the code that it was trained with (hash {self.metadata['code_hash']}), or "
                "train again."
            )
        found = self.estimator.predict(self.model, frame.select(self.feature_order))
        return self.judgement.calibrated(found) if self.classes else found

    def labels(self, predictions: Array) -> Array | None:
        """The decided class index of each row (rows,), from ``predict``'s result; None for values."""
        return self.judgement.labels(predictions) if self.classes else None

    def intervals(self, frame: pl.DataFrame) -> Array | None:
        """The interval of each value; None if the model has none."""
        own = getattr(self.estimator, "intervals", None)
        return own(self.model, frame.select(self.feature_order)) if own else None

    def answers(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The answer for each row, as endpoints and scoring return it: see ``payload.answers``.

        Raises:
            ValueError: the estimator returns another number of rows.
        """
        predictions = self.predict(frame)
        found = answers(predictions, self.classes, self.intervals(frame), self.labels(predictions))
        if found.height != frame.height:
            raise ValueError(f"the estimator answered {found.height} of {frame.height} rows")
        return found

    def contributions(self, frame: pl.DataFrame, labels: Array | None) -> Contributions | None:
        """What each input adds to each row's prediction; None if the model does not explain."""
        own = getattr(self.estimator, "contributions", None)
        return own(self.model, frame.select(self.feature_order), labels) if own else None

    def explained(self, frame: pl.DataFrame, found: pl.DataFrame, *, asked: bool = False) -> pl.DataFrame:
        """The predictions for these rows with reasons, for the rows that model.yaml wants explained, or all of them if
        ``asked``, up to the allowed number of rows."""
        if not asked and "explain" not in self.metadata:
            return found
        rule = Explain.model_validate(self.metadata.get("explain", {}))
        classes = self.classes
        values = found["probabilities"].struct.unnest() if classes else found
        risks = risks_of(values, classes or ["value"])
        rows = np.flatnonzero(most_risky(risks, rule.rows, None if asked else rule.above))
        why: list[list[Reason] | None] = [None] * len(found)
        if len(rows):
            chosen, labels = frame[rows], None
            if classes:
                labels = np.array([classes.index(label) for label in found["label"][rows]])
            if (told := self.contributions(chosen, labels)) is not None:
                for row, one in zip(rows.tolist(), reasons(told, chosen, rule.reasons), strict=True):
                    why[row] = one
        return found.with_columns(pl.Series(REASONS, why, dtype=DTYPE))


def columns_of(metadata: Metadata, feature_order: list[str]) -> Columns:
    """What requests may hold, and how it is read."""
    # of the features that are not numbers; older artifacts have numbers and, named apart, texts
    texts = dict.fromkeys(metadata.get("text_columns", []), STRING.name)
    kinds: dict[str, Kind] = {name: kind_of(kind) for name, kind in metadata.get("feature_kinds", texts).items()}
    ignored, headers = frozenset(metadata["ignored_columns"]), metadata.get("feature_headers", {})
    multiline = metadata.get("multiline", True)  # older artifacts do not say
    return Columns(feature_order, ignored, kinds, headers, spelled_features(metadata), multiline)


def spelled_features(metadata: Metadata) -> dict[str, Column]:
    """How to read the texts of features that are not spelled plainly, in files and in requests."""
    spellings = metadata.get("feature_spellings", {})
    return {name: Column.model_validate(column) for name, column in spellings.items()}


def as_spelled(features: pl.DataFrame, spelled: Mapping[str, Column]) -> pl.DataFrame:
    """Features with their cells spelled as in files and requests."""
    texts = (reading_of(column.kind).to_text(pl.col(name), column).alias(name) for name, column in spelled.items())
    return features.with_columns(texts)


def _feature_spellings(config: ModelConfig, features: Sequence[str]) -> dict[str, dict[str, object]]:
    """Spellings of features that are unchanged columns of a raw table."""
    if config.code.features:
        return {}
    columns = {name: column for table in config.data.tables.values() for name, column in table.columns.items()}
    return {
        name: column.model_dump(exclude_defaults=True, exclude={"header", "format"})
        for name, column in columns.items()
        if name in features and (column.null_words or not column.spelling.is_plain)
    }


def save_artifact(
    folder: Path,
    config: ModelConfig,
    model: Any,
    train: Examples,
    validation: Examples,
    facts: Facts,
    judged: Judgement | None = None,
) -> LoadedModel:
    """Writes the content of model.tar.gz; returns the model read back from it.

    Args:
        folder: /opt/ml/model; SageMaker packs it.
        facts: added to metadata.json.
        judged: by default fitted on the validation split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = estimator(config.name)
    own.save(model, folder)
    if judged is None:
        judged = judgement(config, validation.target, own.predict(model, validation.features))
    judged.save(folder)
    _write(folder / FEATURE_ORDER, train.features.columns)
    _write(folder / DRIFT_PROFILE, drift_profile(train.features))
    metadata: Metadata = {
        "model": config.name,
        "problem": config.problem,
        "classes": train.classes,
        **_raw_columns(config, train.features.columns),
        "feature_kinds": {
            name: kind.name for name, dtype in train.features.schema.items() if (kind := feature_kind(dtype)) != NUMBER
        },
        "feature_spellings": _feature_spellings(config, train.features.columns),
        "code_hash": os.environ.get("CODE_HASH"),
        "rows": {"train": len(train.target), "validation": len(validation.target)},
        "libraries": {"python": sys.version.split()[0], **{name: version(name) for name in LIBRARIES}},
    }
    if not train.classes:
        metadata["answer_edges"] = value_edges(own.predict(model, validation.features))
    if config.explain:
        metadata["explain"] = config.explain.model_dump(exclude_none=True)
    metadata.update(facts)  # type: ignore[typeddict-item] # Metadata has all of Facts
    _write(folder / METADATA, metadata)
    loaded = load_artifact(folder)
    _write(folder / GOLDEN_REQUESTS, golden_requests(loaded, validation))
    _copy_code(folder / "code", config.name)
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (WRITTEN, WRITTEN))  # times become part of model.tar.gz
    return loaded


def training_run() -> TrainingRun:
    """This run's data from the job's environment."""
    return {
        "run_id": os.environ.get("RUN_ID"),
        "training_job": os.environ.get("TRAINING_JOB_NAME"),
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _raw_columns(config: ModelConfig, features: list[str]) -> Metadata:
    """The columns of a raw row besides the features, and its headers for the features."""
    tables = config.data.tables.values()
    called = {(header, name) for table in tables for name, header in table.headers.items()}
    headers = [header for header, _ in called]
    others = {name for table in tables for name in table.kinds} | {*config.data.not_features}
    others |= {header for header, name in called if name not in features}
    return {
        "ignored_columns": sorted(others - set(features)),
        "multiline": any(column.multiline for table in tables for column in table.columns.values()),
        "feature_headers": {
            header: name
            for header, name in sorted(called)
            if name in features and header not in features and headers.count(header) == 1
        },
    }


def load_artifact(folder: Path) -> LoadedModel:
    """Loads the model from an unpacked model.tar.gz.

    Raises:
        JobError: a part of it is missing.
    """
    try:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        feature_order = json.loads((folder / FEATURE_ORDER).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise JobError(f"{error.filename} is missing: this is not an artifact of train_model.") from error
    own = estimator(metadata["model"])
    return LoadedModel(metadata, feature_order, own.load(folder), own, Judgement.load(folder))


def golden_requests(loaded: LoadedModel, validation: Examples) -> list[GoldenRequest]:
    """Rows with their answers, some of every predicted class and evenly spaced: ``{"features", "expected"}``. Cells are
    spelled as in requests."""
    predicted = loaded.predict(validation.features)
    labels = loaded.labels(predicted)
    groups = np.zeros(len(predicted), dtype=np.int64) if labels is None else labels
    present = np.unique(groups)
    each = -(-GOLDEN_ROWS // len(present))
    chosen: list[int] = []
    for group in present:
        rows = np.flatnonzero(groups == group)
        chosen += rows[np.linspace(0, len(rows) - 1, min(each, len(rows))).astype(int)].tolist()
    rows_of = validation.features[chosen]
    expected = loaded.answers(rows_of)
    return [
        {"features": row, "expected": answer}
        for row, answer in zip(as_spelled(rows_of, loaded.columns.spelled).to_dicts(), expected.to_dicts(), strict=True)
    ]


def _copy_code(target: Path, model: str) -> None:
    """Copies the packages ``jobs`` and ``models``, with only this model."""
    root = Path(include.__path__[0])

    def unwanted(folder: str, names: list[str]) -> set[str]:
        other_models = {name for name in names if name != model and (root / "models" / name / "model.yaml").exists()}
        caches = {name for name in names if name == "__pycache__" or name.startswith(".")}
        return caches | (other_models if Path(folder) == root / "models" else set())

    for package in ("jobs", "models"):
        shutil.copytree(root / package, target / "include" / package, ignore=unwanted, dirs_exist_ok=True)
    shutil.copy(root / "__init__.py", target / "include")


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")
