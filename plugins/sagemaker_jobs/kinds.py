"""What differs between SageMaker's kinds of job: names of operations and fields, and how to read a description."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, cast

from sagemaker_jobs.account import account

Json = dict[str, Any]  # an object of a JSON document, small enough for XCom
Description = Json  # an answer of a Describe call
Request = Json  # arguments of a Create call


class JobResult(TypedDict, total=False):
    """What an operator returns about a job: small JSON for later tasks and people. Kinds omit what does not apply.

    Times are ISO 8601; ``billable_seconds`` is per instance, times the number of instances; ``cost_usd`` is the
    on-demand price by ``account.yaml``, or "unknown". Spot training is billed for fewer seconds, which this reflects.
    ``result`` is the content of the JSON file that the operator was told to read.
    """

    name: str
    arn: str
    kind: str
    status: str
    instance_type: str
    instance_count: int
    billable_seconds: int
    cost_usd: float | str
    created: str
    started: str
    ended: str
    artifact: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    metrics: dict[str, float]
    report: str  # address of the page for people
    result: Any
    best_training_job: str  # of a tuning job; comes with its hyperparameters
    hyperparameters: dict[str, str]
    model_name: str  # of a transform job; comes with the folder of its answers
    output: str


# Provisioning, image pull, upload of outputs and stopping are not part of the runtime limit that SageMaker enforces.
OVERHEAD = timedelta(hours=1)


@dataclass(frozen=True)
class JobKind:
    """One kind of job.

    Args:
        word: what people and links call it.
        resource: the prefix of its fields, as in ``TrainingJobName``.
        api: the suffix of its operations in boto3, as in ``describe_training_job``.
        log_group: where CloudWatch keeps its log.
        console: its path in the SageMaker console.
        longest_name: how many characters SageMaker allows.
    """

    word: str
    resource: str
    api: str
    log_group: str
    console: str
    longest_name: int = 63

    @property
    def name_field(self) -> str:
        return f"{self.resource}Name"

    def status(self, description: Description) -> str:
        status: str = description[f"{self.resource}Status"]
        return status

    def is_over(self, description: Description) -> bool:
        return self.status(description) in ("Completed", "Failed", "Stopped")

    def started(self, description: Description) -> datetime | None:
        """When it began to cost; None while it waits for instances."""
        return description.get(f"{self.word.capitalize()}StartTime")

    def ended(self, description: Description) -> datetime | None:
        return description.get(f"{self.word.capitalize()}EndTime") or description.get("HyperParameterTuningEndTime")


PROCESSING = JobKind(
    "processing", "ProcessingJob", "processing_job", "/aws/sagemaker/ProcessingJobs", "processing-jobs"
)
TRAINING = JobKind("training", "TrainingJob", "training_job", "/aws/sagemaker/TrainingJobs", "jobs")
TUNING = JobKind(
    "tuning",
    "HyperParameterTuningJob",
    "hyper_parameter_tuning_job",
    "/aws/sagemaker/TrainingJobs",
    "hyper-tuning-jobs",
    longest_name=32,
)
TRANSFORM = JobKind("transform", "TransformJob", "transform_job", "/aws/sagemaker/TransformJobs", "transform-jobs")


class EndpointKind(JobKind):
    """An endpoint, for waiting purposes: it is over when no change is in progress."""

    def is_over(self, description: Description) -> bool:
        return self.status(description) not in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


ENDPOINT = EndpointKind("endpoint", "Endpoint", "endpoint", "/aws/sagemaker/Endpoints", "endpoints")
KINDS = {kind.word: kind for kind in (PROCESSING, TRAINING, TUNING, TRANSFORM, ENDPOINT)}


def longest_duration(description: Description) -> timedelta:
    """How long the job may take, by its limits plus SageMaker's overhead; if it takes longer, something is wrong."""
    definition = description.get("TrainingJobDefinition", description)
    limits = definition.get("StoppingCondition", {})
    # a day is SageMaker's own default
    seconds = limits.get("MaxWaitTimeInSeconds") or limits.get("MaxRuntimeInSeconds") or 24 * 60 * 60
    rounds = 1
    if "HyperParameterTuningJobConfig" in description:
        resources = description["HyperParameterTuningJobConfig"]["ResourceLimits"]
        rounds = -(-resources["MaxNumberOfTrainingJobs"] // resources["MaxParallelTrainingJobs"])
    return rounds * (timedelta(seconds=seconds) + OVERHEAD)


def running_minutes(kind: JobKind, description: Description) -> float:
    """Minutes that the job took, or has run so far."""
    began = kind.started(description) or description["CreationTime"]
    return ((kind.ended(description) or datetime.now(UTC)) - began).total_seconds() / 60


def instances(description: Description) -> tuple[str | None, int]:
    """The job's instance type and count."""
    definition = description.get("TrainingJobDefinition", description)
    resources = (
        definition.get("ResourceConfig")
        or definition.get("TransformResources")
        or definition.get("ProcessingResources", {}).get("ClusterConfig", {})
    )
    return resources.get("InstanceType"), resources.get("InstanceCount", 1)


def compact(kind: JobKind, description: Description) -> JobResult:
    """The summary of a job that goes into XCom, for later tasks and people."""
    instance_type, instance_count = instances(description)
    began, ended = kind.started(description), kind.ended(description)
    billable = _billable_seconds(description, began, ended, instance_count)
    arn = description[f"{kind.resource}Arn"]
    inputs = description.get("ProcessingInputs", [])
    outputs = description.get("ProcessingOutputConfig", {}).get("Outputs", [])
    summary = {
        "name": description[kind.name_field],
        "arn": arn,
        "kind": kind.word,
        "status": kind.status(description),
        "instance_type": instance_type,
        "instance_count": instance_count,
        "billable_seconds": billable,
        "cost_usd": account().cost(arn.split(":")[3], instance_type, billable),
        "created": _iso(description["CreationTime"]),
        "started": _iso(began),
        "ended": _iso(ended),
        "artifact": description.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
        "inputs": {each["InputName"]: each["S3Input"]["S3Uri"] for each in inputs if "S3Input" in each},
        "outputs": {each["OutputName"]: each["S3Output"]["S3Uri"] for each in outputs if "S3Output" in each},
        "metrics": {metric["MetricName"]: metric["Value"] for metric in description.get("FinalMetricDataList", [])},
    }
    return cast(JobResult, {name: value for name, value in summary.items() if value not in (None, {})})


def in_words(result: JobResult, pages: Json) -> list[str]:
    """A completed job's outcome, for its task's log: time and price, metrics, addresses.

    Args:
        pages: of the job and its log.
    """
    usd, seconds = result.get("cost_usd"), result.get("billable_seconds")
    price = f"{usd} USD on {result.get('instance_type')}" if isinstance(usd, int | float) else "its price is not known"
    wrote = result.get("result")
    metrics = result.get("metrics") or (wrote.get("metrics") if isinstance(wrote, dict) else None) or {}
    shown = ", ".join(f"{name} {value:.4g}" for name, value in metrics.items() if isinstance(value, int | float))
    links = {**pages, **({"report": result["report"]} if "report" in result else {})}
    return [
        f"{result['name']} completed: {'unknown' if seconds is None else seconds} billable seconds, {price}",
        *([f"metrics: {shown}"] if shown else []),
        # a local SageMaker has one page for both
        *(f"{what}: {address}" for what, address in links.items() if (what, address) != ("logs", links["console"])),
    ]


def _billable_seconds(
    description: Description, began: datetime | None, ended: datetime | None, instance_count: int
) -> int | None:
    if "ConsumedResources" in description:  # a tuning job's sum over its training jobs
        return int(description["ConsumedResources"]["RuntimeInSeconds"])
    if "BillableTimeInSeconds" in description:  # per instance
        return int(description["BillableTimeInSeconds"]) * instance_count
    return round((ended - began).total_seconds()) * instance_count if began and ended else None


def _iso(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat(timespec="seconds") if time else None
