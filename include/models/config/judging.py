"""Whether a candidate may be registered: the gates of model.yaml, and the comparison with the champion.

Pure, and read by Airflow's side, which decides, as by the evaluation's report, which shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from .gates import Bound, Gate
from .model import ModelConfig
from .results import Comparison, Evaluation

MOST_WORSE = 0.05  # probability that a candidate is worse than the champion by more than the margin


class Verdict(TypedDict):
    """One gate's outcome. ``value`` is None where it is not a number; ``forced``: not passed, and let through.

    ``interval``: the metric's, of 95 %. ``held``: what is held to the threshold, where it is not the value.
    ``evidence`` is whether the test split has enough rows to judge by.
    """

    metric: str
    kind: Literal["min", "max", "champion", "evidence"]
    threshold: float
    value: float | None
    passed: bool
    forced: NotRequired[bool]
    interval: NotRequired[tuple[float, float] | None]
    held: NotRequired[float | None]
    comparison: NotRequired[Comparison]


def judge(model: ModelConfig, evaluation: Evaluation, *, forced: bool = False) -> list[Verdict]:
    """Every verdict: whether there is enough to judge by, the gates, the comparison with the champion.

    Args:
        forced: lets a candidate through that cannot be judged, or that is worse than the champion; gates stand.
    """
    verdicts = [*_evidence(model, evaluation)]
    metrics, intervals = evaluation["metrics"], evaluation.get("intervals", {})
    in_production = evaluation["champion"] is not None
    for gate in model.gates:
        if gate.over == "production" and not in_production:
            continue  # the first version has nothing to be better than
        verdicts += [_verdict(gate, bound, metrics, intervals) for bound in gate.bounds]
    verdicts += _champion(model, evaluation)
    for verdict in verdicts:
        if forced and not verdict["passed"] and verdict["kind"] in ("champion", "evidence"):
            verdict["forced"] = True
    return verdicts


def may_register(verdicts: list[Verdict]) -> bool:
    return all(verdict["passed"] or verdict.get("forced", False) for verdict in verdicts)


def explain(verdict: Verdict) -> str:
    """One line: which gate, what it wants, what was found, by how much it was missed."""
    told = {"evidence": _explain_evidence, "champion": _explain_champion}.get(verdict["kind"], _explain_gate)(verdict)
    return told + (" (let through: force)" if verdict.get("forced") else "")


def _evidence(model: ModelConfig, evaluation: Evaluation) -> list[Verdict]:
    metric = "rarest_class_rows"
    value = _number(evaluation["metrics"].get(metric))
    if value is None:
        return []  # an evaluation from before it was counted
    passed = value >= model.min_positives
    return [{"metric": metric, "kind": "evidence", "threshold": model.min_positives, "value": value, "passed": passed}]


def _verdict(
    gate: Gate, bound: Bound, metrics: Mapping[str, float | None], intervals: Mapping[str, tuple[float, float]]
) -> Verdict:
    value, ends = _number(metrics.get(bound.metric)), intervals.get(bound.metric)
    verdict: Verdict = {
        "metric": bound.metric,
        "kind": bound.kind,
        "threshold": bound.threshold,
        "value": value,
        "passed": bound.holds(value),
        "interval": ends,
    }
    if gate.interval:
        held = None if ends is None else ends[0 if bound.kind == "min" else 1]
        verdict |= {"held": held, "passed": bound.holds(value) and bound.holds(held)}
    return verdict


def _champion(model: ModelConfig, evaluation: Evaluation) -> list[Verdict]:
    champion = evaluation["champion"]
    best = _number(champion.get(model.champion.metric)) if champion is not None else None
    if best is None:  # a champion whose metric is not a number sets no bar
        return []
    bound = model.champion.bound(best)
    value = _number(evaluation["metrics"].get(bound.metric))
    verdict: Verdict = {
        "metric": bound.metric,
        "kind": "champion",
        "threshold": bound.threshold,
        "value": value,
        "passed": bound.holds(value),
    }
    if compared := evaluation.get("comparison"):
        verdict |= {"comparison": compared, "passed": value is not None and compared["worse"] < MOST_WORSE}
    return [verdict]


def _explain_gate(verdict: Verdict) -> str:
    wanted = f"{verdict['metric']} must be {_least(verdict)} {verdict['threshold']:.6g}"
    if verdict["value"] is None:
        return f"{wanted}; it is not a number"
    found, ends = f"{wanted}; it is {verdict['value']:.6g}", verdict.get("interval")
    held = verdict.get("held", verdict["value"])
    if ends is not None:
        found += f", 95 % {ends[0]:.4g} to {ends[1]:.4g}"
    if held is None:
        return f"{found}, and the test split is too small for the interval that the gate is held by: give more data"
    if verdict["passed"]:
        return found
    missed = abs(held - verdict["threshold"])
    end = f" at the {'lower' if verdict['kind'] == 'min' else 'upper'} end" if "held" in verdict else ""
    return f"{found}, {missed:.3g} off{end}"


def _explain_champion(verdict: Verdict) -> str:
    wanted = f"{verdict['metric']} must be no worse than the champion's, less the margin: {verdict['threshold']:.6g}"
    if verdict["value"] is None:
        return f"{wanted}; it is not a number"
    found = f"{wanted}; it is {verdict['value']:.6g}"
    compared = verdict.get("comparison")
    if compared is None:
        return found if verdict["passed"] else f"{found}, {abs(verdict['value'] - verdict['threshold']):.3g} off"
    return (
        f"{found}, better by {compared['difference']:.4g} (95 % {compared['low']:.4g} to {compared['high']:.4g}); "
        f"worse by more than the margin with probability {compared['worse']:.1%}, allowed is less than "
        f"{MOST_WORSE:.0%}. These rows tell differences from {compared['smallest']:.3g} on"
    )


def _explain_evidence(verdict: Verdict) -> str:
    found = f"the test split has {verdict['value']:.0f} rows of the rarest class (of a regression: rows)"
    if verdict["passed"]:
        return f"{found}, enough to judge by"
    return (
        f"cannot be judged: {found}, and model.yaml's min_positives wants {verdict['threshold']:.0f}. Give more data, "
        "a larger test split, or run again with force and a reason"
    )


def _least(verdict: Verdict) -> str:
    return "at least" if verdict["kind"] == "min" else "at most"


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
