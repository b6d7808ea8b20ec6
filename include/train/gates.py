"""Whether a model may be registered: absolute gates from model.yaml, and the comparison with the approved champion.

What a bound is and when it holds, is said by the contract (``include.models.config.gates``), to the evaluation's report
as to this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from include.models.config import Bound, ModelConfig
from include.platform.errors import PermanentError


class Verdict(TypedDict):
    """One gate's outcome. ``value`` is None where it is not a number; ``forced``: not passed, and let through."""

    metric: str
    kind: Literal["min", "max", "champion"]
    threshold: float
    value: float | None
    passed: bool
    forced: NotRequired[bool]


class GateError(PermanentError):
    """A gate names a metric that the evaluation does not have."""


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
    verdicts = [_verdict(bound, bound.kind, metrics) for gate in model.gates for bound in gate.bounds]
    best = _value(champion, model.champion.metric) if champion is not None else None
    if best is not None:  # a champion whose metric is not a number sets no bar
        verdict = _verdict(model.champion.bound(best), "champion", metrics)
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


def _verdict(bound: Bound, kind: Literal["min", "max", "champion"], metrics: Mapping[str, float | None]) -> Verdict:
    value = _value(metrics, bound.metric)
    return {
        "metric": bound.metric,
        "kind": kind,
        "threshold": bound.threshold,
        "value": value,
        "passed": bound.holds(value),
    }


def _value(metrics: Mapping[str, float | None], metric: str) -> float | None:
    if metric not in metrics:
        raise GateError(
            f"a gate in model.yaml asks for the metric '{metric}', which the evaluation does not have. "
            f"It has: {', '.join(sorted(metrics))}."
        )
    value = metrics[metric]
    return float(value) if value is not None and math.isfinite(value) else None
