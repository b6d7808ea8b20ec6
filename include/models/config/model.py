"""The whole of a model.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import ConfigError, Name, Section, all_defaults
from .data import Data, RandomSplit, Split, TimeSplit
from .features import Features
from .gates import Champion, Gate
from .monitoring import Monitoring
from .scoring import Scoring
from .serving import Serving
from .sinks import Sinks, Tracking
from .training import Compute, Training

MINUTES_OF_A_DAY = 24 * 60


Daily = Annotated[str, Field(pattern=r"^\d{1,2} \d{1,2} \* \* \*$")]


class Schedule(Section):
    """Cron expressions in UTC; none means that the Dag only runs when triggered."""

    train: str | None = None
    score: Daily | None = None
    monitor: Daily | None = None


Prose = Annotated[str, Field(min_length=1, max_length=2048)]


class Card(Section):
    """What a person should know before relying on the model; part of each version's model card."""

    intended_uses: Prose | None = None
    caveats: Prose | None = None


class ModelConfig(Section):
    """One model folder's configuration, as checked from its model.yaml."""

    name: Name
    description: Annotated[str, Field(min_length=1, max_length=300)]
    owner: Annotated[str, Field(min_length=1, max_length=60)]
    card: Card = all_defaults()
    problem: Literal["binary", "multiclass", "regression"]
    schedule: Schedule = all_defaults()
    data: Data
    features: Features = all_defaults()
    split: Split
    training: Training
    processing: Compute
    gates: Annotated[list[Gate], Field(min_length=1)]
    champion: Champion
    serving: Serving
    sinks: Sinks = all_defaults()
    tracking: Tracking = all_defaults()
    scoring: Scoring | None = None
    monitoring: Monitoring | None = None

    @property
    def daily_scoring(self) -> Scoring:
        """The section ``scoring`` of a model that is scored daily.

        Raises:
            ConfigError: it has none.
        """
        if self.scoring is None:
            raise ConfigError(
                f"models/{self.name}/model.yaml has no section 'scoring': this model is not scored daily."
            )
        return self.scoring

    def holds_one_day(self, table: str) -> bool:
        """Whether a day's partition holds the day's rows of the table, rather than all of it as of the day. Windows of
        features reach into the partitions of such tables before."""
        described = self.data.tables[table]
        return self.data.time in described.kinds and not described.history

    @property
    def windowed_tables(self) -> list[str]:
        """Those of a day's tables of which a partition holds the day's rows alone."""
        return [name for name in self.daily_scoring.tables if self.holds_one_day(name)]

    @model_validator(mode="after")
    def split_finds_its_columns(self) -> Self:
        if isinstance(self.split, TimeSplit) and self.data.time is None:
            raise ValueError("split is by time, so data.time must name a column; or split.kind be 'random'")
        others = set(self.data.not_features) - {self.data.label}
        if isinstance(self.split, RandomSplit) and (unknown := set(self.split.group_by) - others):
            raise ValueError(
                f"split.group_by names {sorted(unknown)}; allowed are data.key and data.time: {sorted(others)}"
            )
        return self

    @model_validator(mode="after")
    def classes_fit_the_problem(self) -> Self:
        number = len(self.data.classes or [])
        if self.problem == "regression" and number:
            raise ValueError("data.classes is for classification; the problem is a regression")
        if self.problem == "binary" and number != 2:
            raise ValueError(f"data.classes needs two names, the one looked for last; found {number}")
        if self.problem == "multiclass" and number < 2:
            raise ValueError(f"data.classes needs two names or more; found {number}")
        return self

    @model_validator(mode="after")
    def scoring_knows_its_tables_and_classes(self) -> Self:
        if self.scoring is None:
            if self.monitoring:
                raise ValueError("monitoring watches what is scored, so it needs the section scoring")
            return self
        if unknown := [name for name in self.scoring.tables if name not in self.data.tables]:
            raise ValueError(f"scoring.tables names {unknown}, which are not among {sorted(self.data.tables)}")
        for name in self.scoring.tables:
            if (clock := self.data.tables[name].clock) and clock.every_minutes > MINUTES_OF_A_DAY:
                raise ValueError(f"scoring.tables names {name}, whose clock does not tick every day")
        known = ["mean"] if self.problem == "regression" else list(self.data.classes or [])
        if unknown := [name for name in self.scoring.bounds if name not in known]:
            raise ValueError(f"scoring.bounds names {unknown}; known are {known}")
        return self
