"""Asking a person whether a version goes into production: the packet, and what becomes of the answer."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypedDict

from include.deploy import approval_page as packet
from include.deploy.approval_events import APPROVE
from include.deploy.endpoint_checks import Report
from include.deploy.tasks import Resolved, chosen_strategy, s3, sagemaker
from include.models.config import ModelConfig
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.run_context import here, read_json, write
from include.platform.storage import Run, drift_profile_of, metrics_of
from include.registry.packages import Package, package_of
from include.train.gates import judge
from sagemaker_jobs.account import account
from sagemaker_jobs.links import file_page

log = logging.getLogger(__name__)

LONGEST_VALUE = 256  # characters of a metadata entry
HOURS_A_MONTH = 730
STAGING_ONLY = "staging"


class Decision(TypedDict):
    """What became of the question, as the Model Registry keeps it."""

    decision: str
    by: str
    at: str
    reason: str


def write_packet(model: ModelConfig, context: Any, *, resolved: Resolved, report: Report) -> dict[str, str]:
    """The page in the run's folder, and the text of the form: ``{"subject", "body", "page"}``."""
    environment, run = here(context)
    facts = _facts(model, environment, resolved, report, strategy=chosen_strategy(context))
    write(s3(environment), run.promotion_packet, packet.page(facts), "text/html")
    page = file_page(run.promotion_packet, sagemaker(environment))
    more = f"[Model card]({page}#model-card) · [The whole packet as a page]({page})"
    body = f"{packet.markdown(facts)}\n{more}\n"
    return {"subject": facts.question, "body": body, "page": page}


def next_step(context: Any) -> str:
    """The task that comes after the test in staging."""
    if context["params"]["stages"] == STAGING_ONLY:
        return "keep_production"
    return "record_decision" if ml_environment().approve_promotions else "approve_production"


def decide(answer: Mapping[str, Any] | None, context: Any, *, package: Package) -> Decision:
    """The answer of the form, or the environment's own where it asks nobody; kept with the version in the registry.

    Args:
        answer: what the form gave; ``responded_by_user`` is empty if nobody answered in time.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if answer is None:
        decided = Decision(
            decision="promoted", by="nobody", at=now, reason="this environment promotes what passed its test"
        )
    else:
        user = answer.get("responded_by_user")
        yes = answer["chosen_options"] == [APPROVE]
        decided = Decision(
            decision="promoted" if yes else "not promoted",
            by=str(user["name"] or user["id"]) if user else "nobody",
            at=str(answer["responded_at"]) if user else now,
            reason=str((answer.get("params_input") or {}).get("reason") or ("" if user else "no answer in time")),
        )
    metadata = {f"promotion_{name}": str(value)[:LONGEST_VALUE] for name, value in decided.items() if value}
    metadata["promotion_run"] = f"{context['ti'].dag_id} {context['ti'].run_id}"[:LONGEST_VALUE]
    sagemaker(ml_environment()).update_model_package(
        ModelPackageArn=package["arn"], CustomerMetadataProperties=metadata
    )
    log.info("%(decision)s by %(by)s at %(at)s: %(reason)s", decided)
    return decided


def _facts(
    model: ModelConfig, environment: MlEnvironment, resolved: Resolved, report: Report, *, strategy: str | None
) -> packet.Packet:
    package, champion = resolved["package"], resolved["champion"]
    client = s3(environment)
    measured = read_json(client, metrics_of(package["statistics"])) or {}
    ours: dict[str, float | None] = measured.get("metrics", {})
    theirs: dict[str, float | None] = {}
    before: Package | None = None
    same_split = True
    if champion:
        before = package_of(
            sagemaker(environment).describe_model_package(ModelPackageName=champion["model_package_arn"])
        )
        beside = package["metadata"].get("champion") == champion["artifact"]  # the evaluation measured both
        same_split = beside or before["arn"] == package["arn"]
        own = (read_json(client, metrics_of(before["statistics"])) or {}).get("metrics", {})
        theirs = (measured.get("champion") if beside else own) or {}
    return packet.Packet(
        model=model,
        version=package["version"],
        champion_version=champion["version"] if champion else None,
        metrics=ours,
        champion_metrics=theirs,
        same_split=same_split,
        gates=judge(model, ours, measured.get("champion")),
        validation=_validation(environment, package),
        drift=_drift(environment, before, package),
        latency={"p50_ms": report["p50_ms"], "p99_ms": report["p99_ms"]},
        monthly_usd=_monthly_usd(model, environment),
        traffic=_traffic(model, environment, strategy, first=champion is None),
        lineage={"model package": package["arn"], "artifact": package["artifact"], **package["metadata"]},
        card=_card(environment, package),
        links=_links(environment, package),
    )


def _card(environment: MlEnvironment, package: Package) -> dict[str, Any]:
    described = sagemaker(environment).describe_model_package(ModelPackageName=package["arn"])
    card: dict[str, Any] = json.loads(described["ModelCard"]["ModelCardContent"]) if "ModelCard" in described else {}
    return card


def _run_of(environment: MlEnvironment, package: Package) -> Run | None:
    """The training run that registered the version; None where its lineage does not say."""
    metadata = package["metadata"]
    if not {"dag_id", "run_id"} <= metadata.keys():
        return None
    return Run(environment.bucket, metadata["dag_id"], metadata["run_id"])


def _validation(environment: MlEnvironment, package: Package) -> dict[str, str]:
    run = _run_of(environment, package)
    if run is None:
        return {"Data": "the version's lineage names no training run"}
    tasks = {"Raw data": "validate_raw_data", "Features": "validate_features"}
    client = s3(environment)
    found = {title: read_json(client, run.validation_verdict(task_id)) for title, task_id in tasks.items()}
    return {title: verdict["summary"] if verdict else "no report is left" for title, verdict in found.items()}


def _drift(environment: MlEnvironment, before: Package | None, after: Package) -> dict[str, float] | None:
    if before is None:
        return None
    client = s3(environment)
    profiles = [read_json(client, drift_profile_of(package["statistics"])) for package in (before, after)]
    return packet.drift_between(*profiles) if all(profiles) else None


def _traffic(model: ModelConfig, environment: MlEnvironment, strategy: str | None, *, first: bool) -> str:
    rule = model.serving.deployment
    if first:
        return "the endpoint is created; there is no traffic yet"
    if model.serving.mode == "serverless":
        return "all at once: a serverless endpoint knows no steps"
    chosen, share = strategy or rule.strategy, rule.share_percent
    seconds = environment.traffic_step_seconds
    wait = f"{rule.wait_minutes} minutes" if seconds is None else f"{seconds} seconds"
    return {
        "canary": f"{share} % for {wait}, then all of it; an alarm in the {wait} after either takes it back",
        "linear": f"in steps of {share} %, {wait} each; an alarm takes it back",
        "all_at_once": f"all at once; an alarm in the {wait} after takes it back",
        "immediate": "all at once, whatever the alarms say",
    }[chosen]


def _monthly_usd(model: ModelConfig, environment: MlEnvironment) -> float | None:
    """Of the instances that always serve. A serverless endpoint costs by use, which nobody knows yet."""
    if model.serving.mode == "serverless":
        return None
    instance_seconds = HOURS_A_MONTH * 3600 * model.serving.instance_count
    cost = account().cost(environment.region, model.serving.instance_type, instance_seconds)
    return None if cost == "unknown" else cost


def _links(environment: MlEnvironment, package: Package) -> dict[str, str]:
    client, run = sagemaker(environment), _run_of(environment, package)
    if run is None:
        return {}
    return {
        "Evaluation report": file_page(run.evaluation_report, client),
        "Raw data validation": file_page(run.validation_page("validate_raw_data"), client),
        "Feature validation": file_page(run.validation_page("validate_features"), client),
    }
