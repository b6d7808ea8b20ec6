"""What the tasks of a training run ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sagemaker import SageMakerHook
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.models.config import ModelConfig
from include.platform.environment import ml_environment
from include.platform.notifications import notify
from include.platform.raw_files import lineage_entries, list_raw_data, manifest_digest
from include.platform.request_parts import Request, RequestError, group_name
from include.platform.run_context import PINNED, Job, begun, here
from include.platform.storage import raw_prefix, split_uri, training_job_of
from include.registry import requests as registry
from include.registry.champion import find_champion
from include.train import requests
from include.train.gates import Verdict

METADATA_LIMIT = 50 - 8  # entries that the Model Registry keeps with a version, less those for its promotion


def raw_data_validation(model: ModelConfig, context: Context) -> Request:
    """The first job's request. Params are checked before anything is paid for, and what raw data there is is recorded.

    Raises:
        RequestError: params that contradict each other or the model.
        AirflowFailException: there is no raw data.
    """
    environment, run = here(context)
    _check_params(model, context["params"])
    prefix = raw_prefix(model.name)
    s3 = S3Hook(region_name=environment.region)
    files = list_raw_data(s3.conn, environment.bucket, prefix)
    if not files:
        wanted = ", ".join(table.file for table in model.data.tables.values())
        raise AirflowFailException(
            f"s3://{environment.bucket}/{prefix} is empty. Put the raw tables there (plain or .gz) and clear this "
            f"task: {wanted}."
        )
    manifest = {**environment.model_dump(include=PINNED), "files": files}
    bucket, key = split_uri(run.data_manifest)
    s3.load_string(json.dumps(manifest, indent=2), key, bucket, replace=True)
    window = {name: context["params"][name] for name in ("data_from", "data_to")}
    return requests.validate_raw_data(model, environment, run, **window)


def training(builder: Callable[..., Request], model: ModelConfig, context: Context) -> Request:
    environment, run, _ = begun(context)
    chosen = {name: context["params"][name] for name in ("hyperparameters", "instance_type")}
    return builder(model, environment, run, **chosen)


def evaluation(model: ModelConfig, context: Context, *, trained: Job | None, tuned: Job | None) -> Request:
    """The candidate beside the champion of this moment, if there is one."""
    environment, run, _ = begun(context)
    champion = find_champion(SageMakerHook(region_name=environment.region).conn, group_name(model))
    return requests.evaluate_model(
        model,
        environment,
        run,
        artifact=_candidate(trained, tuned)["artifact"],
        champion=champion.artifact if champion else None,
    )


def package_group(model: ModelConfig, context: Context) -> Request:
    return registry.model_package_group(model, ml_environment())


def registration(model: ModelConfig, context: Context, *, evaluated: Job, gates: list[Verdict]) -> Request:
    """The model package with its lineage: what code, what data, which run and jobs, which champion it was held to."""
    environment, run, files = begun(context)
    artifact = evaluated["inputs"]["artifact"]
    lineage = {
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "code_hash": environment.code_hash,
        "training_job": training_job_of(artifact),
        "evaluation_job": evaluated["name"],
        "evaluation_report": run.evaluation_report,
        "mlflow_run_id": evaluated["result"].get("mlflow_run_id"),
        "champion": evaluated["inputs"].get("champion"),
        "forced_past_champion": "true" if any(verdict.get("forced") for verdict in gates) else None,
        "data_manifest": run.data_manifest,
        "data_sha256": manifest_digest(files),
    }
    metadata = {name: value for name, value in lineage.items() if value}
    metadata |= {
        f"metric_{verdict['metric']}": f"{verdict['value']:.6g}" for verdict in gates if verdict["value"] is not None
    }
    metadata |= lineage_entries(files, METADATA_LIMIT - len(metadata))
    metrics = evaluated["result"]["metrics"]
    return registry.model_package(model, environment, run, artifact=artifact, metadata=metadata, metrics=metrics)


def model_version(model: ModelConfig, context: Context, *, evaluated: Job, registered: Job) -> Request:
    """The registered package's version in MLflow.

    Raises:
        AirflowSkipException: the environment tracks nothing, or this run was not tracked.
    """
    environment, run, _ = begun(context)
    run_id = evaluated["result"].get("mlflow_run_id")
    if not environment.mlflow_tracking_uri or not run_id:
        raise AirflowSkipException(
            f"nothing to keep in MLflow: mlflow_tracking_uri is {environment.mlflow_tracking_uri}, and the training's "
            f"run there is {run_id}. If it should be tracked, the training job's log says why it was not."
        )
    return requests.track_model_version(
        model, environment, run, mlflow_run_id=run_id, model_package_arn=registered["arn"]
    )


def notify_registration(context: Any) -> None:
    """``on_success_callback`` of the registration."""
    task_instance = context["ti"]
    registered = task_instance.xcom_pull(task_ids=task_instance.task_id)
    notify(
        f"{registered['group']} version {registered['version']} waits for approval",
        f"{task_instance.dag_id} registered {registered['arn']} in run {task_instance.run_id}.\n\n"
        f"Log: {task_instance.log_url}\nWhat to do: look at its metrics and its report, then approve or reject it.",
    )


def _candidate(trained: Job | None, tuned: Job | None) -> Job:
    """The one of the two that ran; the other was skipped and left nothing."""
    candidate = trained or tuned
    if candidate is None:
        raise AirflowFailException(
            "neither train_model nor tune_model left a result; clear the one that should have run"
        )
    return candidate


def _check_params(model: ModelConfig, params: Mapping[str, Any]) -> None:
    requests.chosen_hyperparameters(model, params["hyperparameters"])
    if params["tune"]:
        requests.require_tuning(model)
    if params["data_from"] and params["data_to"] and params["data_from"] > params["data_to"]:
        raise RequestError(f"data_from {params['data_from']} is after data_to {params['data_to']}")
