"""The performance of a scored day, once labels arrive: by the evaluation's functions, on the rows that have a label."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import inf, sqrt

import numpy as np
import polars as pl
from scipy.stats import t as student

from include.jobs.evaluation.measuring import Answers, Measured, Measures
from include.jobs.evaluation.metrics import plain
from include.jobs.evaluation.resampling import Resampled, intervals_of
from include.jobs.evaluation.slicing import sliced, told
from include.jobs.features.feature_table import classes_of, examples
from include.jobs.watching.truth import Truth, label_type
from include.models.config import ModelConfig
from include.models.config.columns import key_columns, probability_columns
from include.models.config.performance import Intervals, Performance, Sampled, WindowPerformance
from include.models.config.results import SinceChange
from include.models.errors import JobError
from include.models.interface import Array, Examples

PREDICTION = "prediction"


@dataclass(frozen=True)
class Scored:
    """A day's published scores, under the names of the feature table, and their version."""

    version: int
    rows: pl.DataFrame


def as_scored(config: ModelConfig, version: int, published: pl.DataFrame) -> Scored:
    """Raises JobError: the scores are of other classes, or keys, than model.yaml has now."""
    names = {column: name for name, column in key_columns(config.data.key).items()}
    columns = [*names, PREDICTION, *_probabilities(config)]
    classes = set() if config.problem == "regression" else set(classes_of(config))
    lacks = [column for column in columns if column not in published.columns]
    unknown = set(published[PREDICTION].cast(pl.String).unique()) - classes if classes and not lacks else set()
    if lacks or unknown:
        what = f"lack {', '.join(lacks)}" if lacks else f"predict {', '.join(sorted(map(str, unknown)))}"
        raise JobError(
            f"the scores of version {version} {what}: model.yaml has changed since. Score the day with a version that "
            "was trained after that, or take the change back."
        )
    return Scored(version, published.select(columns).rename(names))


def labelled_rows(config: ModelConfig, scored: Scored, truth: Truth) -> pl.DataFrame:
    """The rows that have both, in the order of their key: the feature table's columns and the answers."""
    return truth.rows.join(scored.rows, on=config.data.key, how="inner").sort(config.data.key)


def kept_rows(config: ModelConfig, rows: pl.DataFrame) -> pl.DataFrame:
    """What is kept of labelled rows, so that days can be combined, wherever their labels came from."""
    label = pl.col(config.data.label).cast(label_type(config))
    return rows.with_columns(label).select(*config.data.not_features, PREDICTION, *_probabilities(config))


def without_labels(config: ModelConfig, day: str, version: int, rows: int) -> Performance:
    """What is known of a day's scored rows while none has a label."""
    return {
        "model": config.name,
        "date": day,
        "model_version": version,
        "rows": rows,
        "labelled": 0,
        "metrics": {},
        "intervals": {},
        "segments": {},
        "baselines": {},
        "sampled": None,
        "window": performance_of_window(config, {}, [], 0),
        "made_of": "",
    }


def performance_of_day(config: ModelConfig, day: str, scored: Scored, truth: Truth, rows: pl.DataFrame) -> Performance:
    """The day on its own, without its window.

    Args:
        rows: from ``labelled_rows``.
    """
    found = without_labels(config, day, scored.version, len(scored.rows))
    found["tables"] = truth.counted
    if rows.is_empty():
        return found
    found["labelled"], found["sampled"] = len(rows), sampled(config, day, scored.rows, rows)
    features = rows.drop(PREDICTION, *_probabilities(config))
    measures, answers = Measures(config, features, examples(config, features), truth.tables), _answers(config, rows)
    if truth.tables.keys() >= config.data.tables.keys():
        measured, baselines = measures.of(answers), measures.of_baselines()
    else:  # metrics of the model folder read tables that days do not have
        measured, baselines = measures.of_predictions(answers), {}
    found["metrics"], found["intervals"] = plain(measured.values), _intervals(measures, measured)
    found["baselines"] = {name: plain(one.values) for name, one in baselines.items()}
    found["segments"] = told(config, sliced(measures, answers))
    if not found["intervals"]:
        for segment in (one for segments in found["segments"].values() for one in segments):
            segment["intervals"] = {}
    return found


def performance_of_window(
    config: ModelConfig, days: Mapping[str, Performance], rows: Sequence[pl.DataFrame], scored: int
) -> WindowPerformance:
    """Labelled days combined: of one version, except where a replay measures what several were worth.

    Args:
        days: by date, in order.
        rows: of each, from ``kept_rows``.
        scored: the rows that the version scored in the window, on days without a label, too.
    """
    found: WindowPerformance = {
        "days": [*days],
        "rows": scored,
        "labelled": sum(map(len, rows)),
        "evidence": 0,
        "metrics": {},
        "intervals": {},
        "sampled": together([(one["rows"], one["sampled"]) for one in days.values() if one["sampled"]]),
    }
    if found["labelled"]:
        every = pl.concat(rows).sort(config.data.key)
        measures = Measures(config, every, examples(config, every), {})
        measured = measures.of_predictions(_answers(config, every))
        found["metrics"], found["intervals"] = plain(measured.values), _intervals(measures, measured)
        found["evidence"] = evidence(measures.truth, measures.drawn)
    return found


def since_change(config: ModelConfig, test: pl.DataFrame, answers: Answers, day: str) -> SinceChange | None:
    """The test split's performance on the rows since a day; None if all or none of them are.

    Args:
        answers: to the test split.
    """
    recent = (test[str(config.data.time)].dt.date() >= date.fromisoformat(day)).to_numpy()
    if recent.all() or not recent.any():
        return None
    rows = test.filter(recent)
    measures = Measures(config, rows, examples(config, rows), {})
    measured = measures.of_predictions(answers.on(recent))
    return {
        "day": day,
        "rows": len(rows),
        "evidence": evidence(measures.truth, measures.drawn),
        "metrics": plain(measured.values),
        "intervals": _intervals(measures, measured),
    }


def evidence(truth: Examples, drawn: Resampled) -> int:
    """The number of independent units with a label other than the most common one."""
    rare = truth.target != np.bincount(truth.target).argmax() if truth.classes else np.ones(len(truth.target), bool)
    return len(np.unique(drawn.unit[rare]))


def drawn(config: ModelConfig, day: str, scored: pl.DataFrame) -> pl.DataFrame:
    """The rows that people are asked to label: always the same for a day, however often they are drawn."""
    asked = min(config.labels.ask or 0 if config.labels else 0, len(scored))
    seed = int(hashlib.sha256(f"{config.name} {day}".encode()).hexdigest()[:15], 16)
    chosen = np.sort(np.random.default_rng(seed).choice(len(scored), asked, replace=False))
    return scored.sort(config.data.key)[chosen]


def sampled(config: ModelConfig, day: str, scored: pl.DataFrame, rows: pl.DataFrame) -> Sampled | None:
    """Accuracy (of a regression the mean absolute error) of all scored rows, from the labels of those drawn.

    Prediction-powered inference: how sure the model was of all rows, corrected by how wrong that was on the labelled
    ones (Angelopoulos et al., Science 382, 2023, https://arxiv.org/abs/2301.09633). A regression does not say how sure
    it is, so there the sample alone counts.
    """
    asked = drawn(config, day, scored)
    known = rows.join(asked.select(config.data.key), on=config.data.key, how="semi")
    if len(known) < 2:  # one tells nothing of how much they differ
        return None
    truth = examples(config, known.select(*config.data.not_features)).target
    answers, every = _answers(config, known), _answers(config, scored)
    if config.problem == "regression":
        metric, sure = "mae", np.zeros(len(scored))
        off = np.abs(answers.predictions - truth)
    else:
        metric, sure = "accuracy", _sureness(every)
        off = (answers.labels == truth) - _sureness(answers)
    return estimate(metric, sure, off, asked=len(asked))


def estimate(metric: str, sure: Array, off: Array, *, asked: int) -> Sampled:
    """The value of the metric on all scored rows.

    A sample without a single wrong prediction does not show that there are none. So an accuracy varies as if the sample
    had one more right and one more wrong prediction, as unsure as the mean (after Agresti and Caffo, The American
    Statistician 54, 2000).

    Args:
        sure: of all scored rows (rows,).
        off: by how much that was wrong, of the labelled ones (labelled,).
    """
    more = [1 - sure.mean(), -sure.mean()] if metric == "accuracy" else []
    variance = sure.var() / len(sure) + np.append(off, more).var(ddof=1) / len(off)
    error = float(student.ppf(0.975, len(off) - 1)) * sqrt(variance)
    return _within(metric, float(sure.mean() + off.mean()), error, asked=asked, labelled=len(off))


def _within(metric: str, value: float, error: float, *, asked: int, labelled: int) -> Sampled:
    """Both cut to the metric's range."""
    ends = np.clip([value, value - error, value + error], 0.0, 1.0 if metric == "accuracy" else inf)
    shown, lowest, highest = ends.tolist()
    return {
        "metric": metric,
        "value": shown,
        "interval": (lowest, highest),
        "exact": (value, error),
        "asked": asked,
        "labelled": labelled,
    }


def together(days: Sequence[tuple[int, Sampled]]) -> Sampled | None:
    """Samples of several days, each weighted by the day's rows."""
    if not days:
        return None
    rows = sum(count for count, _ in days)
    exact = [one.get("exact", (one["value"], one["interval"][1] - one["value"])) for _, one in days]
    value = sum(count * own for (count, _), (own, _) in zip(days, exact, strict=True)) / rows
    error = sqrt(sum((count / rows * own) ** 2 for (count, _), (_, own) in zip(days, exact, strict=True)))
    asked, labelled = (sum(one[count] for _, one in days) for count in ("asked", "labelled"))
    return _within(days[0][1]["metric"], value, error, asked=asked, labelled=labelled)


def _answers(config: ModelConfig, rows: pl.DataFrame) -> Answers:
    """As they were published, including the predicted label."""
    if config.problem == "regression":
        return Answers(rows[PREDICTION].to_numpy())
    classes = classes_of(config)
    labels = rows[PREDICTION].cast(pl.String).replace_strict(classes, range(len(classes)), return_dtype=pl.Int64)
    return Answers(rows.select(_probabilities(config)).to_numpy(), labels=labels.to_numpy())


def _sureness(answers: Answers) -> Array:
    """The probability of the predicted label (rows,)."""
    labels = np.asarray(answers.labels)
    return np.asarray(np.take_along_axis(answers.predictions, labels[:, None], axis=1)[:, 0])


def _intervals(measures: Measures, measured: Measured) -> Intervals:
    """None if all rows are alike, such as those of a single block of days: then the metrics' uncertainty is unknown."""
    return intervals_of(measured.replicates) if measures.drawn.draws.shape[1] > 1 else {}


def _probabilities(config: ModelConfig) -> list[str]:
    return [] if config.problem == "regression" else list(probability_columns(classes_of(config)).values())
