"""A random forest behind an imputer, or LightGBM, which handles empty cells natively; ``algorithm`` says which.

The imputer is part of the fitted pipeline, so empty cells are filled with medians of the training split only. The
forest is stored by skops, LightGBM as its own text: neither executes anything when it is read.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import lightgbm as lgb
import numpy as np
import polars as pl
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline

from include.models import boosting, trees
from include.models.config import Scalar
from include.models.interface import Array, Contributions, Examples
from include.models.rounds import feval

FOREST_FILE = "model.skops"
# Skops rejects types that are neither on its own list of safe types nor on this one. Tree is not on skops' list because
# a forged tree can point outside its arrays; _require_sound checks before the trees are used.
TRUSTED = ["numpy.dtype", "sklearn.tree._tree.Tree"]
SCHEMA = "schema.json"  # of skops
ADDRESS = re.compile(r'("(?:__id__|file)": "?)(\d+)')  # in there, of an object and of its array's file
FOREST, LIGHTGBM = "random_forest", "lightgbm"


@dataclass(frozen=True)
class Fitted:
    """One of the two, and the names of its features in order."""

    model: Pipeline | lgb.Booster
    features: list[str]


def fit(train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> Fitted:
    """The validation split is for measuring only: nothing is stopped early."""
    algorithm = hyperparameters["algorithm"]
    if algorithm not in (FOREST, LIGHTGBM):
        raise ValueError(f"algorithm is '{algorithm}'; allowed are {FOREST} and {LIGHTGBM}")
    names = train.features.columns
    if algorithm == LIGHTGBM:
        return Fitted(_boost(train, validation, hyperparameters), names)
    forest = RandomForestClassifier(
        n_estimators=int(hyperparameters["trees"]),
        max_depth=int(hyperparameters["max_depth"]),
        min_samples_leaf=int(hyperparameters["min_rows_in_leaf"]),
        class_weight="balanced" if hyperparameters["balanced"] else None,
        random_state=int(hyperparameters["seed"]),
        n_jobs=-1,
    )
    # a feature without any value in training would be dropped, which would shift the columns
    pipeline = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), forest)
    pipeline.fit(train.features.to_numpy(), train.target)
    forest.n_jobs = 1  # several threads add the trees' answers up in any order: another last bit each time
    return Fitted(pipeline, names)


def refit(model: Fitted, rows: Examples, hyperparameters: Mapping[str, Scalar]) -> Fitted:
    """The validation split chose nothing."""
    return fit(rows, rows, hyperparameters)


def _boost(train: Examples, validation: Examples, hyperparameters: Mapping[str, Scalar]) -> lgb.Booster:
    parameters = {
        "objective": "binary",
        "learning_rate": hyperparameters["learning_rate"],
        "num_leaves": hyperparameters["num_leaves"],
        "min_data_in_leaf": hyperparameters["min_rows_in_leaf"],
        "is_unbalance": hyperparameters["balanced"],
        "seed": hyperparameters["seed"],
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.8,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # on so few rows more of them only wait for each other
        "verbose": -1,
    }
    data = lgb.Dataset(train.features.to_numpy(), train.target, feature_name=train.features.columns)
    looked_at = lgb.Dataset(validation.features, validation.target, reference=data) if feval() else None
    return boosting.train(parameters, data, int(hyperparameters["trees"]), looked_at)


def predict(model: Fitted, features: pl.DataFrame) -> Array:
    rows = features.to_numpy()
    if isinstance(model.model, Pipeline):
        return np.asarray(model.model.predict_proba(rows))
    failing = np.asarray(model.model.predict(rows, num_threads=1))
    return np.column_stack([1 - failing, failing])


def contributions(model: Fitted, features: pl.DataFrame, labels: Array | None) -> Contributions | None:
    """None for a forest: scikit-learn has no TreeSHAP."""
    if isinstance(model.model, Pipeline):
        return None
    return trees.contributions(model.model, model.features, features.select(model.features).to_numpy(), labels)


class Kept(TypedDict):
    """The content of a forest's file."""

    pipeline: Pipeline
    features: list[str]


def save(model: Fitted, folder: Path) -> None:
    if isinstance(model.model, Pipeline):
        (folder / FOREST_FILE).write_bytes(
            _same_bytes(skops.io.dumps({"pipeline": model.model, "features": model.features}))
        )
    else:
        boosting.save(model.model, folder)


def _same_bytes(dumped: bytes) -> bytes:
    """Makes skops' output reproducible: it names objects by their memory addresses, and its zip contains the time."""
    numbers: dict[str, str] = {}
    renamed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(dumped)) as given, zipfile.ZipFile(renamed, "w") as written:
        schema = ADDRESS.sub(
            lambda found: found[1] + numbers.setdefault(found[2], str(len(numbers) + 1)), given.read(SCHEMA).decode()
        )
        for name in sorted(numbers, key=lambda address: int(numbers[address])):
            if f"{name}.npy" in given.namelist():
                written.writestr(zipfile.ZipInfo(f"{numbers[name]}.npy"), given.read(f"{name}.npy"))
        written.writestr(zipfile.ZipInfo(SCHEMA), schema)
    return renamed.getvalue()


def load(folder: Path) -> Fitted:
    """What ``save`` wrote.

    Raises:
        skops.io.exceptions.UntrustedTypesFoundException: the file holds a type that is not trusted.
        ValueError: its trees point outside themselves.
    """
    if (folder / boosting.FILE).exists():
        booster = boosting.load(folder)
        return Fitted(booster, booster.feature_name())
    content: Kept = skops.io.load(folder / FOREST_FILE, trusted=TRUSTED)
    forest = content["pipeline"][-1]
    _require_sound(forest, len(content["features"]))
    forest.n_jobs = 1  # threads cost more than they save on the few rows of a request
    return Fitted(content["pipeline"], content["features"])


def _require_sound(forest: RandomForestClassifier, features: int) -> None:
    for number, one in enumerate(forest.estimators_):
        tree = one.tree_
        inner = tree.children_left != -1
        children = np.concatenate([tree.children_left[inner], tree.children_right[inner]])
        inside = np.all((children > 0) & (children < tree.node_count))
        if not inside or np.any((tree.feature[inner] < 0) | (tree.feature[inner] >= features)):
            raise ValueError(f"{FOREST_FILE}: tree {number} points outside itself: training did not write this.")


def describe(model: Fitted) -> dict[str, Scalar]:
    if isinstance(model.model, Pipeline):
        forest = model.model[-1]
        return {"algorithm": FOREST, "trees": len(forest.estimators_), "nodes": sum(t.tree_.node_count for t in forest)}
    return {"algorithm": LIGHTGBM, "trees": model.model.num_trees()}


def importance(model: Fitted) -> dict[str, float]:
    """Gini importance of the forest, total gain of LightGBM's splits."""
    if isinstance(model.model, Pipeline):
        values = model.model[-1].feature_importances_
    else:
        values = model.model.feature_importance("gain")
    return {name: float(value) for name, value in zip(model.features, values, strict=True)}
