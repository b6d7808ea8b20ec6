"""Segments of a test split, taken from features, raw tables and times, are judged separately."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from include.jobs.evaluation.measuring import Answers, Measures
from include.jobs.evaluation.slicing import fairness, slice_of, sliced, told, worst_of_gates
from include.jobs.features.feature_table import examples
from include.models.config import Gate, ModelConfig, Slice, load_model


def shells(rows: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "specimen": range(rows),
            "sex": ["M", "F", "I"] * (rows // 3),
            "length": rng.random(rows),
            "rings": rng.integers(1, 20, rows).astype(float),
        }
    )


def abalone(*gates: Gate, **about: object) -> ModelConfig:
    one = Slice.model_validate({"name": "sex", "min_rows": 50, **about})
    return load_model("abalone_age").model_copy(update={"slices": [one], "gates": list(gates)})


def measured(config: ModelConfig, test: pl.DataFrame, wrong: dict[str, float]) -> tuple[Measures, Answers]:
    """Predictions with the given error for each sex."""
    off = test["sex"].replace_strict(list(wrong), [float(one) for one in wrong.values()])
    return Measures(config, test, examples(config, test), {}), Answers((test["rings"] + off).to_numpy())


def test_the_worst_segment_is_on_top_and_holds_the_gate() -> None:
    gate = Gate(metric="mse", slice="sex", max=2)
    config = abalone(gate)
    measures, answers = measured(config, shells(), {"M": 1, "F": 2, "I": 0.5})
    found = sliced(measures, answers)
    worst, named = worst_of_gates(config, found)
    assert worst.values == {gate.measured: 4.0}
    assert named == {gate.measured: "F"}
    assert [(one["segment"], one["metrics"]["mse"]) for one in told(config, found)["sex"]] == [
        ("F", 4.0),
        ("M", 1.0),
        ("I", 0.25),
    ]
    assert told(config, found)["sex"][0]["intervals"]["mse"] == (4.0, 4.0)


def test_a_segment_of_few_rows_is_shown_last_and_not_judged() -> None:
    gate = Gate(metric="mse", slice="sex", max=2, interval=True)
    config = abalone(gate)
    few = shells().filter((pl.col("sex") != "F") | (pl.col("specimen") < 100))
    found = sliced(*measured(config, few, {"M": 1, "F": 2, "I": 0.5}))
    assert worst_of_gates(config, found)[1] == {gate.measured: "M"}
    assert [(one["segment"], one["enough"]) for one in told(config, found)["sex"]] == [
        ("M", True),
        ("I", True),
        ("F", False),
    ]
    none = abalone(gate, min_rows=1000)
    assert worst_of_gates(none, sliced(*measured(none, few, {"M": 1, "F": 2, "I": 0.5})))[1] == {}


def test_a_column_of_a_raw_table_is_looked_up_by_its_key() -> None:
    config = load_model("predictive_maintenance")
    machines = pl.DataFrame({"machineID": [1, 2], "model": ["model3", "model4"], "age": [18, 4]})
    test = pl.DataFrame({"machineID": [2, 1, 3], "age": [4.0, 18.0, 10.0]})
    by_model, by_age = (slice_of(config, one, test, {"machines": machines}).to_list() for one in config.slices)
    assert by_model == ["model4", "model3", None]
    assert by_age == ["under 5", "15 and more", "10 to 15"]


def test_a_time_has_weekdays() -> None:
    config = load_model("electricity")
    test = pl.DataFrame(
        {"half_hour": pl.datetime_range(pl.datetime(2026, 11, 28), pl.datetime(2026, 11, 30), eager=True)}
    )
    assert slice_of(config, config.slices[0], test, {}).to_list() == ["Saturday", "Sunday", "Monday"]


def test_of_a_protected_slice_the_largest_difference_is_told() -> None:
    config = abalone(protected=True)
    found = fairness(*measured(config, shells(), {"M": 1, "F": 3, "I": 0.5}))
    assert found["mae_difference_sex"] == pytest.approx(2.5)
    assert set(found) <= set(config.evaluation_metrics)
    assert fairness(*measured(abalone(), shells(), {"M": 1, "F": 3, "I": 0.5})) == {}


@pytest.mark.parametrize("problem", ["binary", "multiclass"])
def test_classes_that_a_segment_is_never_given_are_a_difference(problem: str) -> None:
    config = load_model("tabular_classifier").model_copy(
        update={"problem": problem, "slices": [Slice(name="Type", protected=True)]}
    )
    test = pl.DataFrame({"UDI": range(40), "Type": ["L", "M"] * 20, "Machine failure": [0, 0, 1, 1] * 10})
    right = test["Machine failure"].to_numpy()
    given = np.where(test["Type"].to_numpy() == "L", right, 0)
    answers = Answers(np.column_stack([1 - given, given]).astype(float))
    found = fairness(Measures(config, test, examples(config, test), {}), answers)
    assert found["accuracy_difference_Type"] == pytest.approx(0.5)
    assert set(found) <= set(config.evaluation_metrics)
    if problem == "binary":
        assert found["demographic_parity_difference_Type"] == pytest.approx(0.5)
        assert found["equalized_odds_difference_Type"] == pytest.approx(1.0)
