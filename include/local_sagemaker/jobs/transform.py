"""Batch transform jobs: the operations, and how one runs: `transform_run` sends the data through the model."""

from include.local_sagemaker.core import quotas
from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import MODEL, TRANSFORM_JOB, Json
from include.local_sagemaker.endpoints.hosting import containers_of
from include.local_sagemaker.http.routing import operation
from include.local_sagemaker.jobs.job_queue import JobQueue, stop_job
from include.local_sagemaker.jobs.transform_records import BadRecordError, Processing

LARGEST_PAYLOAD_MB = 100
MOST_INSTANCES = 100


def _absent(name: str) -> str:
    return f"Could not find requested job with name: {name}"


@operation("CreateTransformJob")
def create_transform_job(region: Region, request: Json) -> Json:
    _check(request)
    model_name = request["ModelName"]
    model = region.get(MODEL, model_name, f'Could not find model "{region.arn(MODEL, model_name)}".')
    containers = containers_of(region, model)
    if len(containers) != 1:
        raise ValidationException(
            f'Model "{model_name}" has {len(containers)} containers: the local SageMaker runs models of one container.'
        )
    if "ModelDataSource" in containers[0]:
        raise ValidationException(
            f'Model "{model_name}" has a ModelDataSource, which batch transform does not support; give a ModelDataUrl.'
        )
    name = request["TransformJobName"]
    used = quotas.instances("transform", request["TransformResources"])
    body = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
        | request.get("DataProcessing", {}),
        "TransformJobStatus": "InProgress",
        "_Container": containers[0],
        "_Instances": used,
    }
    with quotas.within(region, used):
        document = region.create(TRANSFORM_JOB, name, body, tags=request.get("Tags", ()))
    JobQueue.of(region.service).submit(region, TRANSFORM_JOB, name)
    return document


def _check(request: Json) -> None:
    payload, concurrent = request.get("MaxPayloadInMB", 6), request.get("MaxConcurrentTransforms", 1)
    if payload * max(concurrent, 1) > LARGEST_PAYLOAD_MB:
        raise ValidationException(
            f"MaxConcurrentTransforms ({concurrent}) * MaxPayloadInMB ({payload}) must not exceed "
            f"{LARGEST_PAYLOAD_MB} MB."
        )
    if (count := request["TransformResources"]["InstanceCount"]) > MOST_INSTANCES:
        raise ValidationException(f"InstanceCount ({count}) must not exceed {MOST_INSTANCES}.")
    try:
        Processing.from_request(request)
    except BadRecordError as error:
        raise ValidationException(f"DataProcessing is invalid: {error}.") from error


@operation("DescribeTransformJob")
def describe_transform_job(region: Region, request: Json) -> Json:
    return region.get(TRANSFORM_JOB, request["TransformJobName"], _absent(request["TransformJobName"]))


@operation("ListTransformJobs")
def list_transform_jobs(region: Region, request: Json) -> Json:
    jobs, token = region.list(TRANSFORM_JOB, request)
    return {"TransformJobSummaries": jobs, "NextToken": token}


@operation("StopTransformJob")
def stop_transform_job(region: Region, request: Json) -> None:
    name = request["TransformJobName"]
    stop_job(region, TRANSFORM_JOB, name, _absent(name))
