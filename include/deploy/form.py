"""The forms of a deployment: the run's, and the approval's."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict, cast, get_args

from airflow.sdk import Context, Param

from include.models.config import ModelConfig, Strategy
from include.platform.dag_settings import version_param

AS_CONFIGURED = "as in model.yaml"
STAGING_ONLY = "staging"


def params(model: ModelConfig) -> dict[str, Param]:
    """The run's fields; all may be left as they are."""
    return {
        "version": version_param("An approved version of the model. Empty: the newest approved one."),
        "stages": Param(
            "staging and production",
            enum=["staging and production", STAGING_ONLY],
            title="Stages",
            description="Staging only: deployed and tested there, production stays as it is. serving.staging of "
            "model.yaml decides whether staging is kept after its test.",
        ),
        "strategy": Param(
            AS_CONFIGURED,
            enum=[AS_CONFIGURED, *get_args(Strategy)],
            title="Traffic shift",
            description=f"How production's traffic moves; model.yaml says {model.serving.deployment.strategy}. "
            "'immediate' ignores alarms, for when they have already fired.",
        ),
    }


def chosen_strategy(context: Context) -> Strategy | None:
    """The traffic strategy chosen in the form; None if model.yaml decides."""
    chosen = context["params"]["strategy"]
    return None if chosen == AS_CONFIGURED else cast(Strategy, chosen)


def approval_params() -> dict[str, Param]:
    """The fields that an approver may fill in with the answer."""
    return {
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=256,
            title="Why",
            description="Kept with the version in the Model Registry. Optional.",
        )
    }


class Timeouts(TypedDict):
    response_timeout: timedelta
    execution_timeout: None


def answer_timeout(model: ModelConfig) -> Timeouts:
    """Arguments of a task that waits for an answer. It has no execution timeout: the operator would use that as the
    time to answer."""
    return {"response_timeout": timedelta(hours=model.serving.approval.timeout_hours), "execution_timeout": None}
