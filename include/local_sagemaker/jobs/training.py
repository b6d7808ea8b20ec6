"""Training jobs: the operations, and how one runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from include.local_sagemaker.containers.role import check_keys_and_network
from include.local_sagemaker.containers.s3_transfer import (
    TransferError,
    continuous_uploads,
    files_below,
    has_objects,
    join_uri,
    upload_archive,
    upload_tree,
)
from include.local_sagemaker.containers.sandbox import Container, UnknownImageError
from include.local_sagemaker.core import quotas
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import TRAINING_JOB, Json
from include.local_sagemaker.http.routing import operation
from include.local_sagemaker.jobs import warm_pools
from include.local_sagemaker.jobs.channels import Channel, fetch
from include.local_sagemaker.jobs.job_queue import (
    ACTIVE,
    LONGEST_REASON,
    Job,
    JobQueue,
    Outcome,
    client_error,
    hosts_of,
    runner,
    stop_job,
)
from include.local_sagemaker.jobs.training_checks import DEFAULT_MAX_RUNTIME, check_training
from include.local_sagemaker.jobs.training_config import toolkit_variables, write_config
from include.local_sagemaker.jobs.training_metrics import Metrics

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ABSENT = "Requested resource not found."
_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Restarting": "Restarting the training job",
}


@operation("CreateTrainingJob")
def create_training_job(region: Region, request: Json) -> Json:
    check_training(request)
    name = request["TrainingJobName"]
    used = quotas.instances(usage_of(request), request["ResourceConfig"])
    stopping = {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME, **request.get("StoppingCondition", {})}
    body = {
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": False,
        "EnableManagedSpotTraining": False,
        **{key: value for key, value in request.items() if key != "Tags"},
        "StoppingCondition": stopping,
        "TrainingJobStatus": "InProgress",
        **_enter([], "Starting"),
        "_Instances": used,
    }
    with quotas.within(region, used):
        if warm_pools.claim(region, name, request):
            body["_StartUp"] = region.settings.start_up.of_warm_training
        document = region.create(TRAINING_JOB, name, body, tags=request.get("Tags", ()))
    JobQueue.of(region.service).submit(region, TRAINING_JOB, name)
    return document


def usage_of(request: Json) -> str:
    """Which quota a training job, or one of a tuning job's definition, counts against."""
    return "spot" if request.get("EnableManagedSpotTraining") else "training"


@operation("DescribeTrainingJob")
def describe_training_job(region: Region, request: Json) -> Json:
    return warm_pools.shown(region.get(TRAINING_JOB, request["TrainingJobName"], ABSENT))


@operation("StopTrainingJob")
def stop_training_job(region: Region, request: Json) -> None:

    def entering(document: Json) -> Json:
        return _enter(document["SecondaryStatusTransitions"], "Stopping")

    stop_job(region, TRAINING_JOB, request["TrainingJobName"], ABSENT, entering)


@operation("ListTrainingJobs")
def list_training_jobs(region: Region, request: Json) -> Json:
    jobs, token = region.list(TRAINING_JOB, request)
    return {"TrainingJobSummaries": jobs, "NextToken": token}


def _enter(transitions: list[Json], status: str, message: str | None = None, **more: object) -> Json:
    """The changes that move a training job to a secondary status. A terminal one begins and ends at the same time."""
    now = time.time()
    past = [{**entry, "EndTime": entry.get("EndTime", now)} for entry in transitions]
    entry = {"Status": status, "StartTime": now, "StatusMessage": message or _MESSAGES[status]}
    if status in {"Completed", "Failed", "Stopped", "MaxRuntimeExceeded"}:
        entry["EndTime"] = now
    return {"SecondaryStatus": status, "SecondaryStatusTransitions": [*past, entry], **more}


def _move(job: Job, status: str, message: str | None = None, **more: object) -> None:
    job.update(lambda document: _enter(document["SecondaryStatusTransitions"], status, message, **more))


@runner(TRAINING_JOB)
def run_training_job(job: Job) -> None:
    document = job.document()
    if job.stop_requested.is_set():
        _end(job, "Stopped", "Stopped")
        return
    if job.restarted:
        _move(job, "Restarting")
    hosts = hosts_of(_instance_count(document["ResourceConfig"]))
    roots = [job.folder / host for host in hosts]
    try:
        outcome, metrics = _execute(job, document, hosts, roots)
    except (TransferError, UnknownImageError) as error:
        _end(job, "Failed", "Failed", client_error(error))
        return
    if outcome is None:
        _end(job, "Stopped", "Stopped")
        return
    times = {"TrainingEndTime": time.time(), **metrics.final()}
    job.update(times)
    metrics.publish()
    _upload_and_end(job, document, roots, outcome)


def _instance_count(resources: Json) -> int:
    groups: list[Json] = resources.get("InstanceGroups", [])
    return sum(group["InstanceCount"] for group in groups) or int(resources["InstanceCount"])


def _execute(job: Job, document: Json, hosts: list[str], roots: list[Path]) -> tuple[Outcome | None, Metrics]:
    """Downloads and trains; no outcome if the job was stopped before anything ran."""
    told = document["HyperParameters"].get("_tuning_objective_metric") if "TuningJobArn" in document else None
    metrics = Metrics(job, document["AlgorithmSpecification"].get("MetricDefinitions", ()), told)
    _move(job, "Downloading", TrainingStartTime=time.time())
    for root in roots:
        for directory in ("input/config", "input/data", "model", "output/data"):
            (root / directory).mkdir(parents=True)
    channels = [
        Channel(
            source["S3Uri"],
            f"input/data/{channel['ChannelName']}",
            source["S3DataType"],
            source.get("S3DataDistributionType", "FullyReplicated"),
        )
        for channel in document.get("InputDataConfig", ())
        for source in (channel["DataSource"]["S3DataSource"],)
    ]
    check_keys_and_network(job.region, key=document["OutputDataConfig"].get("KmsKeyId"), vpc=document.get("VpcConfig"))
    fetch(job, channels, roots, document["RoleArn"])
    checkpoints = document.get("CheckpointConfig")
    if checkpoints is not None:
        _fetch_checkpoints(job, checkpoints, roots)
    if job.stop_requested.is_set():
        return None, metrics
    for host, root in zip(hosts, roots, strict=True):
        write_config(root / "input/config", document, hosts, host)
    _move(job, "Training")
    containers = [
        (_container(job, document, root), job.open_log(LOG_GROUP, host, metrics.read if host == hosts[0] else None))
        for host, root in zip(hosts, roots, strict=True)
    ]
    places = [(_checkpoint_directory(root, checkpoints), checkpoints["S3Uri"]) for root in roots] if checkpoints else []
    with continuous_uploads(job.region.client("s3"), places):
        return job.run_containers(containers, document["StoppingCondition"]["MaxRuntimeInSeconds"]), metrics


def _checkpoint_directory(root: Path, checkpoints: Json) -> Path:
    local: str = checkpoints.get("LocalPath", "/opt/ml/checkpoints")
    return root / local.removeprefix("/opt/ml").lstrip("/")


def _fetch_checkpoints(job: Job, checkpoints: Json, roots: list[Path]) -> None:
    for root in roots:
        _checkpoint_directory(root, checkpoints).mkdir(parents=True, exist_ok=True)
    if has_objects(job.region.client("s3"), checkpoints["S3Uri"]):
        directory = _checkpoint_directory(roots[0], checkpoints).relative_to(roots[0]).as_posix()
        fetch(job, [Channel(checkpoints["S3Uri"], directory)], roots, "")


def _container(job: Job, document: Json, root: Path) -> Container:
    algorithm = document["AlgorithmSpecification"]
    environment = {
        "TRAINING_JOB_NAME": job.name,
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
        **(toolkit_variables(document) if job.region.service.sandbox.rewrites else {}),
        **document.get("Environment", {}),
    }
    command = [*algorithm.get("ContainerEntrypoint", ["train"]), *algorithm.get("ContainerArguments", ())]
    return Container(algorithm["TrainingImage"], command, environment, root)


def _upload_and_end(job: Job, document: Json, roots: list[Path], outcome: Outcome) -> None:
    failed = outcome.ending == "ended" and outcome.exit_code != 0
    reason = _failure_reason(roots[outcome.failed_host], outcome.exit_code) if failed else None
    _move(job, "Uploading")
    try:
        artifacts = _upload(job, document, roots, with_model=not failed)
    except TransferError as error:
        _end(job, "Failed", "Failed", reason or client_error(error))
        return
    if artifacts is not None:
        job.update({"ModelArtifacts": {"S3ModelArtifacts": artifacts}})
    if failed:
        _end(job, "Failed", "Failed", reason)
    elif outcome.ending == "timeout":
        _end(job, "Stopped", "MaxRuntimeExceeded")
    elif outcome.ending == "stopped":
        _end(job, "Stopped", "Stopped")
    else:
        _end(job, "Completed", "Completed")


def _failure_reason(root: Path, code: int) -> str:
    """In SageMaker's words, with what the program wrote to /opt/ml/output/failure."""
    file = root / "output/failure"
    said = file.read_text(errors="replace").strip() if file.is_file() else ""
    ending = f", exit code: {code}"
    return f"AlgorithmError: {said}"[: LONGEST_REASON - len(ending)] + ending


def _upload(job: Job, document: Json, roots: list[Path], *, with_model: bool) -> str | None:
    """The URI of the model, if there is one."""
    s3 = job.region.client("s3")
    config = document["OutputDataConfig"]
    target = join_uri(config["S3OutputPath"], job.name, "output")
    packed = config.get("CompressionType", "GZIP") == "GZIP"
    outputs = [root / "output/data" for root in roots]
    if any(True for directory in outputs for _ in files_below(directory)):
        _upload_directories(s3, outputs, target, "output", packed=packed)
    if not with_model:
        return None
    return _upload_directories(s3, [root / "model" for root in roots], target, "model", packed=packed)


def _upload_directories(s3: S3Client, directories: list[Path], target: str, name: str, *, packed: bool) -> str:
    if packed:
        uri = join_uri(target, f"{name}.tar.gz")
        upload_archive(s3, directories, uri)
        return uri
    uri = join_uri(target, name) + "/"
    for directory in directories:
        upload_tree(s3, directory, uri)
    return uri


def _end(job: Job, status: str, secondary: str, reason: str | None = None) -> None:
    def changes(document: Json) -> Json:
        now = time.time()
        more: Json = {"TrainingJobStatus": status, "FailureReason": reason}
        if "TrainingStartTime" in document:
            ended = document.get("TrainingEndTime", now)
            seconds = max(1, round(ended - document["TrainingStartTime"]))
            more |= warm_pools.retained(document, now)
            more |= {"TrainingEndTime": ended, "TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        return _enter(document["SecondaryStatusTransitions"], secondary, reason, **more)

    job.region.update(TRAINING_JOB, job.name, changes, when=ACTIVE)
