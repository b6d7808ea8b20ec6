"""The form of a training run."""

from __future__ import annotations

from airflow.sdk import Param

from include.models.config import INSTANCE_TYPE, ModelConfig
from include.platform.dag_settings import day_param

INSTANCE_TYPES = ["ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge"]


def params(model: ModelConfig) -> dict[str, Param]:
    """Every field may be left as it is."""
    known = ", ".join(f"{name} ({value})" for name, value in model.training.hyperparameters.items())
    return {
        "data_from": day_param("Data from", "First day of raw data to train on. Empty: from the beginning."),
        "data_to": day_param("Data to", "Last day of raw data to train on. Empty: to the end."),
        "hyperparameters": Param(
            {},
            type="object",
            # the form itself refuses what the estimator does not take: nothing has run by then
            propertyNames={"enum": list(model.hyperparameters)},
            properties={name: one.json_schema for name, one in model.hyperparameters.items()},
            title="Hyperparameters",
            description=f"Values that override model.yaml's, as JSON. Known, with their values there: {known}.",
        ),
        "instance_type": Param(
            None,
            type=["null", "string"],
            pattern=INSTANCE_TYPE,
            examples=INSTANCE_TYPES,
            title="Instance type",
            description=f"What to train on. Empty: {model.training.instance_type}.",
        ),
        "tune": Param(
            False,
            type="boolean",
            title="Tune first",
            description="Search hyperparameters in model.yaml's ranges and keep the best. Trains many models.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Train even if nothing changed since the last training. With a reason, also register what is "
            "worse than the version in production, or what there are too few test rows to judge. Gates stand.",
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
            description="With force: why to register all the same. Whoever approves the version reads it.",
        ),
    }
