"""Refits a model that passed its gates on all rows, with the choices of its first fit: ``split.refit`` of model.yaml.

The gates have judged the first fit, on rows that it had not seen; no rows are left to judge the second one on. So it
has the first one's hyperparameters, rounds, calibration and threshold, and must answer the golden requests nearly the
same.
"""

from __future__ import annotations

import gzip
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from include.jobs.evaluation.metrics import measure, plain
from include.jobs.features.feature_table import WHOLE, examples, read_split, scan_split
from include.jobs.features.learned_rows import write_learned_rows
from include.jobs.serving.artifact import WRITTEN, LoadedModel, save_artifact
from include.jobs.serving.payload import JSON, parse
from include.models.config import ModelConfig, RandomSplit
from include.models.config.files import MODEL_ARCHIVE
from include.models.config.results import Refitted
from include.models.errors import JobError
from include.models.interface import AnyEstimator, Examples


@dataclass(frozen=True)
class Registered:
    """What is registered: the unpacked artifact, its model, its training rows, and the record of the refit."""

    folder: Path
    model: LoadedModel
    rows: pl.DataFrame
    facts: Refitted


def require_refit(config: ModelConfig, own: AnyEstimator) -> None:
    """Raises JobError if the estimator does not support ``split.refit``."""
    if config.split.refit and not hasattr(own, "refit"):
        raise JobError(
            f"model.yaml's split.refit asks for a fit on all rows, but models/{config.name}/estimator.py has no "
            "function 'refit' (see include/models/interface.py). Add it, or leave split.refit out."
        )


def fit_on_all(
    config: ModelConfig, candidate: LoadedModel, golden: str, features: Path, test: Examples, folder: Path
) -> Registered:
    """Refits the candidate into an unpacked artifact in ``folder``.

    Args:
        golden: the candidate's golden requests.
        features: the splits, and the whole table.

    Raises:
        JobError: a split is missing, or refitting fails.
    """
    own = candidate.estimator
    require_refit(config, own)
    validation = examples(config, read_split(features / "validation"))
    rows = _rows(config, features)
    learned = examples(config, rows)
    hyperparameters = candidate.metadata["hyperparameters"]
    model = own.refit(candidate.model, learned, hyperparameters)  # type: ignore[attr-defined] # required above
    folder.mkdir(parents=True, exist_ok=True)
    loaded = save_artifact(
        folder,
        config,
        model,
        learned,
        validation,
        {
            "hyperparameters": hyperparameters,
            "fit": own.describe(model),
            "validation_metrics": candidate.metadata["validation_metrics"],
            "learned_from": write_learned_rows(folder, config, [rows]),
            "git_commit": candidate.metadata.get("git_commit"),
        },
        candidate.judgement,
    )
    answers = loaded.predict(test.features)
    found = measure(config.problem, test.target, answers, test.classes, loaded.labels(answers))
    facts: Refitted = {"rows": len(rows), "distance": distance(candidate, loaded, golden), "metrics": plain(found)}
    return Registered(folder, loaded, rows, facts)


def distance(evaluated: LoadedModel, refitted: LoadedModel, golden: str) -> float:
    """The distance between two models' answers to golden requests: see ``Refit`` in model.yaml's schema."""
    instances = [one["features"] for one in json.loads(golden)]
    rows = parse(json.dumps({"instances": instances}).encode(), JSON, evaluated.columns)
    ours, theirs = evaluated.predict(rows), refitted.predict(rows)
    if evaluated.classes:
        return float(np.abs(ours - theirs).sum(axis=1).mean() / 2)
    return float(np.abs(ours - theirs).mean() / max(ours.std(), np.finfo(float).tiny))


def pack(folder: Path, into: Path) -> None:
    """Packs an unpacked artifact as SageMaker does; the same files give the same bytes."""
    into.mkdir(parents=True, exist_ok=True)
    with (
        (into / MODEL_ARCHIVE).open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=WRITTEN) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False, filter=_of_nobody)


def _of_nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = WRITTEN
    return entry


def _rows(config: ModelConfig, features: Path) -> pl.DataFrame:
    """All rows of the table, except those that ``train_days`` excludes."""
    whole, time = read_split(features / WHOLE), config.data.time
    if isinstance(config.split, RandomSplit) or time is None:
        return whole
    return whole.filter(pl.col(time) >= scan_split(features / "train").select(pl.col(time).min()).collect().item())
