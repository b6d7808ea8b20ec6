"""Asks whether a version goes into production: the packet, and what follows from the answer."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TypedDict

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Context
from airflow.sdk.execution_time.hitl import HITLUser

from include.deploy import approval_page as packet
from include.deploy.approval_events import APPROVE
from include.deploy.endpoint_checks import Report
from include.deploy.form import STAGING_ONLY, chosen_strategy
from include.deploy.serving_modes import mode_of, monthly_cost
from include.deploy.tasks import Json, Resolved, clear_staging
from include.models.config import ModelConfig
from include.models.config.challenger import Beside, Paired, told_of_challenger
from include.models.config.files import CHALLENGER, SHADOW, VERSION, day_of_folder
from include.models.config.judging import judge, told_of_chosen, told_of_production, told_of_slices, told_of_suspects
from include.models.config.performance import Performance
from include.models.config.results import Evaluation, Metrics
from include.platform.clients import s3_client, sagemaker_client
from include.platform.environment import MlEnvironment
from include.platform.errors import PermanentError
from include.platform.objects import read_json, write_text
from include.platform.raw_files import list_raw_data
from include.platform.run_context import current_run, triggered_by
from include.platform.run_folders import Run
from include.platform.stability import index_between
from include.platform.storage import drift_profile_of, metrics_of, performance_of, performance_prefix
from include.registry.history import Entry
from include.registry.versions import RegisteredVersion, Version, describe, keep_decision
from sagemaker_jobs.links import file_page

log = logging.getLogger(__name__)

MOST_DAYS = 60  # newest days beside production that are reported
WHERE = {CHALLENGER: "beside production", SHADOW: "as the endpoint's shadow"}  # by the name of a day's result


class Answer(TypedDict):
    """The answer in Airflow's form; ``responded_by_user`` is empty if nobody answered in time."""

    chosen_options: list[str]
    params_input: dict[str, str | None]
    responded_by_user: HITLUser | None
    responded_at: datetime


class Decision(TypedDict):
    """The outcome of the question, as the Model Registry keeps it."""

    decision: str
    by: str
    at: str
    reason: str


class ApprovalOperator(HITLOperator):
    """Asks the approvers that ``prepare_promotion`` names, and Airflow accepts nobody else's answer; everybody, if it
    names none."""

    def execute(self, context: Context) -> None:
        packet = context["ti"].xcom_pull(task_ids="prepare_promotion", key="packet")
        self.assigned_users = packet["approvers"] or None
        super().execute(context)


def prepare_promotion(model: ModelConfig, context: Context, *, resolved: Resolved, report: Report) -> str:
    """Writes the packet's page into the run's folder, and hands on the text of the form as ``packet``. Deletes staging,
    which is no longer needed, if model.yaml says so.

    Returns:
        The id of the next task.

    Raises:
        PermanentError: nobody may answer.
    """
    environment, run = current_run(context)
    approvers = _approvers(environment, context, resolved["version"])
    clear_staging(model, environment)
    shown = _gather(model, environment, context, resolved, report)
    write_text(s3_client(environment), run.promotion_packet, packet.page(shown), "text/html")
    page = file_page(run.promotion_packet, sagemaker_client(environment))
    more = f"[Model card]({page}#model-card) · [The whole packet as a page]({page})"
    body = f"{packet.markdown(shown)}\n{more}\n"
    context["ti"].xcom_push(
        key="packet", value={"subject": shown.question, "body": body, "page": page, "approvers": approvers}
    )
    return next_task(environment, context, shadow=resolved.get("shadow", False))


def next_task(environment: MlEnvironment, context: Context, *, shadow: bool) -> str:
    """The id of the task that follows the test in staging."""
    if shadow:
        return "deploy_shadow"
    if context["params"]["stages"] == STAGING_ONLY:
        return "keep_production"
    return "record_decision" if environment.approve_promotions else "approve_production"


def record_decision(model: ModelConfig, context: Context, *, answer: Answer | None, version: Json) -> str:
    """Records the form's answer, or the environment's own if it asks nobody, with the version in the registry.

    Returns:
        The id of the next task.

    Raises:
        PermanentError: the approver may not approve in this environment.
    """
    decided, (environment, run) = _decision(answer), current_run(context)
    _require_another(environment, context, answer, version)
    record = {**decided, "run": f"{run.dag_id} {run.run_id}"}
    # the full text, in the approver's words; the registry keeps what its alphabet allows
    write_text(s3_client(environment), run.promotion_decision, json.dumps(record, indent=1, ensure_ascii=False))
    promoted, arn = decided["decision"] == "promoted", Version.model_validate(version).model_package_arn
    kept = {**record, "record": run.promotion_decision}
    keep_decision(sagemaker_client(environment), arn, kept, promoted=promoted)
    log.info("%(decision)s by %(by)s at %(at)s: %(reason)s", decided)
    return "deploy_production" if promoted else "keep_production"


def _require_another(environment: MlEnvironment, context: Context, answer: Answer | None, version: Json) -> None:
    """An approval must come from one of the approvers and, if four eyes are required, from someone who neither trained
    the version nor started this run."""
    if answer is None or answer["chosen_options"] != [APPROVE]:
        return
    user = answer.get("responded_by_user")
    names = {str(user["id"]), str(user["name"])} if user else set()
    if environment.approvers and (user is None or user["id"] not in environment.approvers):
        known = ", ".join(f"{name} ({id_})" for id_, name in environment.approvers.items())
        raise PermanentError(
            f"{' / '.join(sorted(names)) or 'nobody'} approved, but is not an approver of this environment: "
            f"{known}. Clear approve_production, and have an approver answer."
        )
    if environment.four_eyes and (not names or names & _involved(context, version)):
        raise PermanentError(
            f"{' / '.join(sorted(names)) or 'nobody'} approved what they trained or started themselves, and this "
            "environment requires four eyes. Clear approve_production, and have someone else answer."
        )


def _involved(context: Context, version: Json) -> set[str]:
    """Who trained the version and who started this run, by Airflow's user names."""
    trained_by = RegisteredVersion.model_validate(version).metadata.get("triggered_by")
    return {name for name in (triggered_by(context), trained_by) if name}


def _approvers(environment: MlEnvironment, context: Context, version: Json) -> list[HITLUser]:
    """The users to ask; empty for everybody.

    Raises:
        PermanentError: four eyes are required, but all approvers are involved.
    """
    involved = _involved(context, version) if environment.four_eyes else set()
    asked = [
        HITLUser(id=id_, name=name)
        for id_, name in environment.approvers.items()
        if environment.approve_promotions or not {id_, name} & involved
    ]
    if environment.approvers and not asked:
        raise PermanentError(
            f"nobody may approve: {', '.join(sorted(involved))} trained this version or started this run, this "
            "environment requires four eyes, and no other approver is named. Add one to approvers in ml_environment, "
            "and clear this task."
        )
    return asked


def _decision(answer: Answer | None) -> Decision:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if answer is None:
        reason = "this environment promotes what passed its test"
        return Decision(decision="promoted", by="nobody", at=now, reason=reason)
    user = answer.get("responded_by_user")
    return Decision(
        decision="promoted" if answer["chosen_options"] == [APPROVE] else "not promoted",
        by=str(user["name"] or user["id"]) if user else "nobody",
        at=str(answer["responded_at"]) if user else now,
        reason=str((answer.get("params_input") or {}).get("reason") or ("" if user else "no answer in time")),
    )


def _gather(
    model: ModelConfig, environment: MlEnvironment, context: Context, resolved: Resolved, report: Report
) -> packet.Packet:
    version = RegisteredVersion.model_validate(resolved["version"])
    champion = Entry.model_validate(resolved["champion"]) if resolved["champion"] else None
    before = describe(sagemaker_client(environment), champion.model_package_arn) if champion else None
    evaluation = _evaluation(environment, version)
    ours: Metrics = evaluation["metrics"] if evaluation else {}
    theirs: Metrics | None = evaluation["champion"] if evaluation else None
    beside_it = champion is not None and version.metadata.get("champion") == champion.artifact
    measured_both = beside_it and theirs is not None
    told = [*told_of_production(model, evaluation), *told_of_slices(model, evaluation)] if evaluation else []
    told += [*told_of_chosen(model, evaluation), *told_of_suspects(evaluation)] if evaluation else []
    told += _beside_production(model, environment, version, CHALLENGER)
    told += _beside_production(model, environment, version, SHADOW)
    if before and not measured_both:
        own = _evaluation(environment, before)
        theirs = own["metrics"] if own else None
    strategy, mode = chosen_strategy(context), mode_of(model)
    return packet.Packet(
        model=model,
        version=version.version,
        champion_version=champion.version if champion else None,
        metrics=ours,
        champion_metrics=(theirs or {}) if champion else {},
        same_split=before is None
        or (measured_both and _all_rows(evaluation))
        or before.model_package_arn == version.model_package_arn,
        gates=judge(model, evaluation or {"metrics": {}, "champion": None}, forced="forced" in version.metadata),
        findings=told,
        validation=_validation(environment, version),
        drift=_drift(environment, before, version),
        latency={"p50_ms": report["p50_ms"], "p99_ms": report["p99_ms"]},
        cost=monthly_cost(model, environment.region),
        traffic=mode.traffic(model, environment, strategy)
        if champion
        else "the endpoint is new; it has no traffic yet",
        lineage={"model package": version.model_package_arn, "artifact": version.artifact, **version.metadata},
        card=_card(environment, version),
        links=_links(environment, version, evaluation),
        decision=evaluation.get("decision") if evaluation else None,
    )


def _all_rows(evaluation: Evaluation | None) -> bool:
    """Whether the champion was evaluated on the whole test split, like the candidate."""
    rivals = evaluation.get("production", []) if evaluation else []
    return not (rivals and rivals[0]["seen"])


def _evaluation(environment: MlEnvironment, version: RegisteredVersion) -> Evaluation | None:
    found: Evaluation | None = read_json(s3_client(environment), metrics_of(version.evaluation))
    return found


def _beside_production(
    model: ModelConfig, environment: MlEnvironment, version: RegisteredVersion, result: str
) -> list[str]:
    """The results of the newest days that it scored beside production, or was the endpoint's shadow: ``result`` is the
    name of their files."""
    s3, bucket = s3_client(environment), environment.bucket
    mine = f"/{VERSION}{version.version}/{result}"
    there = [file["key"] for file in list_raw_data(s3, bucket, performance_prefix(model.name))]
    keys = {day: key for key in there if key.endswith(mine) and (day := day_of_folder(key))}
    days: dict[str, Beside] = {day: read_json(s3, f"s3://{bucket}/{keys[day]}") for day in sorted(keys)[-MOST_DAYS:]}
    labelled: dict[str, Paired] = {}
    for day in days:
        known: Performance | None = read_json(s3, performance_of(bucket, model.name, day))
        of_day = (known.get("shadows", {}) if result == SHADOW else known.get("challengers", {})) if known else {}
        if paired := of_day.get(str(version.version)):
            labelled[day] = paired
    return told_of_challenger(days, labelled, where=WHERE[result])


def _card(environment: MlEnvironment, version: RegisteredVersion) -> packet.Card:
    described = sagemaker_client(environment).describe_model_package(ModelPackageName=version.model_package_arn)
    card: packet.Card = json.loads(described["ModelCard"]["ModelCardContent"]) if "ModelCard" in described else {}
    return card


def _run_of(environment: MlEnvironment, version: RegisteredVersion) -> Run | None:
    """The training run that registered the version; None if its lineage lacks it."""
    return Run(environment.bucket, *version.ran) if version.ran else None


def _validation(environment: MlEnvironment, version: RegisteredVersion) -> dict[str, str]:
    run = _run_of(environment, version)
    if run is None:
        return {"Data": "the version's lineage names no training run"}
    tasks = {"Raw data": "validate_raw_data", "Features": "validate_features"}
    s3 = s3_client(environment)
    found = {title: read_json(s3, run.validation_verdict(task_id)) for title, task_id in tasks.items()}
    return {title: verdict["summary"] if verdict else "the report is missing" for title, verdict in found.items()}


def _drift(
    environment: MlEnvironment, before: RegisteredVersion | None, after: RegisteredVersion
) -> dict[str, float] | None:
    if before is None:
        return None
    s3 = s3_client(environment)
    first, second = (read_json(s3, drift_profile_of(version.evaluation)) for version in (before, after))
    return index_between(first, second) if first and second else None


def _links(environment: MlEnvironment, version: RegisteredVersion, evaluation: Evaluation | None) -> dict[str, str]:
    client, run = sagemaker_client(environment), _run_of(environment, version)
    page = evaluation.get("mlflow_page") if evaluation else None
    tracked = {"MLflow run": page} if page else {}
    if run is None:
        return tracked
    return tracked | {
        "Evaluation report": file_page(run.evaluation_report, client),
        "Raw data validation": file_page(run.validation_page("validate_raw_data"), client),
        "Feature validation": file_page(run.validation_page("validate_features"), client),
    }
