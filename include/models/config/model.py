"""The whole of a model.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from . import names
from .budget import Budget
from .code import TABULAR, Code, Hyperparameter
from .common import CRON, DAILY, ConfigError, Name, Section, all_defaults
from .data import Data
from .decision import Calibration, Decision
from .explain import Explain
from .features import Features
from .gates import Champion, Gate
from .labels import Labels
from .metrics import CONSTANT, ONE_RULE, PRODUCTION, Metric, evaluation_metrics, validation_metrics
from .monitoring import Monitoring
from .problems import refuse
from .references import problems
from .scoring import Scoring
from .serving import Serving
from .sinks import Sinks, Tracking
from .slices import Slice, from_column
from .split import Split, TimeSplit
from .training import Processing, Training

CRON_FIELDS = {"minute": (0, 59), "hour": (0, 23), "day of a month": (1, 31), "month": (1, 12), "day of a week": (0, 7)}


def _cron(text: str) -> str:
    """Refuses numbers that a field of a cron expression cannot have."""
    for field, (what, (low, high)) in zip(text.split(), CRON_FIELDS.items(), strict=False):
        if wrong := next((number for number in re.findall(r"\d+", field) if not low <= int(number) <= high), None):
            raise ValueError(f"a cron expression's {what} is {low} to {high}, not {wrong}")
    return text


Cron = Annotated[str, Field(pattern=CRON), AfterValidator(_cron)]
Daily = Annotated[str, Field(pattern=DAILY)]


def _is_free(name: str) -> str:
    if why := names.refusal(name):
        raise ValueError(why)
    return name


class Schedule(Section):
    """Cron expressions in UTC; none means that the Dag only runs when triggered."""

    train: Cron | None = None
    score: Daily | None = None
    monitor: Daily | None = None


Prose = Annotated[str, Field(min_length=1, max_length=2048)]


class Card(Section):
    """What to know before relying on the model; part of each version's model card."""

    intended_uses: Prose | None = None
    caveats: Prose | None = None


class ModelConfig(Section):
    """A model's configuration, checked, from its model.yaml."""

    name: Annotated[Name, AfterValidator(_is_free)]
    description: Annotated[str, Field(min_length=1, max_length=300)]
    owner: Annotated[str, Field(min_length=1, max_length=60)]
    card: Card = all_defaults()
    personal_data: bool = False
    # whether failures, mails and reports may quote values of the data; default: unless it is personal
    quote_values: bool | None = None
    problem: Literal["binary", "multiclass", "regression"]
    schedule: Schedule = all_defaults()
    data: Data
    features: Features = all_defaults()
    split: Split
    training: Training
    processing: Processing
    slices: list[Annotated[Slice, BeforeValidator(from_column, json_schema_input_type=str | Slice)]] = []
    gates: Annotated[list[Gate], Field(min_length=1)]
    # of the rarest class in the test split (for a regression: rows); with fewer nothing can be judged
    min_positives: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    champion: Champion
    calibration: Calibration | None = None  # of a classifier's probabilities, fitted on the validation split
    decision: Decision | None = None
    explain: Explain | None = None
    serving: Serving
    sinks: Sinks = all_defaults()
    tracking: Tracking = all_defaults()
    scoring: Scoring | None = None
    monitoring: Monitoring | None = None
    labels: Labels | None = None
    # for the promotion packet: also score each day with the newest candidate; an approved version is a shadow first
    challenger: bool = False
    budget: Budget = all_defaults()
    code: Code = all_defaults()

    @property
    def quotes_values(self) -> bool:
        return not self.personal_data if self.quote_values is None else self.quote_values

    @property
    def daily_scoring(self) -> Scoring:
        """The section ``scoring``.

        Raises:
            ConfigError: the model has none.
        """
        if self.scoring is None:
            raise ConfigError(
                f"models/{self.name}/model.yaml has no section 'scoring': this model is not scored daily."
            )
        return self.scoring

    def holds_one_day(self, table: str) -> bool:
        """Whether a day's partition contains only the day's rows of the table, rather than all rows as of the day.
        Windows of features reach into earlier partitions of such tables."""
        described = self.data.tables[table]
        return self.data.time in described.kinds and not described.history

    @property
    def windowed_tables(self) -> list[str]:
        """The tables whose daily partitions contain only the day's rows."""
        return [name for name in self.daily_scoring.tables if self.holds_one_day(name)]

    @property
    def labelled(self) -> ModelConfig:
        """The model for reading the last of the partitions that a day's labels depend on: with the labels' table, and
        windows that reach back from there to before the day."""
        scoring, labels = self.daily_scoring, self.labels or Labels()
        more = [labels.table] if labels.table and labels.table not in scoring.tables else []
        hours = scoring.look_back_hours + 24 * labels.days_ahead
        reading = scoring.model_copy(update={"tables": [*scoring.tables, *more], "look_back_hours": hours})
        return self.model_copy(update={"scoring": reading})

    @property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]:
        """All of the estimator's hyperparameters, by name."""
        return (self.code.estimator or TABULAR).all_hyperparameters

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        """The metrics of training and tuning jobs."""
        return validation_metrics(self.problem, self.data.classes or [])

    @property
    def evaluation_metrics(self) -> dict[str, Metric]:
        """The metrics of a candidate on the test split."""
        own = self.code.evaluation.metrics if self.code.evaluation else {}
        return evaluation_metrics(
            self.problem,
            self.data.classes or [],
            intervals=bool(self.code.estimator and self.code.estimator.intervals),
            own={name: Metric(given.min, given.max) for name, given in own.items()},
            rolling=isinstance(self.split, TimeSplit) and self.split.rolling_origins > 0,
            protected=[one.name for one in self.slices if one.protected],
            costs=bool(self.decision and self.decision.costs),
        )

    @property
    def baselines(self) -> list[str]:
        """The baselines that gates may name in ``over``."""
        own = self.code.evaluation.baselines if self.code.evaluation else []
        return [CONSTANT[self.problem], ONE_RULE, *own, PRODUCTION]

    def with_defaults(self) -> ModelConfig:
        """With a value for each of the estimator's own hyperparameters, in the estimator's types."""
        own = {name: one.default for name, one in (self.code.estimator or TABULAR).hyperparameters.items()}
        given = own | self.training.hyperparameters
        typed = {name: self.hyperparameters[name].typed(value) for name, value in given.items()}
        return self.model_copy(update={"training": self.training.model_copy(update={"hyperparameters": typed})})

    @model_validator(mode="after")
    def parts_agree(self) -> Self:
        refuse(problems(self))
        return self
