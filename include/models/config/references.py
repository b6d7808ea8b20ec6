"""References between parts of a model.yaml: columns, tables, classes, metrics, hyperparameters and sections.

A rule is a generator of problems, each at the key that has to change; ``RULES`` lists them. A column's own section
checks what is within it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from .columns import is_of_answers
from .kinds import INTEGER
from .metric_references import hyperparameters, metrics, tuning
from .problems import Problem, nearest, twice, unknown, unknown_names
from .serving import HAVE_INSTANCES
from .split import RandomSplit, TimeSplit
from .training import Compute

if TYPE_CHECKING:
    from .model import ModelConfig
    from .slices import Slice

MINUTES_OF_A_DAY = 24 * 60
LONGEST_PROCESSING_JOB = 7 * MINUTES_OF_A_DAY  # https://docs.aws.amazon.com/general/latest/gr/sagemaker.html


def problems(config: ModelConfig) -> list[Problem]:
    return list(chain.from_iterable(rule(config) for rule in RULES))


def feature_columns(config: ModelConfig) -> list[str] | None:
    """The feature table's columns except for key, time and label; None if model.yaml does not tell."""
    if config.code.features:
        return [name for name in config.code.features.columns if name not in config.data.not_features]
    if len(config.data.tables) != 1:
        return None
    table = next(iter(config.data.tables.values()))
    others = {*config.data.not_features, *config.features.exclude}
    return [name for name in table.kinds if name not in others]


def _columns_of_data(config: ModelConfig) -> Iterator[Problem]:
    data = config.data
    kinds = {name: kind for table in data.tables.values() for name, kind in table.kinds.items()}
    made = list(dict.fromkeys([*kinds, *(config.code.features.columns if config.code.features else [])]))
    yield from unknown_names(("data", "key"), data.key, "column", made)
    yield from twice(("data", "key"), data.key)
    for number, name in enumerate(data.key):
        if is_of_answers(name):
            found = (
                f"'{name}' is reserved for predictions in the scores: give the column another name, and header: {name}"
            )
            yield Problem(("data", "key", number), found)
    if data.time is not None and data.time not in kinds:
        yield Problem(("data", "time"), unknown("column", data.time, kinds))
    elif data.time is not None and not kinds[data.time].is_time:
        yield Problem(("data", "time"), f"'{data.time}' is of kind {kinds[data.time]}; a time must be a timestamp")
    if data.label not in made:
        yield Problem(("data", "label"), unknown("column", data.label, made))
    elif data.label in kinds and kinds[data.label].is_time:
        yield Problem(("data", "label"), f"'{data.label}' is a timestamp, which cannot be predicted")
    elif config.problem == "regression" and data.label in kinds and not kinds[data.label].is_quantity:
        yield Problem(
            ("data", "label"), f"'{data.label}' is of kind {kinds[data.label]}; a regression predicts a number"
        )
    if data.label in data.key:
        yield Problem(("data", "label"), f"'{data.label}' is also part of data.key; a label cannot identify rows")
    if data.label == data.time:
        yield Problem(("data", "label"), f"'{data.label}' is also data.time")


def _content_keys(config: ModelConfig) -> Iterator[Problem]:
    label = config.data.label
    for name, table in config.data.tables.items():
        if table.content_key and label in table.content_key.of:
            place = ("data", "tables", name, "content_key", "of")
            yield Problem(place, f"'{label}' is data.label, which is not known yet when a row is scored")


def _classes(config: ModelConfig) -> Iterator[Problem]:
    classes, place = config.data.classes or [], ("data", "classes")
    if config.problem == "regression" and classes:
        yield Problem(place, "data.classes is for classification; the problem is a regression")
    if config.problem == "binary" and len(classes) != 2:
        yield Problem(place, f"data.classes needs two names, the positive one last; found {len(classes)}")
    if config.problem == "multiclass" and len(classes) < 2:
        yield Problem(place, f"data.classes needs two names or more; found {len(classes)}")
    yield from twice(place, classes)
    kinds = {
        table.kinds[config.data.label] for table in config.data.tables.values() if config.data.label in table.kinds
    }
    for number, name in enumerate(classes):
        if kinds == {INTEGER} and not name.lstrip("-").isdecimal():
            yield Problem(
                (*place, number), f"'{name}' is not a whole number, as the values of '{config.data.label}' are"
            )


def _tables_of_the_library(config: ModelConfig) -> Iterator[Problem]:
    """Without a features.py, the model learns from one table as it is."""
    features = config.features
    if config.code.features:
        if features.exclude or features.derived:
            yield Problem(("features",), "is for models without a features.py; this one has code.features")
        return
    if len(config.data.tables) != 1:
        found = ", ".join(config.data.tables)
        yield Problem(
            ("data", "tables"), f"without a features.py a model has one table; found {found}. Join them in one"
        )
        return
    table = next(iter(config.data.tables.values()))
    yield from unknown_names(("features", "exclude"), features.exclude, "column", table.kinds)
    yield from twice(("features", "exclude"), features.exclude)
    learned = feature_columns(config) or []
    if not learned:
        yield Problem(("features", "exclude"), "no column is left to learn from")
    for name in learned:
        if table.kinds[name].is_time:
            yield Problem(("features",), f"the timestamp '{name}' is not a feature; name it under features.exclude")


def _derived_features(config: ModelConfig) -> Iterator[Problem]:
    if config.code.features or len(config.data.tables) != 1:
        return
    kinds, derived = next(iter(config.data.tables.values())).kinds, config.features.derived
    numbers = [name for name in feature_columns(config) or [] if kinds[name].is_quantity]
    yield from twice(("features", "derived"), [one.name for one in derived])
    for number, one in enumerate(derived):
        place = ("features", "derived", number)
        if not one.names:
            yield Problem((*place, "of"), f"{one.of[0]:g} and {one.of[1]:g} are the same in every row: name a column")
        if one.name in kinds:
            yield Problem((*place, "name"), f"'{one.name}' is the name of a column; give it another")
        for name in one.names:
            if name not in numbers:
                yield Problem((*place, "of"), f"'{name}' is not a number to learn from. {nearest(name, numbers)}")
        numbers.append(one.name)


def _decision(config: ModelConfig) -> Iterator[Problem]:
    if config.problem == "regression":
        for name in ("calibration", "decision"):
            if getattr(config, name):
                yield Problem((name,), "is for classification; a regression has no probabilities")
    elif config.explain and config.explain.above is not None and not 0 <= config.explain.above < 1:
        message = f"a probability lies between 0 and 1; no row is above {config.explain.above:g}, or every row is"
        yield Problem(("explain", "above"), message)
    costs = config.decision.costs if config.decision else None
    if config.problem == "binary" and costs and costs.confused:
        yield Problem(("decision", "costs", "confused"), "of two classes, no alarm can name the wrong one: remove it")


def _challenger(config: ModelConfig) -> Iterator[Problem]:
    shadowed = config.serving.mode == "provisioned" and config.serving.data_capture_percent and config.monitoring
    if config.challenger and not config.scoring and not shadowed:
        needed = "add scoring, or monitoring and serving.data_capture_percent"
        yield Problem(("challenger",), f"there is nothing to compare a candidate by: {needed}")


def _split(config: ModelConfig) -> Iterator[Problem]:
    split = config.split
    for number, name in enumerate(split.cluster if "cluster" in split.model_fields_set else []):
        if name not in config.data.not_features:
            known = nearest(name, config.data.not_features)
            yield Problem(("split", "cluster", number), f"'{name}' is neither key nor time. {known}")
    if isinstance(split, TimeSplit) and config.data.time is None:
        yield Problem(("split",), "split is by time, so data.time must name a column; or split.kind be 'random'")
    if isinstance(split, RandomSplit):
        others = [name for name in config.data.not_features if name != config.data.label]
        for number, name in enumerate(split.group_by):
            if name not in others:
                allowed = f"names ['{name}']; allowed are data.key and data.time: {others}. {nearest(name, others)}"
                yield Problem(("split", "group_by", number), f"split.group_by {allowed}")


def _refit(config: ModelConfig) -> Iterator[Problem]:
    if config.split.refit and config.tracking.model_versions:
        message = "MLflow keeps the model before the refit, but split.refit registers the refitted one"
        yield Problem(("tracking", "model_versions"), f"{message}: leave one of the two out")


def _scoring(config: ModelConfig) -> Iterator[Problem]:
    scoring, tables = config.scoring, config.data.tables
    if scoring is None:
        if config.monitoring and not config.serving.data_capture_percent:
            kept = "or what an endpoint keeps: add the section scoring, or serving.data_capture_percent"
            yield Problem(("monitoring",), f"monitoring watches what is scored daily, {kept}")
        if config.schedule.score:
            yield Problem(("schedule", "score"), "a model that is not scored daily has no such schedule: add scoring")
        if config.schedule.monitor and not config.monitoring:
            yield Problem(("schedule", "monitor"), "there is nothing to monitor: add scoring or monitoring")
        return
    yield from unknown_names(("scoring", "tables"), scoring.tables, "table", tables)
    yield from twice(("scoring", "tables"), scoring.tables)
    for number, name in enumerate(scoring.tables):
        clock = tables[name].clock if name in tables else None
        if clock and clock.every_minutes > MINUTES_OF_A_DAY:
            yield Problem(("scoring", "tables", number), f"names {name}, whose clock does not tick every day")


def _bounds_of_scores(config: ModelConfig) -> Iterator[Problem]:
    regression = config.problem == "regression"
    known = ["mean"] if regression else list(config.data.classes or [])
    for name, bounds in (config.scoring.bounds if config.scoring else {}).items():
        place = ("scoring", "bounds", name)
        if name not in known:
            yield Problem(place, f"scoring.bounds names '{name}'. {nearest(name, known)}")
        for end in ("min", "max"):
            bound = getattr(bounds, end)
            if not regression and bound is not None and not 0 <= bound <= 1:
                yield Problem((*place, end), f"a share of rows lies between 0 and 1; the bound {bound:g} is not")


def _monitoring(config: ModelConfig) -> Iterator[Problem]:
    features = feature_columns(config)
    if config.monitoring is None or features is None:
        return
    yield from unknown_names(("monitoring", "ignored"), config.monitoring.ignored, "feature", features)
    retrain = config.monitoring.retrain
    if isinstance(config.split, RandomSplit):
        for name in sorted(retrain.model_fields_set - {"when"}):
            yield Problem(("monitoring", "retrain", name), "is for a split by time; this one is random")
    elif retrain.holdout_share and not config.split.cluster:
        message = "is a share of the clusters: name their columns in split.cluster"
        yield Problem(("monitoring", "retrain", "holdout_share"), message)
    watched = len(set(features) - set(config.monitoring.ignored))
    if config.monitoring.drifted_features > watched:
        yield Problem(("monitoring", "drifted_features"), f"there are {watched} features that can drift")


def _labels(config: ModelConfig) -> Iterator[Problem]:
    labels, place = config.labels, ("labels",)
    if labels is None:
        return
    if config.scoring is None or config.monitoring is None:
        yield Problem(place, "labels are joined with daily scores by monitor_: add the sections scoring and monitoring")
    if labels.table is None:
        return
    if labels.table not in config.data.tables:
        yield Problem((*place, "table"), unknown("table", labels.table, config.data.tables))
    if config.data.time is None:
        yield Problem((*place, "table"), "rows have no data.time, so their labels come as files: leave table out")
    if labels.ask:
        yield Problem(
            (*place, "ask"), "people are asked only if labels do not arrive on their own; here a table has them"
        )


def table_of_slice(config: ModelConfig, one: Slice) -> str | None:
    """The raw table in which a slice's column is looked up, by the table's key; None if the feature table has it."""
    made = [*config.data.not_features, *(feature_columns(config) or [])]
    if one.of in made:
        return None
    found = (
        name
        for name, table in config.data.tables.items()
        if one.of in table.kinds and table.key and set(table.key) <= set(made)
    )
    return next(found, None)


def _slices(config: ModelConfig) -> Iterator[Problem]:
    yield from twice(("slices",), [one.name for one in config.slices])
    kinds = {name: kind for table in config.data.tables.values() for name, kind in table.kinds.items()}
    made = [*config.data.not_features, *(feature_columns(config) or [])]
    for number, one in enumerate(config.slices):
        place = ("slices", number) if one.column is None else ("slices", number, "column")
        if one.of not in made and table_of_slice(config, one) is None:
            yield Problem(place, unknown("column", one.of, [*made, *(name for name in kinds if name not in made)]))
        elif one.of in kinds and bool(one.part) != kinds[one.of].is_time:
            yield Problem(
                place, f"'{one.of}' is of kind {kinds[one.of]}; a time needs a part, and nothing else has one"
            )
        elif one.bands and one.of in kinds and not kinds[one.of].is_quantity:
            yield Problem(place, f"'{one.of}' is of kind {kinds[one.of]}; bands are of numbers")


def _jobs(config: ModelConfig) -> Iterator[Problem]:
    jobs: dict[str, Compute | None] = {"processing": config.processing, "scoring": config.scoring}
    for name, compute in jobs.items():
        if compute and compute.max_runtime_minutes > LONGEST_PROCESSING_JOB:
            yield Problem(
                (name, "max_runtime_minutes"),
                f"is {compute.max_runtime_minutes}; a processing job runs for {LONGEST_PROCESSING_JOB} at most",
            )


def _serving(config: ModelConfig) -> Iterator[Problem]:
    serving = config.serving
    p50_ms, p99_ms = serving.latency.p50_ms, serving.latency.p99_ms
    if p50_ms and p99_ms and p50_ms > p99_ms:
        yield Problem(("serving", "latency", "p50_ms"), f"{p50_ms} is above p99_ms {p99_ms}")
    yield from twice(("serving", "alarms", "custom"), [alarm.name for alarm in serving.alarms.custom])
    for name in ("instance_count", "deployment") if serving.mode not in HAVE_INSTANCES else ():
        if name in serving.model_fields_set:
            yield Problem(("serving", name), f"a {serving.mode} endpoint has no instances: remove it")
    kinds = {name: kind for table in config.data.tables.values() for name, kind in table.kinds.items()}
    for name, value in serving.example.items():
        if name not in kinds:
            yield Problem(("serving", "example", name), unknown("column", name, kinds))
        elif kinds[name].is_quantity and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield Problem(("serving", "example", name), f"is {value!r}, but the column is of kind {kinds[name]}")


RULES: tuple[Callable[[ModelConfig], Iterator[Problem]], ...] = (
    _columns_of_data,
    _content_keys,
    _classes,
    _tables_of_the_library,
    _derived_features,
    _split,
    _decision,
    hyperparameters,
    tuning,
    _slices,
    metrics,
    _jobs,
    _serving,
    _scoring,
    _bounds_of_scores,
    _monitoring,
    _challenger,
    _labels,
    _refit,
)
