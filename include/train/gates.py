"""Whether a model may be registered: absolute gates from model.yaml, and the comparison with the approved champion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from airflow.sdk.exceptions import AirflowFailException

from include.models.config import ModelConfig


class Verdict(TypedDict):
    """One gate's outcome. ``value`` is None where the metric is no number; ``forced``: not passed, and let through."""

    metric: str
    kind: Literal["min", "max", "champion"]
    threshold: float
    value: float | None
    passed: bool
    forced: NotRequired[bool]


class GateError(AirflowFailException):
    """A gate names a metric that the evaluation does not have: no retry can help."""


def judge(
    model: ModelConfig,
    metrics: Mapping[str, float | None],
    champion: Mapping[str, float | None] | None,
    *,
    force_past_champion: bool = False,
) -> list[Verdict]:
    """Every gate's verdict, absolute ones first.

    Args:
        metrics: of the candidate, on the test split.
        champion: of the approved model on the same split; None where there is none.
        force_past_champion: lets a candidate through that is worse than the champion; absolute gates stand.

    Raises:
        GateError: a gate's metric is not among the metrics.
    """
    verdicts: list[Verdict] = []
    for gate in model.gates:
        value = _value(metrics, gate.metric)
        if gate.min is not None:
            verdicts.append(_verdict(gate.metric, "min", gate.min, value, at_least=True))
        if gate.max is not None:
            verdicts.append(_verdict(gate.metric, "max", gate.max, value, at_least=False))
    if champion is not None:
        rule = model.champion
        best = _value(champion, rule.metric)
        if best is not None:  # a champion whose metric is no number sets no bar
            higher = rule.direction == "maximize"
            threshold = best - rule.margin if higher else best + rule.margin
            verdict = _verdict(rule.metric, "champion", threshold, _value(metrics, rule.metric), at_least=higher)
            if force_past_champion and not verdict["passed"]:
                verdict["forced"] = True
            verdicts.append(verdict)
    return verdicts


def may_register(verdicts: list[Verdict]) -> bool:
    return all(verdict["passed"] or verdict.get("forced", False) for verdict in verdicts)


def explain(verdict: Verdict) -> str:
    """One line: which gate, what it wants, what was found, by how much it was missed."""
    names = {"min": "at least", "max": "at most", "champion": "no worse than the champion's, less the margin:"}
    wanted = f"{verdict['metric']} must be {names[verdict['kind']]} {verdict['threshold']:.6g}"
    if verdict["value"] is None:
        return f"{wanted}; it is not a number"
    missed = abs(verdict["value"] - verdict["threshold"])
    found = f"{wanted}; it is {verdict['value']:.6g}"
    if verdict["passed"]:
        return found
    return f"{found}, {missed:.3g} off" + (" (let through: force)" if verdict.get("forced") else "")


def _verdict(
    metric: str, kind: Literal["min", "max", "champion"], threshold: float, value: float | None, *, at_least: bool
) -> Verdict:
    passed = value is not None and (value >= threshold if at_least else value <= threshold)
    return {"metric": metric, "kind": kind, "threshold": threshold, "value": value, "passed": passed}


def _value(metrics: Mapping[str, float | None], metric: str) -> float | None:
    if metric not in metrics:
        raise GateError(
            f"a gate in model.yaml asks for the metric '{metric}', which the evaluation does not have. "
            f"It has: {', '.join(sorted(metrics))}."
        )
    value = metrics[metric]
    return float(value) if value is not None and math.isfinite(value) else None
