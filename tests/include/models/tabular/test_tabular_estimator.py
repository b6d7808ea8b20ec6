"""The estimator of models without code: every kind of problem, gaps, rare classes, the same bits after saving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.models.config import Derived, Features, ModelConfig, load_model
from include.models.errors import JobError
from include.models.interface import Examples
from include.models.loader import estimator, feature_builder
from include.models.tabular.estimator import TabularEstimator
from include.models.tabular.features import TabularFeatures

HYPERPARAMETERS = {
    "num_boost_round": 60,
    "early_stopping_rounds": 10,
    "learning_rate": 0.1,
    "num_leaves": 7,
    "class_balance": 0.5,
    "seed": 1,
}
CLASSES = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"], "regression": []}


def config(problem: str, **features: object) -> ModelConfig:
    return load_model("tabular_classifier").model_copy(
        update={"problem": problem, "features": Features.model_validate(features)}
    )


def rows(problem: str, count: int, seed: int) -> Examples:
    """Targets that follow from a number with gaps and a category; if they are classes, the last is rare."""
    rng = np.random.default_rng(seed)
    plant = rng.choice(["north", "south"], count)
    x = rng.normal(0, 1, count)
    value = x + 2 * (plant == "south")
    target = value
    if problem == "binary":
        target = (value > 2.5).astype(np.int64)
    if problem == "multiclass":
        target = np.digitize(value, [0.5, 2.5])
    features = pl.DataFrame({"x": x, "plant": plant}).with_columns(
        x=pl.when(pl.int_range(count) % 10 != 0).then("x"), plant=pl.when(pl.int_range(count) % 17 != 0).then("plant")
    )
    return Examples(features, target, CLASSES[problem])


@pytest.mark.parametrize("problem", ["binary", "multiclass", "regression"])
def test_it_learns_and_predicts_the_same_bits_after_saving(problem: str, tmp_path: Path) -> None:
    own = TabularEstimator(config(problem))
    train, validation, test = (rows(problem, 1500, seed) for seed in range(3))
    model = own.fit(train, validation, HYPERPARAMETERS)
    predicted = own.predict(model, test.features)
    if problem == "regression":
        assert np.mean((predicted - test.target) ** 2) < 0.3 * np.var(test.target)
    else:
        assert predicted.shape == (1500, len(CLASSES[problem]))
        np.testing.assert_allclose(predicted.sum(axis=1), 1)
        assert np.mean(predicted.argmax(axis=1) == test.target) > np.bincount(test.target).max() / 1500 + 0.05
    own.save(model, tmp_path)
    loaded = own.load(tmp_path)
    np.testing.assert_array_equal(own.predict(loaded, test.features), predicted)
    np.testing.assert_array_equal(own.predict(loaded, test.features[:3]), predicted[:3])
    assert own.importance(loaded).keys() == {"x", "plant"}
    assert not list(tmp_path.glob("*.pkl"))


def test_categories_never_seen_and_gaps_everywhere_are_answered() -> None:
    own = TabularEstimator(config("binary"))
    model = own.fit(rows("binary", 800, 0), rows("binary", 800, 1), HYPERPARAMETERS)
    strange = pl.DataFrame({"x": [0.5, None], "plant": ["on the moon", None]})
    assert np.isfinite(own.predict(model, strange)).all()


def test_a_rare_class_counts_for_more_with_class_balance() -> None:
    train, test = rows("binary", 3000, 0), rows("binary", 3000, 1)
    own = TabularEstimator(config("binary"))
    called = [
        (
            own.predict(own.fit(train, test, {**HYPERPARAMETERS, "class_balance": balance}), test.features)[:, 1] > 0.5
        ).sum()
        for balance in (0.0, 1.0)
    ]
    assert called[1] > called[0]


def test_derived_columns_of_model_yaml_are_learned_from() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.uniform(1, 10, 4000), rng.uniform(1, 10, 4000)
    whole = Examples(pl.DataFrame({"a": a, "b": b}), a / b, [])
    errors = {}
    for name, derived in (("without", []), ("with", [Derived(name="a per b", kind="ratio", of=["a", "b"])])):
        own = TabularEstimator(config("regression", derived=derived))
        model = own.fit(whole, whole, HYPERPARAMETERS)
        errors[name] = np.mean((own.predict(model, whole.features) - whole.target) ** 2)
    assert errors["with"] < errors["without"] / 2


def test_hyperparameters_that_lightgbm_refuses() -> None:
    own = TabularEstimator(config("binary"))
    with pytest.raises(ValueError, match="LightGBM rejects the hyperparameters"):
        own.fit(rows("binary", 100, 0), rows("binary", 100, 1), {**HYPERPARAMETERS, "num_leaves": 1})


def test_a_folder_without_code_is_of_this_library() -> None:
    assert isinstance(estimator("tabular_classifier"), TabularEstimator)
    assert isinstance(feature_builder("tabular_classifier"), TabularFeatures)
    assert not isinstance(estimator("predictive_maintenance"), TabularEstimator)


def ai4i(rows: int = 4) -> pl.DataFrame:
    table = load_model("tabular_classifier").data.tables["rows"]
    return pl.DataFrame(
        {name: ["L"] * rows if kind.name == "string" else range(rows) for name, kind in table.kinds.items()}
    )


def test_the_feature_table_has_what_model_yaml_leaves() -> None:
    model = load_model("tabular_classifier")
    frame = TabularFeatures(model).build_features({"rows": ai4i().with_columns(pl.lit(1).alias("Machine failure"))})
    assert frame.columns == [
        "UDI",
        "Type",
        "Air temperature [K]",
        "Process temperature [K]",
        "Rotational speed [rpm]",
        "Torque [Nm]",
        "Tool wear [min]",
        "Machine failure",
    ]
    assert frame.schema["Tool wear [min]"] == pl.Float64


def test_rows_without_a_label_are_scored_and_not_learned_from() -> None:
    model = load_model("tabular_classifier")
    half = ai4i().with_columns(pl.when(pl.col("UDI") < 2).then(1).alias("Machine failure"))
    assert len(TabularFeatures(model).build_features({"rows": half})) == 2
    to_score = TabularFeatures(model).build_features({"rows": half}, with_label=False)
    assert len(to_score) == 4
    assert "Machine failure" not in to_score.columns


def test_columns_that_model_yaml_names_and_the_table_has_not() -> None:
    wrong = load_model("tabular_classifier").model_copy(update={"features": Features(exclude=["Colour"])})
    with pytest.raises(JobError, match=r"tabular_classifier/model.yaml names the column 'Colour'; the table has UDI"):
        TabularFeatures(wrong).build_features({"rows": ai4i()})
