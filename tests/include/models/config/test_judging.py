from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from include.models.config import Gate, ModelConfig, load_model
from include.models.config.judging import (
    Verdict,
    explain,
    may_register,
    told_of_change,
    told_of_chosen,
    told_of_production,
    told_of_refit,
    told_of_segments,
    told_of_slices,
    told_of_suspects,
)
from include.models.config.judging import judge as judge_evaluation
from include.models.config.results import Chosen, Comparison, Rival
from include.models.config.split import Refit

GOOD = {"macro_f1": 0.95, "log_loss": 0.05}


def judge(
    model: ModelConfig,
    metrics: dict[str, Any],
    champion: dict[str, Any] | None,
    intervals: dict[str, tuple[float, float]] | None = None,
    production: Sequence[Rival] | None = None,
    *,
    forced: bool = False,
) -> list[Verdict]:
    evaluation = {"metrics": metrics, "champion": champion, "intervals": intervals or {}}
    evaluation |= {"production": production} if production is not None else {}
    return judge_evaluation(model, evaluation, forced=forced)  # type: ignore[arg-type]


@pytest.fixture
def model() -> ModelConfig:
    gates = [Gate(metric="macro_f1", min=0.9), Gate(metric="log_loss", max=0.1)]
    champion = load_model("predictive_maintenance").champion.model_copy(
        update={"metric": "macro_f1", "direction": "maximize", "margin": 0.01}
    )
    return load_model("predictive_maintenance").model_copy(update={"gates": gates, "champion": champion})


def test_a_good_model_without_a_champion_passes(model: ModelConfig) -> None:
    verdicts = judge(model, GOOD, None)
    assert [(v["metric"], v["kind"], v["threshold"], v["value"], v["passed"]) for v in verdicts] == [
        ("macro_f1", "min", 0.9, 0.95, True),
        ("log_loss", "max", 0.1, 0.05, True),
    ]
    assert may_register(verdicts)


@pytest.mark.parametrize(
    ("metric", "value", "missed"), [("macro_f1", 0.8999, "0.0001 off"), ("log_loss", 0.2, "0.1 off")]
)
def test_one_missed_gate_rejects_and_says_by_how_much(
    model: ModelConfig, metric: str, value: float, missed: str
) -> None:
    verdicts = judge(model, GOOD | {metric: value}, None)
    assert not may_register(verdicts)
    assert [v["metric"] for v in verdicts if not v["passed"]] == [metric]
    assert missed in next(explain(v) for v in verdicts if not v["passed"])


def test_bounds_belong_to_the_gate(model: ModelConfig) -> None:
    assert may_register(judge(model, {"macro_f1": 0.9, "log_loss": 0.1}, None))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_number_never_passes(model: ModelConfig, value: float | None) -> None:
    verdicts = judge(model, GOOD | {"log_loss": value}, None)
    assert not may_register(verdicts)
    assert verdicts[1]["value"] is None
    assert "not a number" in explain(verdicts[1])


def test_a_metric_that_is_not_there_does_not_pass(model: ModelConfig) -> None:
    verdicts = judge(model, {"macro_f1": 0.95}, None)
    assert not may_register(verdicts)
    assert verdicts[1]["value"] is None


@pytest.mark.parametrize(("candidate", "passes"), [(0.95, True), (0.9500001 - 0.01, True), (0.93, False)])
def test_the_champion_may_be_better_by_the_margin_only(model: ModelConfig, candidate: float, passes: bool) -> None:
    verdicts = judge(model, GOOD | {"macro_f1": candidate}, {"macro_f1": 0.95})
    assert verdicts[-1]["kind"] == "champion"
    assert verdicts[-1]["threshold"] == pytest.approx(0.94)
    assert may_register(verdicts) is passes


def test_where_less_is_better_the_margin_lies_above(model: ModelConfig) -> None:
    rule = model.champion.model_copy(update={"metric": "log_loss", "direction": "minimize"})
    model = model.model_copy(update={"champion": rule})
    assert may_register(judge(model, GOOD, {"log_loss": 0.045}))
    assert not may_register(judge(model, GOOD, {"log_loss": 0.02}))


def test_force_goes_past_the_champion_and_never_past_a_gate(model: ModelConfig) -> None:
    worse = judge(model, GOOD, {"macro_f1": 0.99}, forced=True)
    assert may_register(worse)
    assert worse[-1]["forced"]
    assert not worse[-1]["passed"]
    assert "let through: force" in explain(worse[-1])
    assert not may_register(judge(model, GOOD | {"macro_f1": 0.5}, {"macro_f1": 0.99}, forced=True))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (("f1", "min", 0.9, 0.95, True), "f1 must be at least 0.9; it is 0.95"),
        (("f1", "min", 0.9, 0.85, False), "f1 must be at least 0.9; it is 0.85, 0.05 off"),
        (("loss", "max", 0.5, 0.75, False), "loss must be at most 0.5; it is 0.75, 0.25 off"),
        (
            ("f1", "champion", 0.94, 0.9, False),
            "f1 must be no worse than that of the champion, less the margin: 0.94; it is 0.9, 0.04 off",
        ),
        (("f1", "min", 0.9, None, False), "f1 must be at least 0.9; it is not a number"),
    ],
)
def test_a_verdict_is_told_in_a_line(verdict: Any, said: str) -> None:
    metric, kind, threshold, value, passed = verdict
    found: Any = {"metric": metric, "kind": kind, "threshold": threshold, "value": value, "passed": passed}
    assert explain(found) == said
    if not passed and value is not None:
        assert explain({**found, "forced": True}) == f"{said} (let through: force)"


def with_gate(model: ModelConfig, **gate: Any) -> ModelConfig:
    return model.model_copy(update={"gates": [Gate(**gate)]})


@pytest.mark.parametrize(("ends", "passes"), [((0.91, 0.97), True), ((0.89, 0.97), False), (None, False)])
def test_an_interval_is_held_by_its_worse_end(
    model: ModelConfig, ends: tuple[float, float] | None, passes: bool
) -> None:
    gate = with_gate(model, metric="macro_f1", interval=True, min=0.9)
    verdicts = judge(gate, {"macro_f1": 0.95}, None, {"macro_f1": ends} if ends else {})
    assert may_register(verdicts) is passes
    if not passes:
        said = "0.01 off at the lower end" if ends else "too small for the interval"
        assert said in explain(verdicts[0])


def test_of_what_is_to_be_low_the_upper_end_counts(model: ModelConfig) -> None:
    gate = with_gate(model, metric="log_loss", interval=True, max=0.1)
    assert may_register(judge(gate, GOOD, None, {"log_loss": (0.04, 0.09)}))
    assert not may_register(judge(gate, GOOD, None, {"log_loss": (0.04, 0.11)}))


def test_the_first_version_has_no_production_to_be_better_than(model: ModelConfig) -> None:
    gate = with_gate(model, metric="macro_f1", over="production", min=0.01)
    assert may_register(judge(gate, GOOD, None))
    better = GOOD | {"macro_f1_over_production": 0.02}
    assert may_register(judge(gate, better, {"macro_f1": 0.93}))
    assert not may_register(judge(gate, GOOD | {"macro_f1_over_production": 0.005}, {"macro_f1": 0.945}))


def test_too_few_rows_cannot_be_judged_but_forced(model: ModelConfig) -> None:
    few = GOOD | {"rarest_class_rows": model.min_positives - 1}
    verdicts = judge(model, few, None)
    assert not may_register(verdicts)
    assert "cannot be judged" in explain(verdicts[0])
    assert may_register(judge(model, few, None, forced=True))
    assert not may_register(judge(model, few | {"macro_f1": 0.5}, None, forced=True)), "gates still apply"
    assert may_register(judge(model, GOOD | {"rarest_class_rows": model.min_positives}, None))


def rival(version: int, worse: float | None, *, seen: int | None = 0) -> Rival:
    """A version that is better than the candidate with that probability; None: they were not compared."""
    compared: Comparison = {
        "candidate": 0.95,
        "production": 0.954,
        "difference": -0.004,
        "low": -0.02,
        "high": 0.01,  # type: ignore[typeddict-item]
        "worse": worse or 0.0,
        "smallest": 0.018,
    }
    why_not = "too few rows" if worse is None else None
    return {
        "version": version,
        "of": 100,
        "seen": seen,
        "comparison": None if worse is None else compared,
        "why_not": why_not,
    }


@pytest.mark.parametrize(("worse", "passes"), [(0.04, True), (0.05, False)])
def test_with_a_comparison_its_probability_decides(model: ModelConfig, worse: float, passes: bool) -> None:
    verdicts = judge(model, GOOD, {"macro_f1": 0.954}, production=[rival(7, worse)])
    assert may_register(verdicts) is passes
    assert f"with probability {worse:.1%}" in explain(verdicts[-1])
    assert "The smallest difference that these rows can detect is 0.018" in explain(verdicts[-1])


@pytest.mark.parametrize(
    ("difference", "low", "high", "said"),
    [
        (0.012, 0.003, 0.02, "better by 0.012 (95 % 0.003 to 0.02)"),
        (-0.0096, -0.0163, 0.0046, "worse by 0.0096 (95 % -0.0046 to 0.0163)"),
    ],
)
def test_what_is_worse_is_not_said_to_be_better(
    model: ModelConfig, difference: float, low: float, high: float, said: str
) -> None:
    beside = rival(7, 0.01)
    assert beside["comparison"]
    beside["comparison"] |= {"difference": difference, "low": low, "high": high}
    verdicts = judge(model, GOOD, {"macro_f1": 0.954}, production=[beside])
    assert f", {said};" in explain(verdicts[-1])


def test_the_best_of_the_last_versions_sets_the_bar(model: ModelConfig) -> None:
    verdicts = judge(model, GOOD, {"macro_f1": 0.94}, production=[rival(9, 0.01), rival(8, 0.2), rival(7, None)])
    assert not may_register(verdicts)
    assert "that of version 8" in explain(verdicts[-1])


def test_what_is_not_compared_sets_no_bar_and_is_told(model: ModelConfig) -> None:
    given = [rival(9, None, seen=70)]
    assert may_register(judge(model, GOOD, None, production=given))
    assert told_of_production(model, {"metrics": GOOD, "champion": None, "production": given}) == [  # type: ignore[typeddict-item]
        "Not compared with version 9: too few rows"
    ]
    told = told_of_production(model, {"metrics": GOOD, "champion": None, "production": [rival(9, 0.0, seen=70)]})  # type: ignore[typeddict-item]
    assert "Compared with version 9 on the 30 of 100 test rows that it was not trained on" in told[0]
    assert (
        "No version is in production yet"
        in told_of_production(
            model,
            {"metrics": GOOD, "champion": None, "production": []},  # type: ignore[typeddict-item]
        )[0]
    )


def test_a_suspected_leak_is_told() -> None:
    assert told_of_suspects({"metrics": {}, "champion": None}) == []
    assert told_of_suspects({"metrics": {}, "champion": None, "suspects": ["refund"]}) == [
        "Perhaps a leak: refund nearly tells the target alone. What is known only afterwards belongs under "
        "features.exclude in model.yaml"
    ]
    [many] = told_of_suspects({"metrics": {}, "champion": None, "suspects": [f"f{number}" for number in range(10)]})
    assert "f7 and 2 more nearly tell the target" in many


@pytest.mark.parametrize(
    ("low", "said"),
    [(0.001, "better beyond noise on both"), (-0.001, "not better beyond noise on both: keep model.yaml's own")],
)
def test_tuning_is_better_than_model_yaml_on_both_splits_or_says_that_it_is_not(
    model: ModelConfig, low: float, said: str
) -> None:
    compared: Comparison = {
        "candidate": 0.95,
        "production": 0.94,
        "difference": 0.01,
        "low": 0.002,
        "high": 0.02,
        "worse": 0.0,
        "smallest": 0.01,
    }
    chosen: Chosen = {
        "hyperparameters": {"num_leaves": "15 for 31"},
        "validation": compared,
        "test": {**compared, "low": low},
    }
    assert told_of_chosen(model, {"metrics": {}, "champion": None, "chosen": chosen}) == [
        f"Chosen hyperparameters (num_leaves 15 for 31) against model.yaml's: {model.champion.metric} is better by "
        f"0.01 (95 % 0.002 to 0.02) on validation and better by 0.01 (95 % {low} to 0.02) on test; {said}"
    ]
    worse: Comparison = {**compared, "difference": -0.01, "low": -0.02, "high": 0.0}
    (told,) = told_of_chosen(model, {"metrics": {}, "champion": None, "chosen": {**chosen, "test": worse}})
    assert "and worse by 0.01 (95 % 0 to 0.02) on test; not better beyond noise" in told
    assert told_of_chosen(model, {"metrics": {}, "champion": None, "chosen": None}) == []


def test_a_gate_of_a_slice_names_the_segment(model: ModelConfig) -> None:
    gate = Gate(metric="macro_f1", slice="model", min=0.9)
    sliced = model.model_copy(update={"gates": [gate]})
    evaluation: Any = {"metrics": {gate.measured: 0.8}, "champion": None, "worst": {gate.measured: "model3"}}
    (verdict,) = judge_evaluation(sliced, evaluation)
    assert explain(verdict) == "lowest_macro_f1_by_model must be at least 0.9; it is 0.8 where it is model3, 0.1 off"
    (verdict,) = judge_evaluation(sliced, {"metrics": {}, "champion": None})
    assert not verdict["passed"]
    assert "no segment has enough rows" in explain(verdict)


def test_a_gate_over_production_that_does_not_apply_hides_no_gate_after_it(model: ModelConfig) -> None:
    gates = [Gate(metric="macro_f1", over="production", min=0.01), Gate(metric="macro_f1", min=0.9)]
    both = model.model_copy(update={"gates": gates})
    assert may_register(judge(both, GOOD, None))
    assert not may_register(judge(both, {"macro_f1": 0.5}, None))
    assert may_register(judge(both, GOOD, None, production=[rival(9, None)])), "not compared"
    assert not may_register(judge(both, GOOD | {"macro_f1_over_production": 0}, None, production=[rival(9, 0.0)]))


def test_versions_that_could_not_be_compared_are_not_compared_by_value_either(model: ModelConfig) -> None:
    assert may_register(judge(model, GOOD, {"macro_f1": 0.99}, production=[rival(9, None)]))


@pytest.mark.parametrize("value", [0.85, None, math.nan])
def test_an_interval_above_the_bound_does_not_make_up_for_the_value(model: ModelConfig, value: float | None) -> None:
    gate = with_gate(model, metric="macro_f1", interval=True, min=0.9)
    assert not may_register(judge(gate, {"macro_f1": value}, None, {"macro_f1": (0.91, 0.97)}))


def test_what_passes_needs_no_force(model: ModelConfig) -> None:
    verdicts = judge(model, GOOD | {"rarest_class_rows": model.min_positives}, {"macro_f1": 0.95}, forced=True)
    assert len(verdicts) == 4
    assert not [verdict for verdict in verdicts if "forced" in verdict]
    missed = judge(model, {"macro_f1": 0.5}, None, forced=True)
    assert not [verdict for verdict in missed if "forced" in verdict], "a gate is never forced"


@pytest.mark.parametrize(("distance", "passes"), [(0.02, True), (0.021, False), (math.nan, False)])
def test_a_refitted_model_answers_almost_as_the_evaluated_one(
    model: ModelConfig, distance: float, passes: bool
) -> None:
    evaluation: Any = {"metrics": GOOD, "champion": None, "refit": {"distance": distance, "rows": 1000, "metrics": {}}}
    refitted = model.model_copy(update={"split": model.split.model_copy(update={"refit": Refit(distance=0.02)})})
    verdicts = judge_evaluation(refitted, evaluation)
    assert may_register(verdicts) is passes
    assert (verdicts[-1]["metric"], verdicts[-1]["threshold"]) == ("refit_distance", 0.02)
    plain = model.model_copy(update={"split": model.split.model_copy(update={"refit": None})})
    assert len(judge_evaluation(plain, evaluation)) == 2


def test_a_refit_is_told_with_what_it_reaches_on_rows_that_it_has_seen(model: ModelConfig) -> None:
    assert told_of_refit(model, {"metrics": GOOD, "champion": None}) == []
    refit: Any = {"distance": 0.0123, "rows": 12345, "metrics": {"macro_f1": 0.98}}
    (said,) = told_of_refit(model, {"metrics": GOOD, "champion": None, "refit": refit})
    assert "refitted on all 12,345 rows; its answers to the golden requests are 0.0123 away" in said
    assert said.endswith("; macro_f1 0.98 on the test split, which it was trained on")
    (said,) = told_of_refit(model, {"metrics": GOOD, "champion": None, "refit": {**refit, "metrics": {}}})
    assert said.endswith("away from the evaluated model's")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            {"metric": "f1", "kind": "min", "threshold": 0.9, "value": 0.95, "passed": True, "interval": (0.91, 0.97)},
            "f1 must be at least 0.9; it is 0.95, 95 % 0.91 to 0.97",
        ),
        (
            {
                "metric": "loss",
                "kind": "max",
                "threshold": 0.1,
                "value": 0.05,
                "passed": False,
                "interval": (0.04, 0.11),
                "held": 0.11,
            },
            "loss must be at most 0.1; it is 0.05, 95 % 0.04 to 0.11, 0.01 off at the upper end",
        ),
        (
            {"metric": "f1", "kind": "champion", "threshold": 0.94, "value": None, "passed": False},
            "f1 must be no worse than that of the champion, less the margin: 0.94; it is not a number",
        ),
        (
            {"metric": "f1", "kind": "champion", "threshold": 0.94, "value": 0.95, "passed": True},
            "f1 must be no worse than that of the champion, less the margin: 0.94; it is 0.95",
        ),
        (
            {"metric": "rarest_class_rows", "kind": "evidence", "threshold": 50, "value": 60.0, "passed": True},
            "the test split has 60 rows of the rarest class (for a regression: rows), enough to judge by",
        ),
    ],
)
def test_a_verdict_with_an_interval_or_without_a_value_is_told(verdict: Any, said: str) -> None:
    assert explain(verdict) == said


def segment(name: str, value: float | None, rows: int, *, enough: bool = True, ends: Any = None) -> Any:
    intervals = {"macro_f1": ends} if ends else {}
    metrics = {"macro_f1": value, "log_loss": 0.05}
    return {"segment": name, "rows": rows, "enough": enough, "metrics": metrics, "intervals": intervals}


def test_segments_are_told_with_what_they_are_judged_by_and_the_worst_first(model: ModelConfig) -> None:
    few, unknown = segment("model9", 0.1, 3, enough=False), segment("model8", None, 200)
    worst = segment("model3", 0.8, 100, ends=(0.7, 0.9))
    evaluation: Any = {"metrics": {}, "champion": None, "slices": {"model": [few, unknown, worst], "age": [few]}}
    assert told_of_slices(model, evaluation) == [
        "By model, macro_f1 is the worst for model3: 0.8 (95 % 0.7 to 0.9) on 100 rows",
        "By age: no segment has enough rows to judge",
    ]
    gates = [Gate(metric="log_loss", slice="model", max=1), Gate(metric="macro_f1", slice="model", min=0)]
    sliced = model.model_copy(update={"gates": [*gates, Gate(metric="log_loss", max=1)]})
    told = told_of_segments(sliced, evaluation)
    named = {one.name for one in model.slices}
    by = ", log_loss 0.05" if "model" in named else ""
    assert told["model"].endswith(f"model3: macro_f1 0.8 (0.7 to 0.9){by}, 100 rows")
    assert told["age"] == "model9: macro_f1 0.1, 3 rows, too few to be judged"


def test_what_is_reached_since_a_change_is_told() -> None:
    model = load_model("predictive_maintenance")
    since: Any = {"day": "2015-10-01", "rows": 1600, "evidence": 3, "metrics": {"macro_f1": 0.956}}
    whole: Any = {"metrics": GOOD, "champion": None}
    assert told_of_change(model, whole) == []
    (told,) = told_of_change(model, {**whole, "since": {**since, "intervals": {"macro_f1": (0.665, 1.0)}}})
    assert told.startswith(
        "On the 1,600 test rows since 2015-10-01, after the change, macro_f1 is 0.956 (95 % 0.665 to 1)"
    )
    (told,) = told_of_change(model, {**whole, "since": {**since, "metrics": {}, "intervals": {}}})
    assert "macro_f1 has no value: monitoring compares" in told
