"""Compares a candidate's scores of a day with production's, row by row; nothing of it is published. The rows are those
that both scored or, of an endpoint's shadow variant, those of the requests that both answered."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl

from include.jobs.features.feature_table import classes_of
from include.jobs.serving.decision import cost_of
from include.models.config import ModelConfig
from include.models.config.challenger import Beside, Change, Paired
from include.models.config.columns import key_columns, probability_columns
from include.models.config.files import CHALLENGER, CHALLENGER_ROWS
from include.models.interface import Array

PREDICTION = "prediction"
THEIRS = "challenger_"  # prefix of the columns of its predictions
FEATURE = "feature_"  # prefix of the features of rows that were asked for
REQUEST = "request"  # column that names their request
DIGITS = 6  # significant ones, in which features of the same row are equal however they were written
SHOWN = 3  # rows that change the most
LOOKED_AT = 100  # of those, as the same request may come again and again


def write_beside(config: ModelConfig, ours: Path, theirs: Path, into: Path) -> Beside:
    """Compares two folders of checked scores of one day; writes and returns the result."""
    rows = joined(config, *(_scores(folder) for folder in (ours, theirs)))
    return write_compared(config, rows, into / CHALLENGER, into / CHALLENGER_ROWS)


def write_compared(config: ModelConfig, rows: pl.DataFrame, result: Path, of_rows: Path) -> Beside:
    """Writes rows with both predictions, and what they say."""
    result.parent.mkdir(parents=True, exist_ok=True)
    rows.write_parquet(of_rows)
    found = compared(config, rows)
    result.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    return found


def write_failed(why: str, result: Path) -> None:
    """Records that the challenger has no scores of the day."""
    result.parent.mkdir(parents=True, exist_ok=True)
    found: Beside = {"rows": 0, "agreed": None, "apart": 0.0, "changes": [], "failed": why[:500]}
    result.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")


def joined(config: ModelConfig, ours: pl.DataFrame, theirs: pl.DataFrame) -> pl.DataFrame:
    """Key and both predictions of each row that both scored, under the names of published scores."""
    keys, answers = _keys(config), _answers(config)
    other = theirs.select(*keys, *(pl.col(name).alias(THEIRS + name) for name in answers))
    return ours.select(*keys, *answers).join(other, on=keys, how="inner", maintain_order="left")


def compared(config: ModelConfig, rows: pl.DataFrame) -> Beside:
    """See ``Beside``.

    Args:
        rows: from ``joined``, or with the column ``REQUEST`` in the place of keys.
    """
    if rows.is_empty():
        return {"rows": 0, "agreed": None, "apart": 0.0, "changes": []}
    numbers = [name for name in _answers(config) if name != PREDICTION] or [PREDICTION]
    apart = np.abs(_matrix(rows, numbers) - _matrix(rows, [THEIRS + name for name in numbers])).max(axis=1)
    agreed = None if config.problem == "regression" else (rows[PREDICTION] == rows[THEIRS + PREDICTION]).mean()
    furthest = np.argsort(-apart, kind="stable")[:LOOKED_AT]
    told = [int(row) for row in furthest if apart[row] > 0] if config.quotes_values else []
    changes = {json.dumps(one): one for one in (_change(config, rows.row(row, named=True)) for row in told)}
    return {
        "rows": len(rows),
        "agreed": None if agreed is None else float(agreed),  # type: ignore[arg-type] # a mean of booleans
        "apart": float(apart.mean()),
        "changes": [*changes.values()][:SHOWN],
    }


def paired(config: ModelConfig, rows: pl.DataFrame, truth: pl.DataFrame) -> Paired:
    """What labels show about both on the same rows: costs if mistakes have costs, otherwise the share of right labels;
    for a regression, the error that model.yaml's champion uses.

    Args:
        rows: from ``joined``.
        truth: key and label of the rows that have one, under the names of the feature table.
    """
    names = key_columns(config.data.key)
    of_rows = truth.select(*config.data.key, config.data.label).rename(names)
    return _measured(config, of_rows.join(rows, on=list(names.values()), how="inner"))


def paired_requests(config: ModelConfig, rows: pl.DataFrame, truth: pl.DataFrame) -> Paired:
    """The same for rows that were asked for: a request has no key, so its features tell which labelled row it is about.
    Rows that share all their features, and a row that was asked for again, say nothing more.

    Args:
        rows: with features under ``FEATURE``, and both predictions.
        truth: a feature table.
    """
    features = [name for name in rows.columns if name.startswith(FEATURE)]
    numeric = [name for name in features if rows.schema[name].is_numeric() or rows.schema[name] == pl.Boolean]
    alike = [
        pl.col(name).cast(pl.Float64).round_sig_figs(DIGITS) if name in numeric else pl.col(name).cast(pl.String)
        for name in features
    ]
    known = truth.rename({name.removeprefix(FEATURE): name for name in features}).select(*alike, config.data.label)
    asked = rows.with_columns(alike).unique(features, keep="any")
    return _measured(
        config, known.unique(features, keep="none").join(asked, on=features, how="inner", nulls_equal=True)
    )


def _measured(config: ModelConfig, known: pl.DataFrame) -> Paired:
    label, measure = config.data.label, _measure(config)
    found: Paired = {"rows": len(known), "measure": measure, "production": 0.0, "challenger": 0.0}
    if not known.is_empty():
        found["production"] = float(_losses(config, measure, known[label], known[PREDICTION]).mean())
        found["challenger"] = float(_losses(config, measure, known[label], known[THEIRS + PREDICTION]).mean())
    return found


def _measure(config: ModelConfig) -> str:
    if config.problem == "regression":
        return "mae" if config.champion.metric == "mae" else "mse"
    return "cost_per_1000" if config.decision and config.decision.costs else "accuracy"


def _losses(config: ModelConfig, measure: str, label: pl.Series, predicted: pl.Series) -> Array:
    """The loss of each row (rows,); for ``accuracy``, 1 if it is right."""
    if measure in ("mse", "mae"):
        off = label.cast(pl.Float64).to_numpy() - predicted.to_numpy()
        return np.asarray(off**2 if measure == "mse" else np.abs(off))
    classes = classes_of(config)
    codes = [
        one.cast(pl.String).replace_strict(classes, range(len(classes)), return_dtype=pl.Int64).to_numpy()
        for one in (label, predicted)
    ]
    if measure == "accuracy" or config.decision is None or config.decision.costs is None:
        return np.asarray(codes[0] == codes[1], dtype=float)
    return 1000 * cost_of(config.decision.costs, *codes)


def _change(config: ModelConfig, row: dict[str, object]) -> Change:
    names = {REQUEST: REQUEST} if REQUEST in row else key_columns(config.data.key)
    key = ", ".join(f"{name}={row[column]}" for name, column in names.items())
    return {"key": key, "production": _said(config, row, ""), "challenger": _said(config, row, THEIRS)}


def _said(config: ModelConfig, row: dict[str, object], whose: str) -> str:
    answer = row[whose + PREDICTION]
    if config.problem == "regression":
        return f"{answer:.4g}"
    return f"{answer} ({row[whose + probability_columns(classes_of(config))[str(answer)]]:.2f})"


def _keys(config: ModelConfig) -> list[str]:
    return list(key_columns(config.data.key).values())


def _answers(config: ModelConfig) -> list[str]:
    probabilities = [] if config.problem == "regression" else probability_columns(classes_of(config)).values()
    return [PREDICTION, *probabilities]


def _matrix(rows: pl.DataFrame, columns: list[str]) -> Array:
    return rows.select(columns).to_numpy()


def _scores(folder: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(part) for part in sorted(folder.glob("*.parquet"))])
