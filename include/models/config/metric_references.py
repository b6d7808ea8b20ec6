"""References to metrics and hyperparameters in gates, the champion's rule and tuning: three of the ``RULES`` of
``references``."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from .gates import Gate
from .metrics import (
    COST,
    GROUND,
    INTERVALS,
    ONE_RULE,
    PRODUCTION,
    ROLLING,
    Direction,
    Metric,
    against_baselines,
    fairness_metrics,
)
from .problems import Path, Problem, nearest, twice, unknown
from .training import Range, Tuning

if TYPE_CHECKING:
    from .model import ModelConfig

VALIDATION = "validation:"  # before the name of a metric in a training job's log


def metrics(config: ModelConfig) -> Iterator[Problem]:
    known = config.evaluation_metrics
    protected = [one.name for one in config.slices if one.protected]
    without_interval = {*GROUND, *fairness_metrics(config.problem, protected)}
    for number, gate in enumerate(config.gates):
        place = ("gates", number)
        if gate.slice is not None:
            slices = [one.name for one in config.slices]
            if gate.slice not in slices:
                yield Problem((*place, "slice"), unknown("slice", gate.slice, slices))
            if gate.metric in known and gate.metric not in {COST, *config.validation_metrics, *INTERVALS}:
                yield Problem((*place, "metric"), f"a segment has no {gate.metric}, which is of the whole test split")
        if gate.metric not in known:
            yield Problem((*place, "metric"), _no_metric(gate.metric, known, config))
            continue
        if gate.interval and gate.metric in without_interval:
            yield Problem((*place, "interval"), f"{gate.metric} has no interval: leave it out")
        measured = known[gate.metric]
        if gate.over is not None:
            yield from _over(config, place, gate, measured)
            measured = measured.gain(share=gate.share)
        for end in ("min", "max"):
            bound = getattr(gate, end)
            if bound is not None and measured.refuses(bound):
                yield Problem((*place, end), f"{gate.measured} {measured.range}; the bound {bound:g} is out of range")
    yield from _champion(config, known)


def _champion(config: ModelConfig, known: dict[str, Metric]) -> Iterator[Problem]:
    # refits are the candidate's alone
    comparable = {name: metric for name, metric in known.items() if not name.startswith(ROLLING)}
    rule = config.champion
    yield from _judged_by(("champion",), rule.metric, rule.direction, comparable, config)
    if (judged := comparable.get(rule.metric)) and judged.span is not None and rule.margin >= judged.span:
        message = f"{rule.metric} {judged.range}: no candidate could be worse by more than {rule.margin:g}"
        yield Problem(("champion", "margin"), message)


def _over(config: ModelConfig, place: Path, gate: Gate, measured: Metric) -> Iterator[Problem]:
    """A gate over a baseline: there is one, it has the metric, and one is better than the other."""
    if gate.over not in config.baselines:
        message = unknown("baseline", str(gate.over), config.baselines)
        yield Problem((*place, "over"), f"{message} What evaluation.py adds is declared in code.evaluation.baselines.")
    has = against_baselines(config.problem, config.data.classes or [], gate.over)
    if gate.over != PRODUCTION and gate.metric.removeprefix(ROLLING) not in has:
        listed = nearest(gate.metric, sorted(has))
        yield Problem(
            (*place, "metric"), f"a baseline, which predicts no probabilities, has no {gate.metric}. {listed}"
        )
    if gate.over in (PRODUCTION, ONE_RULE) and gate.metric.startswith(ROLLING):
        what = "versions in production are" if gate.over == PRODUCTION else "the single rule is"
        yield Problem((*place, "metric"), f"{what} not refitted at earlier ends of the data: no {gate.metric}")
    if measured.better is None or (gate.share and measured.best is None):
        yield Problem((*place, "over"), f"neither way is better for {gate.metric}, so it is not over anything")


def _judged_by(
    place: Path, name: str, direction: Direction, known: dict[str, Metric], config: ModelConfig
) -> Iterator[Problem]:
    if name not in known:
        yield Problem((*place, "metric"), _no_metric(name, known, config))
    elif (better := known[name].better) and better != direction:
        yield Problem((*place, "direction"), f"is {direction}, but the better direction of {name} is {better}")


def _no_metric(name: str, known: Collection[str], config: ModelConfig) -> str:
    return f"{unknown('metric', name, known)} {_given_by(name, config)}"


def _given_by(name: str, config: ModelConfig) -> str:
    """Which setting a metric that the evaluation will not have comes from."""
    if name == COST:
        return "It is measured if mistakes have costs: add decision.costs."
    if name.startswith(ROLLING) and config.split.kind == "time":
        return "It is measured if the model is refitted at earlier ends of the data: add split.rolling_origins."
    if name in fairness_metrics(config.problem, [one.name for one in config.slices]):
        return "It is measured for a slice that has protected: true."
    return "What evaluation.py adds is declared in code.evaluation.metrics."


def hyperparameters(config: ModelConfig) -> Iterator[Problem]:
    known, place = config.hyperparameters, ("training", "hyperparameters")
    for name, value in config.training.hyperparameters.items():
        if name not in known:
            yield Problem((*place, name), unknown("hyperparameter", name, known))
        elif wrong := known[name].problem_with(value):
            yield Problem((*place, name), wrong)


def tuning(config: ModelConfig) -> Iterator[Problem]:
    wanted, place = config.training.tuning, ("training", "tuning")
    if wanted is None:
        return
    yield from _objective(config, wanted)
    if wanted.max_parallel_jobs > wanted.max_jobs:
        yield Problem((*place, "max_parallel_jobs"), f"is {wanted.max_parallel_jobs}, above max_jobs {wanted.max_jobs}")
    ends = [name for name, given in wanted.ranges.items() if given.values is None]
    if wanted.strategy == "Grid" and ends:
        yield Problem((*place, "strategy"), f"Grid needs values; with min and max are {', '.join(ends)}")
    for name, given in wanted.ranges.items():
        where = (*place, "ranges", name)
        if name not in config.hyperparameters:
            yield Problem(where, unknown("hyperparameter", name, config.hyperparameters))
        else:
            yield from _range(config, where, name, given)


def _objective(config: ModelConfig, tuning: Tuning) -> Iterator[Problem]:
    place = ("training", "tuning", "objective")
    name, known = tuning.objective.metric, config.validation_metrics
    if not name.startswith(VALIDATION):
        yield Problem(
            (*place, "metric"),
            f"is '{name}'; training jobs print {VALIDATION}<metric>, such as {VALIDATION}{next(iter(known))}",
        )
        return
    name = name.removeprefix(VALIDATION)
    if name not in known:
        yield Problem((*place, "metric"), f"on the validation split {unknown('metric', name, known)}")
    else:
        yield from _judged_by(place, name, tuning.objective.direction, known, config)


def _range(config: ModelConfig, place: Path, name: str, given: Range) -> Iterator[Problem]:
    rule = config.hyperparameters[name]
    numeric = rule.type in ("integer", "number")
    if given.values is not None:
        for number, text in enumerate(given.values):
            try:
                rule.read(text)
            except ValueError as error:
                yield Problem((*place, "values", number), str(error))
        yield from twice((*place, "values"), given.values)
        return
    if not numeric:
        yield Problem(place, f"{name} is not a number; allowed are values that are {rule.allowed}")
        return
    for end in ("min", "max"):
        if wrong := rule.problem_with(getattr(given, end)):
            yield Problem((*place, end), wrong)
