"""What a model folder says of itself: the schema of ``model.yaml``.

Read on both sides: by Airflow when Dags are parsed (so only pydantic and yaml are imported) and inside SageMaker jobs.
Every number is bounded and unknown keys are refused; an error names the file, the key, what was found and what is
allowed.
"""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

MODELS_FOLDER = Path(__file__).parent

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$")]
Minutes = Annotated[int, Field(ge=1, le=28 * 24 * 60)]
VolumeGb = Annotated[int, Field(ge=1, le=16384)]
Scalar = int | float | str | bool


class ConfigError(ValueError):
    """A model.yaml that cannot be used; the message says which key, what was found and what is allowed."""


class _UniqueKeyLoader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML ships no types
    """YAML that refuses a key given twice; plain YAML would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Schedule(Section):
    """Cron expressions in UTC; none means that the Dag only runs when triggered."""

    train: str | None = None


class Table(Section):
    """One raw table: its file (``.gz`` may follow), its columns and their kinds, the columns that identify a row.

    ``every_hours`` says that rows come at this interval, one series for each value of the rest of the key; its gaps are
    then measured. ``history`` keeps rows from before a run's data window, where later rows need them. Up to
    ``max_rejected_share`` of the rows may be unreadable, infinite or repeated and are set aside; more stop the run.
    """

    file: Annotated[str, Field(pattern=r"^[\w.-]+\.csv$")]
    columns: Annotated[dict[str, Literal["timestamp", "integer", "number", "string"]], Field(min_length=1)]
    key: list[str] = []
    every_hours: Annotated[int, Field(ge=1, le=24 * 366)] | None = None
    history: bool = False
    max_rejected_share: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    @model_validator(mode="after")
    def key_is_among_columns(self) -> Self:
        if unknown := set(self.key) - set(self.columns):
            raise ValueError(f"key names {sorted(unknown)}, which are not among the columns {sorted(self.columns)}")
        return self

    @model_validator(mode="after")
    def a_series_has_a_time(self) -> Self:
        times = [column for column in self.key if self.columns[column] == "timestamp"]
        if self.every_hours and len(times) != 1:
            raise ValueError(f"every_hours needs one timestamp column in the key, which has {len(times)}")
        return self


class Data(Section):
    """Raw tables, and the columns of the feature table that are no features."""

    tables: Annotated[dict[Name, Table], Field(min_length=1)]
    key: Annotated[list[str], Field(min_length=1)]
    time: str | None = None
    label: str
    classes: list[str] | None = None


class Split(Section):
    """Train, validation and test by time, counted back from the last row; gaps keep labels from looking across."""

    test_days: Annotated[int, Field(ge=1, le=3650)]
    validation_days: Annotated[int, Field(ge=1, le=3650)]
    gap_hours: Annotated[int, Field(ge=0, le=24 * 365)] = 0


class Range(Section):
    """A hyperparameter's range for tuning: integer when both ends are."""

    min: int | float
    max: int | float
    scale: Literal["linear", "logarithmic"] = "linear"

    @model_validator(mode="after")
    def is_a_range(self) -> Self:
        if self.min >= self.max:
            raise ValueError(f"min {self.min} is not below max {self.max}")
        if self.scale == "logarithmic" and self.min <= 0:
            raise ValueError(f"a logarithmic range starts above 0, not at {self.min}")
        return self


class Objective(Section):
    metric: Annotated[str, Field(pattern=r"^[a-z_]+:[a-z0-9_]+$")]
    direction: Literal["minimize", "maximize"]


class Tuning(Section):
    objective: Objective
    strategy: Literal["Random", "Grid", "Bayesian", "Hyperband"] = "Random"
    max_jobs: Annotated[int, Field(ge=1, le=500)]
    max_parallel_jobs: Annotated[int, Field(ge=1, le=100)] = 1
    ranges: Annotated[dict[str, Range], Field(min_length=1)]


class Compute(Section):
    """What a job runs on. Volume in GB, runtime in minutes."""

    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    volume_gb: VolumeGb = 30
    max_runtime_minutes: Minutes = 60


class Training(Compute):
    hyperparameters: dict[str, Scalar] = {}
    tuning: Tuning | None = None


class Gate(Section):
    """An absolute bound on a metric of the test split; at least one of min and max."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def bounds_something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs min or max")
        for bound in (self.min, self.max):
            if bound is not None and self.metric in UNIT_METRICS and not 0 <= bound <= 1:
                raise ValueError(f"{self.metric} lies between 0 and 1; the bound {bound} is out of range")
        return self


UNIT_METRICS = frozenset(
    {"accuracy", "macro_f1", "f1", "precision", "recall", "roc_auc", "pr_auc", "specificity", "failure_events_caught"}
)


class Champion(Section):
    """The approved model must not be better than the candidate by more than ``margin`` on the same test split."""

    metric: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    direction: Literal["minimize", "maximize"]
    margin: Annotated[float, Field(ge=0, le=1e6)]


class Serving(Section):
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1


class ModelConfig(Section):
    """One model folder's configuration, as checked from its model.yaml."""

    name: Name
    description: Annotated[str, Field(min_length=1, max_length=300)]
    owner: Annotated[str, Field(min_length=1, max_length=60)]
    problem: Literal["binary", "multiclass", "regression"]
    schedule: Schedule = Schedule()
    data: Data
    split: Split
    training: Training
    processing: Compute
    gates: Annotated[list[Gate], Field(min_length=1)]
    champion: Champion
    serving: Serving


def model_names(folder: Path = MODELS_FOLDER) -> list[str]:
    """Names of the model folders, sorted: every folder that holds a model.yaml."""
    return sorted(path.parent.name for path in folder.glob("*/model.yaml"))


@cache
def load_model(name: str, folder: Path = MODELS_FOLDER) -> ModelConfig:
    """The checked configuration of one model.

    Raises:
        ConfigError: the file is missing, is no YAML, or has an unknown key, a wrong type or a value out of range.
    """
    path = folder / name / "model.yaml"
    shown = f"{folder.name}/{name}/model.yaml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        known = ", ".join(model_names(folder)) or "none"
        raise ConfigError(f"{shown} does not exist. Models with a model.yaml: {known}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{shown} is no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{shown} holds {type(content).__name__}, not a mapping of keys.")
    try:
        config = ModelConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(shown, error)) from None
    if config.name != name:
        raise ConfigError(f"{shown}: name is '{config.name}', but the folder is '{name}'. They must be the same.")
    return config


def _explain(shown: str, error: ValidationError) -> str:
    lines = [f"{shown} cannot be used ({error.error_count()} problem{'s' * (error.error_count() > 1)}):"]
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"]) or "(the whole file)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key.{_suggestion(problem['loc'])}")
        elif problem["type"] == "missing":
            lines.append(f"  {key}: is missing.")
        else:
            lines.append(f"  {key}: {problem['msg']}; found {problem['input']!r}.")
    return "\n".join(lines)


def _suggestion(location: tuple[int | str, ...]) -> str:
    """The known keys where an unknown one stands, the nearest first."""
    section: type[Section] = ModelConfig
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        # a part that is no field is a position or a name within the container that the last field holds
        section = (_section_of(field.annotation) if field else None) or section
    known = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f" Did you mean '{close[0]}'?" if close else f" Known here: {', '.join(known)}."


def _section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds, alone, optional or in a container."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for part in get_args(annotation) if (found := _section_of(part))), None)
