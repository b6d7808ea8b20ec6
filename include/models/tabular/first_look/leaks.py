"""Columns that nearly determine the target alone: perhaps they are known only when it is.

A small tree predicts the target from each column alone, on rows that it has not seen. A good measurement is not
suspected, only one that is too good: Matthews' correlation over all classes above ``TOO_GOOD``; for a column with few
values, whether they separate some classes from the others; for a regression, the share of the variance of its ranks.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from sklearn.metrics import matthews_corrcoef, r2_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from include.models.interface import Array

MOST_ROWS = 20_000
FOLDS = 3
LEAVES = 64
TOO_GOOD = 0.97
TOO_GOOD_FLAG = 0.95  # for a column with few values, one class against the others
FEW_VALUES = 10
ONLY_RARE = 0.995  # share of rare labels among rows with a flag set, above which the flag is suspected
FEWEST_FLAGGED = 10


def suspects(frame: pl.DataFrame, features: list[str], target: str, problem: str) -> list[str]:
    """The suspected features, in order."""
    sample = frame.sample(min(len(frame), MOST_ROWS), seed=0)
    return [name for name in features if _gives_away(sample.select(name, target), name, target, problem)]


def _gives_away(frame: pl.DataFrame, name: str, target: str, problem: str) -> bool:
    values, labels = _codes(frame[name]), frame[target]
    if problem == "regression":
        ranks = labels.rank().to_numpy()  # otherwise a few large values would dominate
        tree = DecisionTreeRegressor(min_samples_leaf=3, random_state=0)
        found = cross_val_predict(tree, values, ranks, cv=KFold(FOLDS, shuffle=True, random_state=0))
        return bool(r2_score(ranks, found) > TOO_GOOD)
    classes = labels.cast(pl.Categorical).to_physical().to_numpy() if labels.dtype == pl.String else labels.to_numpy()
    if np.unique(classes, return_counts=True)[1].min() < FOLDS:
        return False
    found = cross_val_predict(
        DecisionTreeClassifier(max_leaf_nodes=LEAVES, random_state=0),
        values,
        classes,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=0),
    )
    if matthews_corrcoef(classes, found) > TOO_GOOD:
        return True
    return frame[name].n_unique() <= FEW_VALUES and _parts_classes(frame[name], classes, found)


def _parts_classes(series: pl.Series, classes: Array, found: Array) -> bool:
    """Whether few values separate one class from all others, or one of two values occurs only with rare labels."""
    usual = np.bincount(classes.astype(np.int64) - int(classes.min())).argmax() + int(classes.min())
    if matthews_corrcoef(classes == usual, found == usual) > TOO_GOOD_FLAG:
        return True
    if series.n_unique() != 2:
        return False
    flagged = series.to_frame("flag").with_columns(rare=pl.Series(classes != usual))
    shares = flagged.group_by("flag").agg(pl.len(), pl.col("rare").mean())
    return not shares.filter(pl.col("len") >= FEWEST_FLAGGED, pl.col("rare") >= ONLY_RARE).is_empty()


def _codes(series: pl.Series) -> Array:
    """A column for the tree: numbers by rank, which also handles huge ones, texts by the rank of their frequency,
    missing values separately."""
    if series.dtype == pl.String:
        ranks = series.value_counts(sort=True).with_row_index("rank").select(series.name, "rank")
        series = series.to_frame().join(ranks, on=series.name, how="left", maintain_order="left")["rank"]
    else:
        series = series.rank("dense")
    return series.cast(pl.Float64).to_numpy().reshape(-1, 1)
