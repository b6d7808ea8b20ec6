"""Contributions add up to the score of the row's class, whichever rows are explained together."""

from __future__ import annotations

from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

from include.models import trees

NAMES = ["a", "b", "c"]


def fitted(classes: int) -> tuple[lgb.Booster, np.ndarray]:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(600, 3))
    inputs[::7, 1] = np.nan
    target = np.digitize(inputs[:, 0], [-0.5, 0.5]) if classes > 2 else inputs[:, 0] > 0
    objective = {"objective": "multiclass", "num_class": 3} if classes > 2 else {"objective": "binary"}
    parameters = {**objective, "verbose": -1, "num_leaves": 7, "seed": 1}
    return lgb.train(parameters, lgb.Dataset(inputs, target, feature_name=NAMES), 20), inputs


@pytest.mark.parametrize("classes", [2, 3])
def test_they_add_up_to_the_score_and_a_row_has_the_same_alone(classes: int, tmp_path: Path) -> None:
    booster, inputs = fitted(classes)
    booster.save_model(tmp_path / "model.txt")
    booster = lgb.Booster(model_file=tmp_path / "model.txt")
    labels = np.asarray(booster.predict(inputs))
    labels = labels.argmax(axis=1) if classes > 2 else (labels > 0.5).astype(int)
    found = trees.contributions(booster, NAMES, inputs, labels)
    scores = np.asarray(booster.predict(inputs, raw_score=True))
    scores = scores[np.arange(600), labels] if classes > 2 else np.where(labels == 1, scores, -scores)
    assert found.values.sum(axis=1) == pytest.approx(scores, abs=1e-12)
    assert np.abs(found.values[:, 0]).mean() > np.abs(found.values[:, 2]).mean()
    alone = [trees.contributions(booster, NAMES, inputs[row : row + 1], labels[row : row + 1]) for row in range(50)]
    assert np.array_equal(np.vstack([one.values for one in alone]), found.values[:50])


def test_they_are_what_the_whole_model_says_of_the_class() -> None:
    booster, inputs = fitted(3)
    whole = np.asarray(booster.predict(inputs[:40], pred_contrib=True)).reshape(40, 3, 4)
    for label in range(3):
        found = trees.contributions(booster, NAMES, inputs[:40], np.full(40, label))
        assert np.array_equal(found.values, whole[:, label])
