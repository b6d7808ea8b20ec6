"""The forms of a deployment: the run's, and the approval's."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict, cast, get_args

from airflow.sdk import Context, Param

from include.models.config import ModelConfig, Strategy
from include.platform.dag_settings import version_param
from include.platform.errors import PermanentError
from include.registry.history import Entry
from include.registry.versions import Version

AS_CONFIGURED = "as in model.yaml"
BOTH = "staging and production"
STAGING_ONLY = "staging"
SHADOW = "staging and shadow"


def params(model: ModelConfig) -> dict[str, Param]:
    """The run's fields; all may be left as they are."""
    return {
        "version": version_param(
            "An approved version of the model. Empty: the newest approved one.", f"/models/model/{model.name}#promote"
        ),
        "stages": Param(
            BOTH,
            enum=[BOTH, STAGING_ONLY, SHADOW],
            title="Stages",
            description="Staging: deployed and tested there, production stays unchanged. serving.staging of model.yaml "
            "decides whether staging is kept after its test. Shadow: then the production endpoint sends the version a "
            "copy of each request and captures its answers, which callers never see; a later run promotes or declines "
            "it.",
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


def becomes_shadow(
    model: ModelConfig, context: Context, version: Version, champion: Entry | None, *, by_approval: bool
) -> bool:
    """Whether the run ends with the version as production's shadow: the form says so or, of a run that an approval
    started, model.yaml's ``challenger``, wherever that is possible.

    Raises:
        PermanentError: the form says so, but it is not possible.
    """
    asked, impossible = context["params"]["stages"] == SHADOW, shadow_obstacle(model, version, champion)
    if asked and impossible:
        raise PermanentError(f"{impossible} Nothing was changed.")
    return asked or (by_approval and model.challenger and not impossible)


def shadow_obstacle(model: ModelConfig, version: Version, champion: Entry | None) -> str:
    """Why the version cannot be a shadow; empty if it can."""
    if model.serving.mode != "provisioned":
        return f"{model.name} is served {model.serving.mode}, where SageMaker has no shadow variants."
    if not model.serving.data_capture_percent:
        return (
            f"{model.name} captures no requests, so a shadow's answers could not be compared. Set "
            "serving.data_capture_percent in model.yaml, and promote a version with it."
        )
    if not model.monitoring:
        return f"{model.name} has no section monitoring in model.yaml, with which a shadow's answers are compared."
    if champion is None:
        return f"{model.name} has nothing in production that version {version.version} could be a shadow of."
    if champion.version == version.version:
        return f"version {version.version} of {model.name} is in production: it cannot be its own shadow."
    return ""


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
