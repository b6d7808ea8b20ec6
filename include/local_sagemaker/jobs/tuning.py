"""Hyperparameter tuning jobs: the operations; `tuning_run` starts and watches their training jobs."""

from collections import Counter

from include.local_sagemaker.core import quotas
from include.local_sagemaker.core.errors import ResourceNotFound, ValidationException
from include.local_sagemaker.core.paging import Part, page
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import TUNING_JOB, Json
from include.local_sagemaker.http.routing import operation
from include.local_sagemaker.jobs.training import usage_of
from include.local_sagemaker.jobs.training_checks import check_resources
from include.local_sagemaker.jobs.tuning_run import (
    Tunings,
    definitions_of,
    objective_of,
    ranges_of,
    resources_of,
    training_job_summaries,
)
from include.local_sagemaker.jobs.tuning_search import BadRangesError, check_ranges, grid

LARGEST_GRID = 1000
_TAKEN = (
    "Hyperparameter tuning job names must be unique within an AWS account and region, and a hyperparameter tuning job "
    "with this name already exists ({arn})"
)


def _tuning_job(region: Region, name: str) -> Json:
    document = region.find(TUNING_JOB, name)
    if document is None:
        raise ResourceNotFound(f"Amazon SageMaker can't find a tuning job with the name {name}. Check its name.")
    return document


@operation("CreateHyperParameterTuningJob")
def create_tuning_job(region: Region, request: Json) -> Json:
    _check(request)
    name, config = request["HyperParameterTuningJobName"], request["HyperParameterTuningJobConfig"]
    counters = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    body = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "HyperParameterTuningJobStatus": "InProgress",
        "TrainingJobStatusCounters": counters,
        "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
        "Strategy": config["Strategy"],
        "ResourceLimits": config["ResourceLimits"],
        "_Children": [],
    }
    with quotas.within(region, _instances_at_once(request)):
        document = region.create(TUNING_JOB, name, body, tags=request.get("Tags", ()), taken=_TAKEN)
    Tunings.of(region.service).submit(region, name)
    return document


def _instances_at_once(request: Json) -> dict[str, Counter[str]]:
    """The most that its training jobs use together, by usage and type; several definitions take turns."""
    definitions = definitions_of(request)
    found: dict[str, Counter[str]] = {}
    for number in range(request["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"]):
        definition = definitions[number % len(definitions)]
        usage = usage_of(definition)
        for kind, count in quotas.instances(usage, resources_of(definition))[usage].items():
            found.setdefault(usage, Counter())[kind] += count
    return found


def _check(request: Json) -> None:
    config = request["HyperParameterTuningJobConfig"]
    if ("TrainingJobDefinition" in request) == ("TrainingJobDefinitions" in request):
        raise ValidationException("Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be provided.")
    for definition in definitions_of(request):
        if ("ResourceConfig" in definition) == ("HyperParameterTuningResourceConfig" in definition):
            raise ValidationException(
                "Exactly one of ResourceConfig and HyperParameterTuningResourceConfig must be provided."
            )
        check_resources(definition.get("ResourceConfig") or definition["HyperParameterTuningResourceConfig"])
        _check_objective(request, definition)
        ranges = ranges_of(request, definition)
        try:
            check_ranges(ranges, config["Strategy"])
        except BadRangesError as error:
            raise ValidationException(f"ParameterRanges are invalid: {error}.") from error
        static = set(definition.get("StaticHyperParameters", {}))
        both = sorted(static & {one["Name"] for kind in ranges.values() for one in kind})
        if both:
            raise ValidationException(f"Hyperparameters are both static and tuned: {', '.join(both)}.")
    _check_limits(request, config)


def _check_objective(request: Json, definition: Json) -> None:
    objective = objective_of(request, definition)
    if objective is None:
        raise ValidationException("HyperParameterTuningJobObjective must be provided.")
    metrics = [one["Name"] for one in definition["AlgorithmSpecification"].get("MetricDefinitions", [])]
    if objective["MetricName"] not in metrics:
        raise ValidationException(
            f"The objective metric {objective['MetricName']} is not among the MetricDefinitions: {', '.join(metrics)}."
        )


def _check_limits(request: Json, config: Json) -> None:
    limits = config["ResourceLimits"]
    most = limits.get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        size = sum(len(grid(ranges_of(request, definition))) for definition in definitions_of(request))
        if size > LARGEST_GRID:
            raise ValidationException(f"The grid has {size} combinations; {LARGEST_GRID} are allowed.")
        if most not in (None, size):
            raise ValidationException(
                f"MaxNumberOfTrainingJobs ({most}) must be left out or equal the number of combinations ({size})."
            )
    elif most is None:
        raise ValidationException(f"MaxNumberOfTrainingJobs is required for the strategy {config['Strategy']}.")
    elif limits["MaxParallelTrainingJobs"] > most:
        raise ValidationException(
            f"MaxParallelTrainingJobs ({limits['MaxParallelTrainingJobs']}) must not be greater than "
            f"MaxNumberOfTrainingJobs ({most})."
        )


@operation("DescribeHyperParameterTuningJob")
def describe_tuning_job(region: Region, request: Json) -> Json:
    return _tuning_job(region, request["HyperParameterTuningJobName"])


@operation("ListHyperParameterTuningJobs")
def list_tuning_jobs(region: Region, request: Json) -> Json:
    jobs, token = region.list(TUNING_JOB, request)
    return {"HyperParameterTuningJobSummaries": jobs, "NextToken": token}


@operation("ListTrainingJobsForHyperParameterTuningJob")
def list_training_jobs_of_tuning_job(region: Region, request: Json) -> Json:
    document = _tuning_job(region, request["HyperParameterTuningJobName"])
    order = request.get("SortBy", "Name")
    summaries = training_job_summaries(region, document)
    if order == "FinalObjectiveMetricValue":
        summaries = [one for one in summaries if "FinalHyperParameterTuningJobObjectiveMetric" in one]
    if "StatusEquals" in request:
        summaries = [one for one in summaries if one["TrainingJobStatus"] == request["StatusEquals"]]

    def key(summary: Json) -> tuple[Part, ...]:
        name = summary["TrainingJobName"]
        if order == "FinalObjectiveMetricValue":
            return summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"], name
        if order == "CreationTime":
            return summary["CreationTime"], name
        return (summary["TrainingJobStatus"], name) if order == "Status" else (name,)

    shown, token = page(summaries, request, key, descending=request.get("SortOrder") == "Descending")
    return {"TrainingJobSummaries": shown, "NextToken": token}


@operation("StopHyperParameterTuningJob")
def stop_tuning_job(region: Region, request: Json) -> None:
    name = request["HyperParameterTuningJobName"]
    status = _tuning_job(region, name)["HyperParameterTuningJobStatus"]
    stopping = {"HyperParameterTuningJobStatus": "Stopping"}
    if status != "Stopping" and region.update(TUNING_JOB, name, stopping, when=("InProgress",)) is None:
        raise ValidationException(f"The request was rejected because the tuning job is in status {status}.")


@operation("DeleteHyperParameterTuningJob")
def delete_tuning_job(region: Region, request: Json) -> None:
    name = request["HyperParameterTuningJobName"]
    status = _tuning_job(region, name)["HyperParameterTuningJobStatus"]
    if status in ("InProgress", "Stopping"):
        raise ValidationException(f"The request was rejected because the tuning job is in status {status}.")
    region.delete(TUNING_JOB, name)
