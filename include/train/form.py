"""The form of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Param

from include.models.config import INSTANCE_TYPE, ModelConfig, Scalar
from include.models.config.code import TRUTH, Hyperparameter
from include.platform.dag_settings import budget_param, day_param, switch_param

INSTANCE_TYPES = ["ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge"]

PREFIX = "hyperparameter_"  # of field names, so that they do not clash with other fields


def form_of(model: ModelConfig) -> dict[str, Param]:
    """All fields may be left as they are."""
    return {
        "data_from": day_param("Data from", "First day of raw data to train on. Empty: from the beginning."),
        "data_to": day_param("Data to", "Last day of raw data to train on. Empty: to the end."),
        "instance_type": Param(
            None,
            type=["null", "string"],
            pattern=INSTANCE_TYPE,
            examples=INSTANCE_TYPES,
            title="Instance type",
            description=f"The instance type to train on. Empty: {model.training.instance_type}.",
        ),
        "budget_usd": budget_param(
            "The limit of the run's estimated cost in USD; above it, the run stops before any job starts. Empty: "
            f"{model.budget.per_run:g}, budget.per_run of model.yaml."
        ),
        "tune": switch_param(
            "Tune first",
            "Search hyperparameters in model.yaml's ranges and keep the best. Trains many models.",
        ),
        "force": switch_param(
            "Force",
            "Train even if nothing changed since the last training. With a reason, also register a model that is "
            "worse than the version in production, or has too few test rows to tell. Gates still apply.",
        ),
        "started_by": Param(
            None,
            type=["null", "string"],
            maxLength=250,
            title="Started by",
            description="What started the training, for the version's lineage; monitoring fills it in.",
        ),
        "must_learn": day_param(
            "Must learn",
            "Hold out no more than monitoring.retrain says, and stop unless the training part reaches past this day; "
            "monitoring fills it in.",
        ),
        "reason": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            title="Reason",
            description="With force: why to register anyway. The approver of the version reads it.",
        ),
        **{f"{PREFIX}{name}": _hyperparameter(model, name, one) for name, one in model.hyperparameters.items()},
    }


def given_hyperparameters(model: ModelConfig, params: Mapping[str, Any]) -> dict[str, Scalar]:
    """The hyperparameters that a run's form sets."""
    known = {f"{PREFIX}{name}": name for name in model.hyperparameters}
    given = {known[name]: value for name, value in params.items() if name in known and value is not None}
    switches = {name for name, one in model.hyperparameters.items() if one.type == "boolean"}
    return {name: TRUTH.get(value, value) if name in switches else value for name, value in given.items()}


def _hyperparameter(model: ModelConfig, name: str, one: Hyperparameter) -> Param:
    """A field with the estimator's rule for the value, which Airflow checks before the run starts. A boolean is a
    choice of words: a checkbox could not say "as in model.yaml"."""
    own, meaning = model.training.hyperparameters.get(name), f"{one.meaning[:1].upper()}{one.meaning[1:]}"
    default = _word(one.default if own is None else own)
    whose = "the library's default" if own is None else "as in model.yaml"
    rule: dict[str, Any] = one.json_schema
    if choices := list(TRUTH) if one.type == "boolean" else one.values:
        rule = {"type": "string", "enum": [None, *choices], "values_display": {"None": f"{default} ({whose})"}}
    return Param(
        None,
        **{**rule, "type": ["null", rule["type"]]},
        title=name,
        section="Hyperparameters" if own is not None else "More hyperparameters",
        description=f"{meaning}. {one.allowed.capitalize()}. Empty: {default}, {whose}.",
    )


def _word(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
