"""Permutation importances distinguish the features that a model depends on from those it ignores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from sklearn.inspection import permutation_importance

from include.jobs.evaluation.metrics import measure
from include.jobs.evaluation.permutation import MOST_ROWS, REPEATS, importances
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.decision import Judgement
from include.models.config import Champion, ModelConfig, load_model
from include.models.interface import Array, Examples

FEATURES = ["kind", "size", "noise"]


@dataclass
class Rule:
    """A model that depends on the text ``kind`` and a little on ``size``; it records the rows it predicted."""

    problem: str
    feature_order: list[str] = field(default_factory=lambda: FEATURES)
    asked: list[int] = field(default_factory=list)
    judgement: Judgement = field(default_factory=Judgement)

    def predict(self, frame: pl.DataFrame) -> Array:
        assert frame.schema == {"kind": pl.String, "size": pl.Float64, "noise": pl.Float64}
        self.asked.append(len(frame))
        value = (frame["kind"] == "old").fill_null(value=False).cast(pl.Float64) + 0.2 * frame["size"].fill_null(0.0)
        if self.problem == "regression":
            return value.to_numpy()
        up = (value > 0.6).cast(pl.Float64).to_numpy()
        return np.column_stack([1 - up, up])


def rows(number: int) -> pl.DataFrame:
    rng = np.random.default_rng(5)
    kinds = [[None, "new", "old"][index] for index in rng.integers(0, 3, number)]
    sizes = [None if index % 7 == 0 else float(value) for index, value in enumerate(rng.random(number))]
    return pl.DataFrame({"kind": kinds, "size": sizes, "noise": rng.random(number)}, strict=False)


def found_for(problem: str, metric: str, direction: str, number: int = 400) -> tuple[Any, Rule]:
    champion = Champion.model_validate({"metric": metric, "direction": direction, "margin": 0.0})
    config: ModelConfig = load_model("abalone_age").model_copy(update={"problem": problem, "champion": champion})
    model, test = Rule(problem), rows(number)
    predictions = model.predict(test)
    target = predictions if problem == "regression" else predictions.argmax(axis=1)
    truth = Examples(test, target, [] if problem == "regression" else ["no", "yes"])
    return importances(config, cast(LoadedModel, model), test, truth), model


@pytest.mark.parametrize(
    ("problem", "metric", "direction"),
    [("regression", "mse", "minimize"), ("regression", "r2", "maximize"), ("binary", "f1", "maximize")],
)
def test_what_is_needed_is_lost_and_what_is_not_is_none(problem: str, metric: str, direction: str) -> None:
    found, _ = found_for(problem, metric, direction)
    assert found.metric == metric
    assert list(found.lost) == FEATURES
    assert found.lost["kind"] > 0.1
    assert found.lost["kind"] > found.lost["size"]
    assert found.lost["noise"] == 0


def test_a_metric_of_the_models_own_gives_way_to_that_of_its_problem() -> None:
    found, _ = found_for("binary", "machines_saved", "maximize")
    assert found.metric == "f1"
    assert found.lost["kind"] > 0.1


def test_a_large_test_split_is_thinned() -> None:
    _, model = found_for("regression", "mse", "minimize", number=3 * MOST_ROWS)
    assert model.asked[1:] == [MOST_ROWS, len(FEATURES) * REPEATS * MOST_ROWS], "all permutations in one pass"


@pytest.mark.parametrize(("problem", "metric"), [("regression", "r2"), ("binary", "f1"), ("binary", "pr_auc")])
def test_it_is_what_scikit_learn_finds_feature_by_feature(problem: str, metric: str) -> None:
    found, model = found_for(problem, metric, "maximize")
    test = rows(400)
    predictions = model.predict(test)
    target = predictions if problem == "regression" else predictions.argmax(axis=1)
    classes = [] if problem == "regression" else ["no", "yes"]

    class Fitted:
        def fit(self) -> None: ...

    def score(_: Fitted, values: Any, target: Array) -> float:
        answers = model.predict(pl.from_pandas(values, schema_overrides=test.schema))
        return measure(problem, target, answers, classes)[metric]

    theirs = permutation_importance(
        Fitted(), test.to_pandas(), target, scoring=score, n_repeats=REPEATS, random_state=0
    )
    assert list(found.lost.values()) == pytest.approx(theirs.importances_mean, abs=1e-12)
