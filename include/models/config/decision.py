"""From a classifier's probabilities to a label: the section ``decision``, and its summary."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, Self, TypedDict

from pydantic import Field, model_validator

from .common import Section

Calibration = Literal["isotonic", "platt", "beta"]
Cost = Annotated[float, Field(ge=0, le=1e12)]


class Costs(Section):
    """The cost of each mistake, in any unit: a missed event, a false alarm, an alarm with the wrong class."""

    missed: Annotated[float, Field(gt=0, le=1e12)]
    false_alarm: Annotated[float, Field(gt=0, le=1e12)]
    confused: Cost = 0


class Decision(Section):
    """When a row is an alarm: its probability of any class but the first reaches a threshold. It is then labelled with
    the likeliest of the others. The threshold is chosen on the validation split: the one with the lowest ``costs``, or
    the one with the most alarms that reaches ``precision``, or with the fewest that reaches ``recall``. Without this
    section, a row is labelled with its likeliest class, which is a threshold of .5 for two classes.
    """

    costs: Costs | None = None
    precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    recall: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def asks_for_one_thing(self) -> Self:
        if sum(one is not None for one in (self.costs, self.precision, self.recall)) != 1:
            raise ValueError("a decision needs exactly one of costs, precision and recall")
        return self

    @property
    def words(self) -> str:
        """The aim, in words."""
        if self.costs is None:
            name = "recall" if self.precision is None else "precision"
            return f"{name} of at least {self.precision or self.recall:g}"
        named = f", {self.costs.confused:g} for one that names another class" if self.costs.confused else ""
        alarms = f"{self.costs.false_alarm:g} for a false alarm"
        return f"lowest cost at {self.costs.missed:g} for a missed event, {alarms}{named}"


class Alarms(TypedDict):
    """The quality of alarms on some rows; None if there are none to count. ``cost_per_1000``: per 1,000 rows, if there
    are costs."""

    precision: float | None
    recall: float | None
    alarms_per_1000: float
    cost_per_1000: NotRequired[float]


class DecisionOutcome(TypedDict):
    """A candidate's decision on the test split, compared with labelling rows with their likeliest class."""

    threshold: float
    asked: str
    reached: bool  # whether the validation split reached the aim
    ours: Alarms
    likeliest: Alarms


def told(outcome: DecisionOutcome) -> str:
    """A sentence for report, packet and card."""
    ours, usual = outcome["ours"], outcome["likeliest"]
    text = f"Decision: alarm from a probability of {outcome['threshold']:.4g} on ({outcome['asked']})"
    if not outcome["reached"]:
        text += ", which no threshold reached on the validation split"
    text += f"; on the test split precision {_share(ours['precision'])}, recall {_share(ours['recall'])}"
    if "cost_per_1000" in ours and "cost_per_1000" in usual:
        text += f", cost per 1,000 rows {ours['cost_per_1000']:.4g}, against {usual['cost_per_1000']:.4g}"
    else:
        text += f", {ours['alarms_per_1000']:.3g} alarms per 1,000 rows, against {usual['alarms_per_1000']:.3g}"
    return f"{text} with the likeliest class"


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"
