"""Processing jobs: the operations, and how one runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from include.local_sagemaker.containers.role import check_keys_and_network
from include.local_sagemaker.containers.s3_transfer import TransferError, continuous_uploads, upload_tree
from include.local_sagemaker.containers.sandbox import OPT_ML, Container, UnknownImageError
from include.local_sagemaker.core import quotas
from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import PROCESSING_JOB, Json
from include.local_sagemaker.http.routing import operation
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

LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
_BELOW = "/opt/ml/processing/"
_DEFAULT_MAX_RUNTIME = 86400
_TAKEN = "Job name must be unique within an AWS account and region, and a job with this name already exists ({arn})"


def _absent(name: str) -> str:
    return f"Could not find requested job with name: {name}"


@operation("CreateProcessingJob")
def create_processing_job(region: Region, request: Json) -> Json:
    _check(request)
    name = request["ProcessingJobName"]
    used = quotas.instances("processing", request["ProcessingResources"]["ClusterConfig"])
    body = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "StoppingCondition": request.get("StoppingCondition", {"MaxRuntimeInSeconds": _DEFAULT_MAX_RUNTIME}),
        "ProcessingJobStatus": "InProgress",
        "_Instances": used,
    }
    with quotas.within(region, used):
        document = region.create(PROCESSING_JOB, name, body, tags=request.get("Tags", ()), taken=_TAKEN)
    JobQueue.of(region.service).submit(region, PROCESSING_JOB, name)
    return document


@operation("DescribeProcessingJob")
def describe_processing_job(region: Region, request: Json) -> Json:
    return region.get(PROCESSING_JOB, request["ProcessingJobName"], _absent(request["ProcessingJobName"]))


@operation("StopProcessingJob")
def stop_processing_job(region: Region, request: Json) -> None:
    name = request["ProcessingJobName"]
    stop_job(region, PROCESSING_JOB, name, _absent(name))


@operation("ListProcessingJobs")
def list_processing_jobs(region: Region, request: Json) -> Json:
    jobs, token = region.list(PROCESSING_JOB, request)
    return {"ProcessingJobSummaries": jobs, "NextToken": token}


def _check(request: Json) -> None:
    inputs = request.get("ProcessingInputs", ())
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    names = [item["InputName"] for item in inputs], [item["OutputName"] for item in outputs]
    for kind, given in zip(("Input", "Output"), names, strict=True):
        for name in given:
            if given.count(name) > 1:
                raise ValidationException(f"{kind} names must be unique within a processing job: {name} is not.")
    for item in inputs:
        if "S3Input" not in item:
            raise ValidationException(f"Input {item['InputName']} must have an S3Input.")
        _check_path(item, item["InputName"], item["S3Input"].get("LocalPath"))
    for item in outputs:
        if "S3Output" not in item:
            raise ValidationException(f"Output {item['OutputName']} must have an S3Output.")
        _check_path(item, item["OutputName"], item["S3Output"].get("LocalPath"))


def _check_path(item: Json, name: str, path: str | None) -> None:
    if path is None:
        if item.get("AppManaged"):
            return
        raise ValidationException(f"LocalPath of {name} is required unless AppManaged is true.")
    if not f"{path}/".startswith(_BELOW) or ".." in Path(path).parts:
        raise ValidationException(f"LocalPath {path} of {name} is invalid: it must be a directory below {_BELOW}")


@runner(PROCESSING_JOB)
def run_processing_job(job: Job) -> None:
    document = job.document()
    if job.stop_requested.is_set():
        _end(job, "Stopped")
        return
    job.update({"ProcessingStartTime": time.time()})
    hosts = hosts_of(document["ProcessingResources"]["ClusterConfig"]["InstanceCount"])
    roots = [job.folder / host for host in hosts]
    try:
        outcome = _execute(job, document, hosts, roots)
        if outcome is not None and outcome.ending == "ended" and outcome.exit_code == 0:
            for uri, directories in _outputs(document, roots, "EndOfJob"):
                for directory in directories:
                    upload_tree(job.region.client("s3"), directory, uri)
    except (TransferError, UnknownImageError) as error:
        _end(job, "Failed", FailureReason=client_error(error))
        return
    if outcome is None or outcome.ending == "stopped":
        _end(job, "Stopped", **_exit_message(roots[0]))
        return
    message = _exit_message(roots[outcome.failed_host])
    if outcome.ending == "timeout":
        longest = document["StoppingCondition"]["MaxRuntimeInSeconds"]
        reason = f"ClientError: The processing job ran longer than MaxRuntimeInSeconds ({longest}) and was stopped."
        _end(job, "Failed", FailureReason=reason, **message)
    elif outcome.exit_code != 0:
        _end(job, "Failed", FailureReason="AlgorithmError: See job logs for more information", **message)
    else:
        _end(job, "Completed", **message)


def _execute(job: Job, document: Json, hosts: list[str], roots: list[Path]) -> Outcome | None:
    """None if the job was stopped before anything ran."""
    for root in roots:
        for directory in ("config", "output", "processing"):
            (root / directory).mkdir(parents=True)
    channels = [
        Channel(
            source["S3Uri"],
            source["LocalPath"].removeprefix(OPT_ML).strip("/"),
            source["S3DataType"],
            source.get("S3DataDistributionType", "FullyReplicated"),
        )
        for source in (item["S3Input"] for item in document.get("ProcessingInputs", ()) if not item.get("AppManaged"))
    ]
    output = document.get("ProcessingOutputConfig", {})
    check_keys_and_network(
        job.region, key=output.get("KmsKeyId"), vpc=document.get("NetworkConfig", {}).get("VpcConfig")
    )
    fetch(job, channels, roots, document["RoleArn"])
    if job.stop_requested.is_set():
        return None
    for _, outputs in _outputs(document, roots):
        for output in outputs:
            output.mkdir(parents=True, exist_ok=True)
    for host, root in zip(hosts, roots, strict=True):
        _write_config(root / "config", document, hosts, host)
    containers = [
        (_container(document, root), job.open_log(LOG_GROUP, host)) for host, root in zip(hosts, roots, strict=True)
    ]
    continuous = _outputs(document, roots, "Continuous")
    places = [(directory, uri) for uri, directories in continuous for directory in directories]
    with continuous_uploads(job.region.client("s3"), places):
        return job.run_containers(containers, document["StoppingCondition"]["MaxRuntimeInSeconds"])


def _outputs(document: Json, roots: list[Path], mode: str | None = None) -> Iterator[tuple[str, list[Path]]]:
    """(URI, each host's directory) of the outputs with an upload mode, or of all."""
    for item in document.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        output = item["S3Output"]
        if not item.get("AppManaged") and mode in {None, output["S3UploadMode"]}:
            below = output["LocalPath"].removeprefix(OPT_ML).strip("/")
            yield output["S3Uri"], [root / below for root in roots]


def _container(document: Json, root: Path) -> Container:
    app = document["AppSpecification"]
    command = [*app.get("ContainerEntrypoint", ()), *app.get("ContainerArguments", ())]
    environment = {
        "PROCESSING_JOB_NAME": document["ProcessingJobName"],
        "PROCESSING_JOB_ARN": document["ProcessingJobArn"],
        **document.get("Environment", {}),
    }
    return Container(app["ImageUri"], command or ["process"], environment, root)


def _write_config(directory: Path, document: Json, hosts: list[str], host: str) -> None:
    kept = (
        "ProcessingJobArn",
        "ProcessingJobName",
        "AppSpecification",
        "Environment",
        "ProcessingInputs",
        "ProcessingOutputConfig",
        "ProcessingResources",
        "RoleArn",
        "StoppingCondition",
    )
    config: Json = {key: document[key] for key in kept if key in document}
    (directory / "processingjobconfig.json").write_text(json.dumps(config))
    resources = {"current_host": host, "hosts": hosts, "network_interface_name": "lo"}
    (directory / "resourceconfig.json").write_text(json.dumps(resources))


def _exit_message(root: Path) -> Json:
    """The ExitMessage: what the program wrote to /opt/ml/output/message."""
    file = root / "output/message"
    if not file.is_file():
        return {}
    return {"ExitMessage": file.read_text(errors="replace").strip()[:LONGEST_REASON]}


def _end(job: Job, status: str, **more: object) -> None:
    changes = {"ProcessingJobStatus": status, "ProcessingEndTime": time.time(), **more}
    job.region.update(PROCESSING_JOB, job.name, changes, when=ACTIVE)
