"""The tasks of a training run, each named after its id; those that only request a job are ``step`` of that request."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import Budget, ModelConfig
from include.models.config.files import MODEL_ARCHIVE
from include.models.config.judging import (
    Verdict,
    explain,
    judge,
    may_register,
    told_of_chosen,
    told_of_production,
    told_of_suspects,
)
from include.models.config.results import Evaluation
from include.platform.clients import s3_client, sagemaker_client
from include.platform.costs import above_budget, spent
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import console_page, notify
from include.platform.objects import write_text
from include.platform.raw_files import RawFile, list_raw_data, raw_megabytes
from include.platform.request_parts import Request, RequestError, group_name
from include.platform.run_context import (
    Code,
    DataManifest,
    begin_checks,
    begin_run,
    code_of,
    current_run,
    pin,
    pinned_run,
    published,
    read_record,
    triggered_by,
)
from include.platform.run_folders import Run
from include.platform.storage import raw_prefix
from include.registry import requests as registry
from include.registry.history import Entry, last_in_production, read_history
from include.registry.model_index import index_versions
from include.registry.retired import skip_if_retired
from include.registry.versions import VersionError, keep_artifact, require_artifact
from include.train import costs, requests
from include.train.form import given_hyperparameters
from include.train.lineage import lineage_of
from include.train.links import links
from include.train.repeats import digest_of, ingredients, read_last, shared_by_machines, what_changed, write_last
from sagemaker_jobs.kinds import JobResult

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)


class RegisteredPackage(TypedDict):
    """What ``RegisterModelOperator`` returns."""

    arn: str
    group: str
    version: int


def plan_training(model: ModelConfig, context: Context) -> str:
    """Returns the first task that prepares the data, by its size. Pins the code, with its model.yaml, and the image of
    the run. Checks parameters before anything is paid for, and skips a training that would repeat the last one.

    Raises:
        RequestError: params that contradict each other or the model.
        PermanentError: there is no raw data.
        AirflowSkipException: the last complete training used exactly the same, or the model is retired.
    """
    skip_if_retired(model, context)
    environment, run = begin_run(context)
    model, params = published(environment, model), context["params"]
    _check_params(model, params)
    s3 = s3_client(environment)
    write_text(s3, run.code, json.dumps(code_of(environment)))
    files = _raw_data(model, environment, s3)
    last = read_last(s3, environment, model)
    now = ingredients(model, params, s3, environment, files)
    if last is None or last["digest"] != digest_of(now):
        log.info("%s", "no training is complete yet" if last is None else what_changed(last, now))
    elif params["force"]:
        log.info("unchanged since run %s; training anyway, as force is set", last["run_id"])
    else:
        raise AirflowSkipException(
            f"Nothing to do: a training would repeat run {last['run_id']} of {last['ended_at']} exactly, which "
            f"{last['outcome']}. Raw data (ETags), the code and the sections of model.yaml that it is trained from, "
            "hyperparameters and image are the same. Trigger with force to train anyway."
        )
    _hold_to_budget(model, context, environment, s3, files)
    size, limit = raw_megabytes(files), model.processing.one_job_mb
    if shared_by_machines(model, files):
        log.info("%.0f MB of raw text, more than processing.one_job_mb (%d): several machines share it", size, limit)
        return "cut_data"
    log.info("%.0f MB of raw text: one job prepares it", size)
    return "prepare_data"


def _hold_to_budget(
    model: ModelConfig, context: Context, environment: MlEnvironment, s3: S3Client, files: list[RawFile]
) -> None:
    """Logs the run's estimated cost, and keeps it for the summary.

    Raises:
        PermanentError: it exceeds the budget.
    """
    params, now = context["params"], datetime.now(UTC)
    expected = costs.estimate(
        model,
        environment,
        spent(s3, environment.bucket, model.name, now, months=3),
        tune=bool(params["tune"]),
        instance_type=params["instance_type"],
        shared=shared_by_machines(model, files),
    )
    log.info("estimated at %s USD in %s: %s", expected["usd"], environment.region, expected["how"])
    context["ti"].xcom_push(key="estimate", value=expected)
    given, budget = params["budget_usd"], model.budget
    if given is None:
        why = above_budget(expected["usd"], budget.per_run, budget, spent(s3, environment.bucket, model.name, now))
    else:  # the run's form sets the budget
        why = above_budget(expected["usd"], float(given), Budget(), {})
    if why:
        raise PermanentError(
            f"Nothing was started: {why} ({expected['how']}). Trigger the Dag again with a Budget that allows it, or "
            f"raise the budget in models/{model.name}/model.yaml."
        )


def prepare_data(model: ModelConfig, context: Context) -> Request:
    """The first job's request. Pins the raw data that the run uses.

    Raises:
        PermanentError: there is no raw data.
    """
    model, environment, run = _begin(model, context)
    begin_checks(environment, run)
    must_learn = context["params"]["must_learn"]
    return requests.prepare_data(model, environment, run, **_window(context), must_learn=must_learn)


def cut_data(model: ModelConfig, context: Context) -> Request:
    """The first job's request if several machines prepare the data; otherwise like ``prepare_data``."""
    model, environment, run = _begin(model, context)
    return requests.cut_data(model, environment, run)


def prepare_shards(model: ModelConfig, context: Context) -> Request:
    model, environment, run, _ = _pinned(model, context)
    return requests.prepare_shards(model, environment, run, **_window(context))


def merge_shards(model: ModelConfig, context: Context) -> Request:
    model, environment, run, _ = _pinned(model, context)
    begin_checks(environment, run)
    must_learn = context["params"]["must_learn"]
    return requests.merge_shards(model, environment, run, **_window(context), must_learn=must_learn)


def step(model: ModelConfig, request: Callable[[ModelConfig, MlEnvironment, Run], Request]) -> Callable[..., Request]:
    """The task of a job that needs only what the run has pinned, named after its request."""

    @wraps(request)
    def build(context: Context) -> Request:
        return request(*_pinned(model, context)[:3])

    return build


def choose_training(model: ModelConfig, context: Context) -> str:
    """Returns the task that trains."""
    return "tune_model" if context["params"]["tune"] else "train_model"


def train_model(model: ModelConfig, context: Context) -> Request:
    model, environment, run, _ = _pinned(model, context)
    return requests.train_model(model, environment, run, **_chosen(model, context))


def tune_model(model: ModelConfig, context: Context) -> Request:
    model, environment, run, _ = _pinned(model, context)
    return requests.tune_model(model, environment, run, **_chosen(model, context))


def evaluate_model(
    model: ModelConfig, context: Context, *, trained: JobResult | None, tuned: JobResult | None
) -> Request:
    """The request to evaluate the candidate beside the current and earlier production versions.

    Raises:
        VersionError: the champion's artifact is missing.
    """
    model, environment, run, _ = _pinned(model, context)
    s3, group = s3_client(environment), group_name(model)
    production: list[Entry] = []
    for entry in last_in_production(read_history(s3, environment.bucket, model.name), model.champion.last):
        try:
            require_artifact(s3, group, entry)
        except VersionError as error:
            if not production:  # the champion's own; earlier ones only raise the bar
                raise
            log.warning("not compared with version %d, which was in production before: %s", entry.version, error)
            continue
        production.append(entry)
    candidate = trained or tuned  # the other one was skipped
    if candidate is None:
        raise PermanentError("neither train_model nor tune_model has a result; clear the one that should have run")
    return requests.evaluate_model(
        model,
        environment,
        run,
        artifact=candidate["artifact"],
        production=production,
        forced=_forced(context) and model.split.refit is not None,
        usual=tuned is not None or bool(given_hyperparameters(model, context["params"])),
        must_learn=context["params"]["must_learn"],
        links=links(environment, run, context, artifact=candidate["artifact"]),
    )


def check_metrics(model: ModelConfig, context: Context, *, evaluated: JobResult) -> str:
    """Returns the task that follows from the gates; pushes their verdicts as ``gates``."""
    model, environment, run, _ = _pinned(model, context)
    result: Evaluation = evaluated["result"]
    log.info("applied the gates of model.yaml in code %s; the evaluation report shows them", environment.code_hash)
    verdicts = judge(model, result, forced=_forced(context))
    context["ti"].xcom_push(key="gates", value=verdicts)
    write_text(s3_client(environment), run.gates, json.dumps(verdicts))
    if tracking := result.get("tracking"):
        log.warning("MLflow lacks part of this run, which continues: %s", tracking)
    for sentence in told_of_suspects(result):
        log.warning("%s", sentence)
    for sentence in [*told_of_production(model, result), *told_of_chosen(model, result)]:
        log.info("%s", sentence)
    for verdict in verdicts:
        log.log(logging.INFO if verdict["passed"] else logging.WARNING, explain(verdict))
    return "register_model" if may_register(verdicts) else "reject_model"


def model_package_group(model: ModelConfig, context: Context) -> Request:
    return registry.model_package_group(model, ml_environment())


def register_model(model: ModelConfig, context: Context, *, evaluated: JobResult, gates: list[Verdict]) -> Request:
    """The model package with its lineage: code, data, run and jobs, and the champion that it was compared with. Its
    artifact is a copy that no job can write."""
    model, environment, run, files = _pinned(model, context)
    artifact = evaluated["inputs"]["artifact"]
    result: Evaluation = evaluated["result"]
    made = f"{run.refit}/{MODEL_ARCHIVE}" if result.get("refit") else artifact
    kept = keep_artifact(s3_client(environment), environment.bucket, model.name, made)
    known = lineage_of(
        model,
        environment,
        run,
        evaluated=evaluated,
        gates=gates,
        files=files,
        triggered_by=triggered_by(context),
        params=context["params"],
    )
    return registry.model_package(model, environment, run, artifact=kept, lineage=known, evaluation=result)


def notify_registration(model: ModelConfig, context: Context) -> None:
    """``on_success_callback`` of the registration: asks for approval."""
    environment = ml_environment()
    index_versions(s3_client(environment), sagemaker_client(environment), environment.bucket, model)
    task_instance = context["ti"]
    registered: RegisteredPackage = task_instance.xcom_pull(task_ids=task_instance.task_id)
    page = console_page(task_instance.log_url, f"model/{model.name}/version/{registered['version']}")
    notify(
        f"{registered['group']} version {registered['version']} waits for approval",
        f"{task_instance.dag_id} registered {registered['arn']} in run {task_instance.run_id}.\n\n"
        f"Log: {task_instance.log_url}\n"
        f"What to do: look at its metrics and its report, then approve or reject it: {page}",
    )


def reject_model(model: ModelConfig, context: Context, *, gates: list[Verdict]) -> list[str]:
    """Notifies people which gates were missed, and by how much."""
    missed = [explain(verdict) for verdict in gates if not verdict["passed"]]
    advice = (
        "What to do: the evaluation report shows each metric by slice and beside production. Provide more or repaired "
        f"data, or other hyperparameters; change a gate in models/{model.name}/model.yaml only if its bound is wrong "
        f"(make sabotage MODEL={model.name} shows what it refuses)."
    )
    lines = "\n".join([f"Run {context['run_id']}.", *missed, advice])
    subject = f"{context['dag'].dag_id}: rejected, nothing registered"
    notify(subject, lines, group=subject)
    return missed


def track_model_version(
    model: ModelConfig, context: Context, *, evaluated: JobResult, registered: RegisteredPackage
) -> Request:
    """The job that registers the version in MLflow.

    Raises:
        AirflowSkipException: the environment has no MLflow, or this run was not tracked.
    """
    model, environment, run, _ = _pinned(model, context)
    result: Evaluation = evaluated["result"]
    run_id = result.get("mlflow_run_id")
    if not environment.mlflow_tracking_uri or not run_id:
        raise AirflowSkipException(
            f"nothing to register in MLflow: mlflow_tracking_uri is {environment.mlflow_tracking_uri}, the training's "
            f"run there is {run_id}. If it should be tracked, the training job's log says why it was not."
        )
    return requests.track_model_version(
        model, environment, run, mlflow_run_id=run_id, model_package_arn=registered["arn"]
    )


def record_training(model: ModelConfig, context: Context) -> None:
    """Records what this training was made of, for the next ``plan_training``."""
    model, environment, run, files = _pinned(model, context)
    s3 = s3_client(environment)
    made_of = ingredients(model, context["params"], s3, environment, files)
    registered = context["ti"].xcom_pull(task_ids="register_model")
    outcome = f"registered version {registered['version']}" if registered else "missed its gates"
    write_last(s3, environment, model, run, made_of, outcome)
    costs.sum_up(model, context, environment, s3)


def _begin(model: ModelConfig, context: Context) -> tuple[ModelConfig, MlEnvironment, Run]:
    """The model and the environment of the code that the run is pinned to, and the run's folder, where its raw data is
    pinned too."""
    environment, run = current_run(context)
    s3 = s3_client(environment)
    pinned: Code = read_record(environment, run.code, by="plan_training")
    environment = pin(environment, pinned["code_hash"], pinned["image_uri"], pinned.get("git_commit"))
    model = published(environment, model)
    manifest = DataManifest(**pinned, files=_raw_data(model, environment, s3))
    write_text(s3, run.data_manifest, json.dumps(manifest, indent=2))
    return model, environment, run


def _pinned(model: ModelConfig, context: Context) -> tuple[ModelConfig, MlEnvironment, Run, list[RawFile]]:
    """``pinned_run``, with the model of the run's pinned code."""
    environment, run, files = pinned_run(context)
    return published(environment, model), environment, run, files


def _window(context: Context) -> dict[str, str | None]:
    return {name: context["params"][name] for name in ("data_from", "data_to")}


def _raw_data(model: ModelConfig, environment: MlEnvironment, s3: S3Client) -> list[RawFile]:
    prefix = raw_prefix(model.name)
    files = list_raw_data(s3, environment.bucket, prefix)
    if not files:
        wanted = ", ".join(table.file for table in model.data.tables.values())
        raise PermanentError(
            f"s3://{environment.bucket}/{prefix} is empty. Put the raw tables there (plain, .gz, .zst or .parquet) and "
            f"clear this task: {wanted}."
        )
    return files


def _forced(context: Context) -> bool:
    """Whether to register anyway: only with a reason, which the approver reads."""
    return bool(context["params"]["force"] and (context["params"]["reason"] or "").strip())


def _chosen(model: ModelConfig, context: Context) -> dict[str, Any]:
    params = context["params"]
    return {"hyperparameters": given_hyperparameters(model, params), "instance_type": params["instance_type"]}


def _check_params(model: ModelConfig, params: Mapping[str, Any]) -> None:
    requests.chosen_hyperparameters(model, given_hyperparameters(model, params))
    if params["tune"]:
        requests.require_tuning(model)
    if params["data_from"] and params["data_to"] and params["data_from"] > params["data_to"]:
        raise RequestError(f"data_from {params['data_from']} is after data_to {params['data_to']}")
