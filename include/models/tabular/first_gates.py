"""The first gates of a new model, set between the performance of a good model of its file and that of a broken one.

A few models are fitted on parts of the file as training will fit them, with the best single rule beside each. A gate is
half of their gain over a constant prediction, and half of their gain over the rule; less, if that varies so much from
part to part that an equally good model might miss it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import polars as pl
from sklearn.metrics import f1_score, r2_score, roc_auc_score

from include.models.config import Json, ModelConfig, TimeSplit
from include.models.config.metrics import ONE_RULE
from include.models.interface import Array, Examples
from include.models.tabular.column_profile import Profile
from include.models.tabular.estimator import TabularEstimator
from include.models.tabular.features import TabularFeatures, feature_names
from include.models.tabular.one_rule import one_rule
from include.models.tabular.single_feature import alone

METRICS = {"binary": "roc_auc", "multiclass": "macro_f1", "regression": "r2"}  # 1 is the best of each
TRIALS, FEWEST_TRIALS = 5, 3
MOST_ROWS, MOST_CELLS = 6000, 300_000  # per trial; evenly spaced
DAY_SECONDS = 24 * 3600
EARLIER = 0.05  # share of the rows by which each trial ends earlier than the previous one
SURE = 3.0  # standard deviations of the trials
LEAK = 0.995  # of one_feature_alone
LEAST_GAIN = 0.02  # below it, a gate over the rule is meaningless


@dataclass(frozen=True)
class Trial:
    """A model's performance on unseen rows, and its gain as a share of what the best single rule left."""

    value: float
    over_rule: float


def first_gates(config: ModelConfig, found: Profile, frame: pl.DataFrame) -> tuple[list[dict[str, Json]], list[str]]:
    """Gates, with notes for the user.

    Args:
        config: of the model.yaml, with any gates.
        frame: the file's typed rows.
    """
    metric, nothing = METRICS[found.problem], _of_nothing(found)
    rows = _rows(config, frame)
    tried = list(_trials(config, rows, found.classes))
    over: list[dict[str, Json]] = []
    if len(tried) < FEWEST_TRIALS:
        bound, said = _least(found), "the file is too small to try out models: its gates are low"
    else:
        reached, gained = [one.value for one in tried], [one.over_rule for one in tried]
        half = nothing + (fmean(reached) - nothing) / 2
        bound = max(_least(found), min(half, fmean(reached) - SURE * stdev(reached)))
        gain = min(fmean(gained) / 2, fmean(gained) - SURE * stdev(gained))
        said = f"models of this file reach a mean {metric} of {fmean(reached):.2f}; the gate is {_down(bound)}"
        if gain >= LEAST_GAIN:
            over = [{"metric": metric, "over": ONE_RULE, "share": True, "min": _down(gain)}]
        else:
            said += "; a rule on one column is as good, or nearly, so no gate compares with it"
    gates: list[dict[str, Json]] = [{"metric": metric, "min": _down(bound)}, *over]
    gates += _on_the_ground(_learned_per_tested(config, frame))
    if not found.suspects:  # where a column gives the target away already, a person decides
        gates.append({"metric": "one_feature_alone", "max": _no_leak(config, rows)})
    return gates, [said]


def champion_rule(problem: str) -> dict[str, Json]:
    """The section ``champion``."""
    return {"metric": METRICS[problem], "direction": "maximize", "margin": 0.01}


def placeholder_gates(problem: str) -> list[dict[str, Json]]:
    """Placeholders, so that model.yaml is valid before anything is tried."""
    return [{"metric": METRICS[problem], "min": 0.0}]


def _rows(config: ModelConfig, frame: pl.DataFrame) -> pl.DataFrame:
    """The feature table's rows that trials use."""
    ((name, table),) = config.data.tables.items()
    columns = len(feature_names(config, table))
    every = max(1, -(-len(frame) // MOST_ROWS), -(-len(frame) * columns // MOST_CELLS))
    numbered = frame.with_row_index(table.row_number) if table.row_number else frame
    rows = TabularFeatures(config).build_features({name: numbered})
    return (rows.sort(config.data.time) if isinstance(config.split, TimeSplit) else rows).gather_every(every)


def _trials(config: ModelConfig, rows: pl.DataFrame, classes: list[str]) -> Iterator[Trial]:
    """Trials on random splits, or at successively earlier ends of the data; only those that can be measured."""
    for number in range(TRIALS):
        if isinstance(config.split, TimeSplit):
            some = rows.head(round(len(rows) * (1 - EARLIER * number)))
        else:
            some = rows.sample(fraction=1, shuffle=True, seed=number)
        if found := _trial(config, some, classes):
            yield found


def _trial(config: ModelConfig, rows: pl.DataFrame, classes: list[str]) -> Trial | None:
    """A trial that evaluates on the last fifth of the rows."""
    test, held_out = len(rows) // 5, len(rows) // 7
    learned = rows.head(len(rows) - test - held_out)
    train, validation, measured = (
        _examples(config, part, classes) for part in (learned, rows[-test - held_out : -test], rows[-test:])
    )
    if classes and any(len(set(part.target)) < 2 for part in (train, measured)):
        return None
    own = TabularEstimator(config)
    ours = own.predict(own.fit(train, validation, config.with_defaults().training.hyperparameters), measured.features)
    value = _measure(config.problem, measured.target, ours)
    rule = _measure(config.problem, measured.target, one_rule(config, train, measured.features))
    return Trial(value, (value - rule) / (1 - rule)) if rule < 1 else Trial(value, 0.0)


def _examples(config: ModelConfig, rows: pl.DataFrame, classes: list[str]) -> Examples:
    features, label = rows.drop(config.data.not_features), rows[config.data.label]
    if not classes:
        return Examples(features, label.cast(pl.Float64).to_numpy(), [])
    codes = label.cast(pl.String).replace_strict(classes, range(len(classes)), return_dtype=pl.Int64)
    return Examples(features, codes.to_numpy(), classes)


def _measure(problem: str, target: Array, answers: Array) -> float:
    if problem == "regression":
        return float(r2_score(target, answers))
    if problem == "binary":
        return float(roc_auc_score(target, answers[:, 1]))
    return float(f1_score(target, np.argmax(answers, axis=1), average="macro"))


def _of_nothing(found: Profile) -> float:
    """The performance of the best constant prediction."""
    if found.problem != "multiclass":
        return 0.5 if found.problem == "binary" else 0.0
    most = max(group["share"] for group in found.groups)
    return 2 * most / (1 + most) / len(found.classes)


def _least(found: Profile) -> float:
    """The minimum gate: better than a constant prediction, whatever was reached."""
    return {"binary": 0.6, "regression": 0.05}.get(found.problem, math.ceil(_of_nothing(found) * 100) / 100)


def _learned_per_tested(config: ModelConfig, frame: pl.DataFrame) -> float:
    """Training rows per test row."""
    if not isinstance(config.split, TimeSplit):
        return (1 - config.split.test_share - config.split.validation_share) / config.split.test_share
    time = pl.col(str(config.data.time))
    ages = frame.select((time.max() - time).dt.total_seconds() / DAY_SECONDS).to_series()
    tested = int((ages < config.split.test_days).sum())
    return int((ages >= config.split.test_days + config.split.validation_days).sum()) / max(tested, 1)


def _on_the_ground(learned_per_tested: float) -> list[dict[str, Json]]:
    """Gates against truncated tables and dead columns."""
    return [
        {"metric": "learned_per_tested", "min": _down(learned_per_tested / 2)},
        {"metric": "dead_features", "max": 0},
    ]


def _no_leak(config: ModelConfig, rows: pl.DataFrame) -> float:
    """The most that a column may predict alone. A small tree has one step per leaf, so it does not reach an R² of 1
    even on a copy of the target: for a regression the bound is halfway from the strongest column to 1."""
    if config.problem != "regression":
        return LEAK
    return min(LEAK, _down((1 + max(alone(_examples(config, rows, [])).values(), default=0.0)) / 2))


def _down(bound: float) -> float:
    """Rounded down to two digits."""
    return math.floor(bound * 100 + 1e-9) / 100
