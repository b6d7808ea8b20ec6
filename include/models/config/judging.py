"""Whether a candidate may be registered: the gates of model.yaml, and the comparison with the champion.

Pure, and shared by Airflow's side, which decides, and the evaluation's report, which shows the decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict

from .gates import Bound, Gate
from .metrics import FAIRNESS, PRODUCTION
from .model import ModelConfig
from .results import Comparison, Evaluation, Rival, Segment

MOST_WORSE = 0.05  # probability that a candidate is worse than the champion by more than the margin
MOST_SUSPECTS = 8  # that are named


class Verdict(TypedDict):
    """One gate's outcome. ``value`` is None if it is not a number; ``forced``: failed, but let through.

    ``interval``: the metric's 95 % interval. ``held``: what is compared with the threshold, if not the value.
    ``segment``: for a slice's gate the worst one; None if none can be judged.
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
    rival: NotRequired[Rival]
    segment: NotRequired[str | None]


def judge(model: ModelConfig, evaluation: Evaluation, *, forced: bool = False) -> list[Verdict]:
    """Every verdict: whether there is enough to judge by, the gates, the comparison with the champion.

    Args:
        forced: lets a candidate through that cannot be judged, or is worse than the champion; gates still apply.
    """
    verdicts = [*_evidence(model, evaluation)]
    metrics, intervals = evaluation["metrics"], evaluation.get("intervals", {})
    compared = evaluation["champion"] is not None or any(one["comparison"] for one in _production(evaluation))
    for gate in model.gates:
        if gate.over == PRODUCTION and not compared:
            continue  # there is nothing to compare it with
        for bound in gate.bounds:
            verdict = _verdict(gate, bound, metrics, intervals)
            if gate.slice:
                verdict["segment"] = evaluation.get("worst", {}).get(bound.metric)
            verdicts.append(verdict)
    verdicts += _champion(model, evaluation)
    if (refit := evaluation.get("refit")) and model.split.refit:
        bound = Bound("refit_distance", "max", model.split.refit.distance)
        value = _number(refit["distance"])
        verdicts.append(
            {
                "metric": bound.metric,
                "kind": bound.kind,
                "threshold": bound.threshold,
                "value": value,
                "passed": bound.holds(value),
            }
        )
    for verdict in verdicts:
        if forced and not verdict["passed"] and verdict["kind"] in ("champion", "evidence"):
            verdict["forced"] = True
    return verdicts


def may_register(verdicts: list[Verdict]) -> bool:
    return all(verdict["passed"] or verdict.get("forced", False) for verdict in verdicts)


def explain(verdict: Verdict) -> str:
    """One line: the gate, its bound, the value, and by how much it was missed."""
    told = {"evidence": _explain_evidence, "champion": _explain_champion}.get(verdict["kind"], _explain_gate)(verdict)
    return told + (" (let through: force)" if verdict.get("forced") else "")


def _evidence(model: ModelConfig, evaluation: Evaluation) -> list[Verdict]:
    metric = "rarest_class_rows"
    value = _number(evaluation["metrics"].get(metric))
    if value is None:
        return []  # an older evaluation, without the count
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


def told_of_production(model: ModelConfig, evaluation: Evaluation) -> list[str]:
    """A sentence for each production version: the comparison with the candidate, or why there is none."""
    if not _production(evaluation):
        return ["No version is in production yet to compare the candidate with"] * ("production" in evaluation)
    told = []
    for rival in _production(evaluation):
        seen = f"on the {rival['of'] - (rival['seen'] or 0)} of {rival['of']} test rows that it was not trained on"
        compared, name = rival["comparison"], _named(rival)
        told.append(
            f"Not compared with {name}: {rival['why_not']}"
            if compared is None
            else f"Compared with {name} {seen}: {model.champion.metric} {compared['candidate']:.4g} against "
            f"{compared['production']:.4g}, {_apart(compared)}"
        )
    return told


def told_of_chosen(model: ModelConfig, evaluation: Evaluation) -> list[str]:
    """A sentence, if tuning or a person chose other hyperparameters than model.yaml's: whether these are better."""
    chosen = evaluation.get("chosen")
    if not chosen:
        return []
    both = {"validation": chosen["validation"], "test": chosen["test"]}
    measured = [f"{_apart(one)} on {split}" for split, one in both.items() if one]
    beyond = all(one is not None and one["low"] > 0 for one in both.values())
    verdict = "better beyond noise on both" if beyond else "not better beyond noise on both: keep model.yaml's own"
    named = ", ".join(f"{name} {text}" for name, text in chosen["hyperparameters"].items())
    if not measured:
        return [f"Chosen hyperparameters ({named}): {model.champion.metric} has no value to compare model.yaml's by"]
    return [
        f"Chosen hyperparameters ({named}) against model.yaml's: {model.champion.metric} is "
        f"{' and '.join(measured)}; {verdict}"
    ]


def told_of_refit(model: ModelConfig, evaluation: Evaluation) -> list[str]:
    """A sentence, if the model was refitted on all rows."""
    refit, metric = evaluation.get("refit"), model.champion.metric
    if not refit:
        return []
    value = refit["metrics"].get(metric)
    seen = f"; {metric} {value:.4g} on the test split, which it was trained on" if value is not None else ""
    return [
        f"The registered model was refitted on all {refit['rows']:,} rows; its answers to the golden "
        f"requests are {refit['distance']:.3g} away from the evaluated model's{seen}"
    ]


def told_of_change(model: ModelConfig, evaluation: Evaluation) -> list[str]:
    """A sentence, if monitoring started the training because of a change that part of the test split lies after."""
    since, metric = evaluation.get("since"), model.champion.metric
    if not since:
        return []
    value, ends = since["metrics"].get(metric), since["intervals"].get(metric)
    reached = "has no value" if value is None else f"is {value:.4g}"
    sure = f" (95 % {ends[0]:.3g} to {ends[1]:.3g})" if ends else ""
    return [
        f"On the {since['rows']:,} test rows since {since['day']}, after the change, {metric} {reached}{sure}: "
        "monitoring compares later days with that"
    ]


def told_of_suspects(evaluation: Evaluation) -> list[str]:
    """A sentence, where features nearly tell the target on their own."""
    names = evaluation.get("suspects")
    if not names:
        return []
    more = f" and {len(names) - MOST_SUSPECTS} more" if len(names) > MOST_SUSPECTS else ""
    shown = f"{', '.join(names[:MOST_SUSPECTS])}{more} nearly {'tells' if len(names) == 1 else 'tell'}"
    return [
        f"Perhaps a leak: {shown} the target alone. What is known only afterwards belongs under features.exclude in "
        "model.yaml"
    ]


def told_of_slices(model: ModelConfig, evaluation: Evaluation) -> list[str]:
    """A sentence for each slice: its worst segment in the champion's metric."""
    metric, told = model.champion.metric, []
    for name, segments in evaluation.get("slices", {}).items():
        worst = next((one for one in segments if one["enough"] and one["metrics"].get(metric) is not None), None)
        if worst is None:
            told.append(f"By {name}: no segment has enough rows to judge")
            continue
        ends = worst["intervals"].get(metric)
        told.append(
            f"By {name}, {metric} is the worst for {worst['segment']}: {worst['metrics'][metric]:.4g}"
            + (f" (95 % {ends[0]:.4g} to {ends[1]:.4g})" if ends else "")
            + f" on {worst['rows']:,} rows"
        )
    return told


def told_of_segments(model: ModelConfig, evaluation: Evaluation) -> dict[str, str]:
    """By slice: all of its segments with what they are judged by, worst first, those with few rows last."""
    asked: dict[str, list[str]] = {one.name: [model.champion.metric] for one in model.slices}
    for gate in model.gates:
        if gate.slice in asked and gate.metric not in asked[gate.slice]:
            asked[gate.slice].append(gate.metric)
    return {
        name: "; ".join(_segment(one, asked.get(name, [model.champion.metric])) for one in segments)
        for name, segments in evaluation.get("slices", {}).items()
    }


def _segment(one: Segment, metrics: list[str]) -> str:
    measured = [
        f"{metric} {value:.4g}"
        + (f" ({ends[0]:.4g} to {ends[1]:.4g})" if (ends := one["intervals"].get(metric)) else "")
        for metric in metrics
        if (value := one["metrics"].get(metric)) is not None
    ]
    few = "" if one["enough"] else ", too few to be judged"
    return f"{one['segment']}: {', '.join(measured) or 'not measured'}, {one['rows']:,} rows{few}"


def told_of_fairness(model: ModelConfig, evaluation: Evaluation) -> list[str]:
    """What the evaluation says of each protected slice."""
    return [
        f"{metric} {value:.4g}"
        for one in model.slices
        if one.protected
        for name in FAIRNESS[model.problem]
        if (value := evaluation["metrics"].get(metric := f"{name}_{one.name}")) is not None
    ]


def _production(evaluation: Evaluation) -> list[Rival]:
    return evaluation.get("production", [])


def _named(rival: Rival) -> str:
    return "the champion" if rival["version"] is None else f"version {rival['version']}"


def _champion(model: ModelConfig, evaluation: Evaluation) -> list[Verdict]:
    """The comparison with the strongest production version."""
    rivals = [(one, one["comparison"]) for one in _production(evaluation)]
    compared = [(one, found) for one, found in rivals if found]
    if compared:
        rival, found = max(compared, key=lambda one: (one[1]["worse"], -one[1]["difference"]))
        bound = model.champion.bound(found["production"])
        return [
            {
                "metric": bound.metric,
                "kind": "champion",
                "threshold": bound.threshold,
                "value": found["candidate"],
                "passed": found["worse"] < MOST_WORSE,
                "rival": rival,
            }
        ]
    return [] if rivals else _champion_by_value(model, evaluation)


def _champion_by_value(model: ModelConfig, evaluation: Evaluation) -> list[Verdict]:
    """For older evaluations without comparisons."""
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
    return [verdict]


def _explain_gate(verdict: Verdict) -> str:
    wanted = f"{verdict['metric']} must be {_least(verdict)} {verdict['threshold']:.6g}"
    if verdict["value"] is None:
        few = "no segment has enough rows and a value: provide more data, or lower the slice's min_rows"
        return f"{wanted}; {few if 'segment' in verdict else 'it is not a number'}"
    where = f" where it is {verdict['segment']}" if "segment" in verdict else ""
    found, ends = f"{wanted}; it is {verdict['value']:.6g}{where}", verdict.get("interval")
    held = verdict.get("held", verdict["value"])
    if ends is not None:
        found += f", 95 % {ends[0]:.4g} to {ends[1]:.4g}"
    if held is None:
        return f"{found}, but the test split is too small for the interval that the gate requires: provide more data"
    if verdict["passed"]:
        return found
    missed = abs(held - verdict["threshold"])
    end = f" at the {'lower' if verdict['kind'] == 'min' else 'upper'} end" if "held" in verdict else ""
    return f"{found}, {missed:.3g} off{end}"


def _explain_champion(verdict: Verdict) -> str:
    rival = verdict.get("rival")
    name = _named(rival) if rival else "the champion"
    wanted = f"{verdict['metric']} must be no worse than that of {name}, less the margin: {verdict['threshold']:.6g}"
    if verdict["value"] is None:
        return f"{wanted}; it is not a number"
    found = f"{wanted}; it is {verdict['value']:.6g}"
    compared = rival and rival["comparison"]
    if compared is None:
        return found if verdict["passed"] else f"{found}, {abs(verdict['value'] - verdict['threshold']):.3g} off"
    return (
        f"{found}, {_apart(compared)}; "
        f"worse by more than the margin with probability {compared['worse']:.1%}, which must be less than "
        f"{MOST_WORSE:.0%}. The smallest difference that these rows can detect is {compared['smallest']:.3g}"
    )


def _apart(compared: Comparison) -> str:
    """By how much the candidate is better or worse, whichever it is, with the interval's ends in that order."""
    word, by, low, high = "better", compared["difference"], compared["low"], compared["high"]
    if by < 0:
        word, by, low, high = "worse", 0 - by, 0 - high, 0 - low  # a sign alone would show -0
    return f"{word} by {by:.4g} (95 % {low:.4g} to {high:.4g})"


def _explain_evidence(verdict: Verdict) -> str:
    found = f"the test split has {verdict['value']:.0f} rows of the rarest class (for a regression: rows)"
    if verdict["passed"]:
        return f"{found}, enough to judge by"
    return (
        f"cannot be judged: {found}, but model.yaml's min_positives requires {verdict['threshold']:.0f}. Provide more "
        "data, a larger test split, or run again with force and a reason"
    )


def _least(verdict: Verdict) -> str:
    return "at least" if verdict["kind"] == "min" else "at most"


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
