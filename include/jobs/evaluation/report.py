"""The evaluation report: one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypedDict

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from include.jobs.evaluation import plots
from include.jobs.evaluation.changes import Change
from include.jobs.evaluation.measuring import Measured
from include.jobs.evaluation.metrics import Metrics, confusion, plain, reliability
from include.jobs.evaluation.permutation import Importances, importances
from include.jobs.evaluation.refits import Refit
from include.jobs.evaluation.resampling import intervals_of
from include.jobs.serving.artifact import LoadedModel, TrainingRun
from include.jobs.serving.decision import alarms_of
from include.jobs.templates import render
from include.models.config import ModelConfig
from include.models.config.decision import DecisionOutcome, told
from include.models.config.files import LINKS
from include.models.config.judging import (
    explain,
    judge,
    told_of_change,
    told_of_chosen,
    told_of_production,
    told_of_refit,
    told_of_suspects,
)
from include.models.config.metrics import COST
from include.models.config.results import Chosen, Evaluation, Refitted, Reliability, Rival, Segment, SinceChange
from include.models.interface import Array, DomainFindings, Examples
from include.models.pages import words

MOST_EXPLAINED = 300  # rows of the test split
# always shown if the problem has them, whether gates depend on them or not
USUAL = (
    *("accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "specificity", "npv", "brier", "ece", COST),
    *("mse", "rmse", "mae", "r2", "interval_coverage", "interval_width"),
)


@dataclass(frozen=True)
class Evaluated:
    """Everything in the report of one evaluation on the test split."""

    config: ModelConfig
    test: pl.DataFrame
    truth: Examples
    predictions: Array
    labels: Array | None
    model: LoadedModel
    training: TrainingRun
    domain: DomainFindings
    measured: Measured
    suspects: list[str]
    champion: Metrics | None
    production: list[Rival]
    slices: dict[str, list[Segment]]
    worst: dict[str, str]
    baselines: dict[str, Metrics]
    rounds: list[tuple[Refit, dict[str, Metrics]]]
    refit: Refitted | None = None
    chosen: Chosen | None = None
    changed: list[Change] | None = None  # since the version in production; None if there is none
    since: SinceChange | None = None
    mlflow: str | None = None  # its run's address there

    @cached_property
    def importances(self) -> Importances:
        return importances(self.config, self.model, self.test, self.truth)

    @property
    def metrics(self) -> Metrics:
        return self.measured.values

    @cached_property
    def outcome(self) -> Evaluation:
        """The evaluation that gates judge."""
        ends = intervals_of(self.measured.replicates)
        return {
            "metrics": plain(self.metrics),
            "champion": plain(self.champion) if self.champion else None,
            "intervals": {name: (_short(low), _short(high)) for name, (low, high) in ends.items()},
            "production": self.production,
            "slices": self.slices,
            "worst": self.worst,
            "decision": self.decision,
            "reliability": self._reliability,
            "data": self._data,
            "suspects": self.suspects,
            "refit": self.refit,
            "chosen": self.chosen,
            "since": self.since,
        }

    @property
    def decision(self) -> DecisionOutcome | None:
        """None if rows get their likeliest class."""
        rule, threshold = self.config.decision, self.model.judgement.threshold
        if rule is None or threshold is None or self.labels is None:
            return None
        return {
            "threshold": threshold,
            "asked": rule.words,
            "reached": self.model.judgement.reached,
            "ours": alarms_of(rule.costs, self.truth.target, self.labels),
            "likeliest": alarms_of(rule.costs, self.truth.target, self.predictions.argmax(axis=1)),
        }

    @property
    def _data(self) -> str:
        learned, split = self.model.metadata["rows"], self.config.split.kind
        return (
            f"trained on {learned['train']:,} rows of {len(self.model.feature_order)} features; tested on "
            f"{len(self.test):,} rows, {_period(self)}; split {'by time' if split == 'time' else 'at random'}"
        )

    @property
    def _reliability(self) -> dict[str, list[Reliability]]:
        if not self.truth.classes:
            return {}
        found = reliability(self.truth.target, self.predictions, self.truth.classes)
        return {
            name: [Reliability(one.rows, _short(one.predicted), _short(one.observed)) for one in tenths]
            for name, tenths in found.items()
        }


def _short(value: float) -> float:
    """Six digits: more would only be noise of the draws."""
    return float(f"{value:.6g}")


def page(evaluated: Evaluated) -> str:
    """The page as HTML text."""
    config, found = evaluated.config, evaluated.metrics
    comparison = {"candidate": found, **({"champion": evaluated.champion} if evaluated.champion else {})}
    gated = [gate.measured for gate in config.gates]
    headline = [name for name in dict.fromkeys([*gated, *evaluated.domain.metrics, *USUAL]) if name in found]
    return render(
        "evaluation.html.jinja",
        config=config,
        rows=len(evaluated.test),
        period=_period(evaluated),
        metadata={**evaluated.training, **evaluated.model.metadata},
        verdicts=[(verdict, explain(verdict)) for verdict in judge(config, evaluated.outcome)],
        data=evaluated.outcome["data"],
        suspicion=told_of_suspects(evaluated.outcome),
        code=os.environ.get("CODE_HASH", "that is not published"),
        told=told_of_production(config, evaluated.outcome),
        changed=evaluated.changed,
        champion=evaluated.production[0]["version"] if evaluated.production else None,
        links=_links(evaluated),
        raw=evaluated.outcome,
        intervals=evaluated.outcome["intervals"],
        tiles={name: found[name] for name in headline},
        rounds=_rounds(evaluated),
        round_metric=config.champion.metric,
        comparison=comparison | evaluated.baselines,
        compared=headline,
        notes=[
            *told_of_chosen(config, evaluated.outcome),
            *told_of_refit(config, evaluated.outcome),
            *told_of_change(config, evaluated.outcome),
            *([told(evaluated.decision)] if evaluated.decision else []),
            *evaluated.domain.notes,
        ],
        by_class=_by_class(evaluated),
        slices=evaluated.slices,
        plots=_plots(evaluated),
    )


def _links(evaluated: Evaluated) -> dict[str, str]:
    """Addresses by what is there, as far as the job was told them."""
    found = {what: os.environ.get(variable) for what, variable in LINKS.items()} | {"MLflow run": evaluated.mlflow}
    return {what: address for what, address in found.items() if address}


def _period(evaluated: Evaluated) -> str:
    time = evaluated.config.data.time
    if time is None:
        return "no order in time"
    return f"{evaluated.test[time].min()!s} to {evaluated.test[time].max()!s}"


def _by_class(evaluated: Evaluated) -> dict[str, dict[str, float]]:
    return {
        name: {
            "rows": int((evaluated.truth.target == index).sum()),
            **{kind: evaluated.metrics[f"{kind}_{name}"] for kind in ("precision", "recall", "f1", "pr_auc", "ece")},
        }
        for index, name in enumerate(evaluated.truth.classes)
    }


def _plots(evaluated: Evaluated) -> dict[str, str]:
    truth, predictions = evaluated.truth, evaluated.predictions
    drawn: dict[str, Callable[[Axes], None]]
    if truth.classes:
        usual = int(pl.Series(truth.target).mode().min())  # type: ignore[arg-type] # class indices
        happened = truth.target != usual
        risk = 1 - predictions[:, usual]
        labels = predictions.argmax(axis=1) if evaluated.labels is None else evaluated.labels
        counts = confusion(truth.target, labels, truth.classes)
        drawn = {
            "Confusion matrix": partial(plots.confusion_matrix, counts=counts, classes=truth.classes),
            "Precision and recall": partial(
                plots.precision_recall,
                target=truth.target,
                probabilities=predictions,
                classes=truth.classes,
                skip=usual,
            ),
            "Calibration": partial(
                plots.calibration, probability=risk, happened=happened, name=f"not {truth.classes[usual]}"
            ),
        }
        unit, predicted, actual = f"share of rows that are not {truth.classes[usual]}", risk, happened
    else:
        drawn = {"Predicted and true": partial(plots.values, target=truth.target, predictions=predictions)}
        unit, predicted, actual = f"mean {evaluated.config.data.label}", predictions, truth.target
    if evaluated.config.data.time:
        drawn["Score over time, by week"] = _over_time(evaluated, predicted, actual, unit)
    shares = _shares(evaluated.model.estimator.importance(evaluated.model.model))
    drawn["Feature importance"] = partial(plots.importance, shares=shares, unit="share of the total gain")
    if told_most := _contributions(evaluated):
        drawn["Contributions to answers, on the test split"] = partial(
            plots.importance, shares=told_most, unit="mean size, in the answer's score"
        )
    lost = f"{words(evaluated.importances.metric)} lost when the values are shuffled"
    drawn["Permutation importance, on the test split"] = partial(
        plots.importance, shares=evaluated.importances.lost, unit=lost
    )
    return {title: plots.svg(draw) for title, draw in {**drawn, **evaluated.domain.plots}.items()}


def _contributions(evaluated: Evaluated) -> dict[str, float]:
    """The mean absolute contribution of each input over evenly spaced rows; empty if the model does not explain."""
    every = max(1, len(evaluated.test) // MOST_EXPLAINED)
    rows = evaluated.test.gather_every(every)
    labels = None if evaluated.labels is None else evaluated.labels[::every]
    found = evaluated.model.contributions(rows, labels)
    if found is None:
        return {}
    return dict(zip(found.names, np.abs(found.values[:, :-1]).mean(axis=0).tolist(), strict=True))


Round = TypedDict(
    "Round", {"from": str, "to": str, "rows": int, "found": dict[str, float | None]}
)  # "from" is a keyword


def _rounds(evaluated: Evaluated) -> list[Round]:
    """Each refit's test rows and the champion's metric, of the refit and of the baselines."""
    metric, time = evaluated.config.champion.metric, str(evaluated.config.data.time)
    return [
        {
            "from": str(refit.test[time].min()),
            "to": str(refit.test[time].max()),
            "rows": len(refit.test),
            "found": {name: metrics.get(metric) for name, metrics in found.items()},
        }
        for refit, found in evaluated.rounds
    ]


def _over_time(evaluated: Evaluated, predicted: Array, actual: Array, unit: str) -> Callable[[Axes], None]:
    weeks = (
        pl.DataFrame(
            {"week": evaluated.test[str(evaluated.config.data.time)], "predicted": predicted, "actual": actual}
        )
        .with_columns(pl.col("week").dt.truncate("1w"))
        .group_by("week")
        .agg(pl.col("predicted", "actual").cast(pl.Float64).mean())
        .sort("week")
    )
    return partial(
        plots.over_time,
        weeks=weeks["week"].to_numpy(),
        predicted=weeks["predicted"].to_list(),
        happened=weeks["actual"].to_list(),
        unit=unit,
    )


def _shares(importance: dict[str, float]) -> dict[str, float]:
    total = sum(importance.values()) or 1.0
    return {name: value / total for name, value in importance.items()}
