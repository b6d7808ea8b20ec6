"""The forms of a deployment: of its run, and of the answer that it waits for."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict, cast, get_args

from airflow.sdk import Context, Param

from include.models.config import ModelConfig, Strategy
from include.platform.dag_settings import version_param

AS_CONFIGURED = "as in model.yaml"
STAGING_ONLY = "staging"


def params(model: ModelConfig) -> dict[str, Param]:
    """Every field may be left as it is."""
    return {
        "version": version_param("Which approved version of the model. Empty: the newest approved one."),
        "stages": Param(
            "staging and production",
            enum=["staging and production", STAGING_ONLY],
            title="Stages",
            description="Staging alone: deployed and tested there, production stays as it is. What becomes of staging "
            "after its test is serving.staging of model.yaml.",
        ),
        "strategy": Param(
            AS_CONFIGURED,
            enum=[AS_CONFIGURED, *get_args(Strategy)],
            title="Traffic shift",
            description=f"How production's traffic moves; model.yaml says {model.serving.deployment.strategy}. "
            "'immediate' heeds no alarms, for when they are going off already.",
        ),
    }


def chosen_strategy(context: Context) -> Strategy | None:
    """How the form wants production's traffic to move; None where model.yaml decides."""
    chosen = context["params"]["strategy"]
    return None if chosen == AS_CONFIGURED else cast(Strategy, chosen)


def approval_params() -> dict[str, Param]:
    """What a person may add to an answer."""
    return {
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=256,
            title="Why",
            description="Kept with the version in the Model Registry. May stay empty.",
        )
    }


class Timeouts(TypedDict):
    response_timeout: timedelta
    execution_timeout: None


def answer_timeout(model: ModelConfig) -> Timeouts:
    """Arguments of a task that waits for a person. It has no execution timeout: the operator would take that for the
    time to answer."""
    return {"response_timeout": timedelta(hours=model.serving.approval.timeout_hours), "execution_timeout": None}
