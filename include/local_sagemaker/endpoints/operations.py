"""The operations on endpoints: they validate and record the desired state, which `live_endpoints` implements."""

from include.local_sagemaker.core import quotas
from include.local_sagemaker.core.errors import ResourceInUse, ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import ENDPOINT, ENDPOINT_CONFIG, MODEL, Json
from include.local_sagemaker.endpoints.changes import check_change, deregister_targets
from include.local_sagemaker.endpoints.deployment import Plan, instances_of
from include.local_sagemaker.endpoints.hosting import containers_of
from include.local_sagemaker.endpoints.live_endpoints import Endpoints
from include.local_sagemaker.http.routing import operation

_CHANGEABLE = ("InService",)


def _endpoint(region: Region, name: str) -> Json:
    return region.get(ENDPOINT, name, f'Could not find endpoint "{region.arn(ENDPOINT, name)}".')


def _config(region: Region, name: str) -> Json:
    absent = f'Could not find endpoint configuration "{region.arn(ENDPOINT_CONFIG, name)}".'
    return region.get(ENDPOINT_CONFIG, name, absent)


def _deployment(region: Region, config: Json) -> Json:
    """A copy of everything that serving a configuration needs."""
    containers = {}
    variants = [*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])]
    for variant in variants:
        name = variant["ModelName"]
        model = region.get(MODEL, name, f'Could not find model "{region.arn(MODEL, name)}".')
        found = containers_of(region, model)
        if len(found) != 1:
            raise ValidationException(
                f'Model "{name}" has {len(found)} containers: the local SageMaker serves models of one container.'
            )
        containers[variant["VariantName"]] = found
    capacities = {
        variant["VariantName"]: {
            "weight": variant["InitialVariantWeight"],
            "instances": variant.get("InitialInstanceCount", 1),
        }
        for variant in variants
    }
    return {"config": config, "containers": containers, "capacities": capacities}


@operation("CreateEndpoint")
def create_endpoint(region: Region, request: Json) -> Json:
    name = request["EndpointName"]
    if region.find(ENDPOINT, name):
        raise ValidationException(f'Cannot create already existing endpoint "{region.arn(ENDPOINT, name)}".')
    deployment = _deployment(region, _config(region, request["EndpointConfigName"]))
    Plan.from_config(region, request.get("DeploymentConfig"), deployment)
    used = instances_of(deployment)
    body = {
        "EndpointConfigName": request["EndpointConfigName"],
        "EndpointStatus": "Creating",
        "LastDeploymentConfig": request.get("DeploymentConfig"),
        "_Live": deployment,
        "_Instances": {"endpoint": used},
    }
    given = {key: value for key, value in body.items() if value is not None}
    try:
        taken = 'Cannot create already existing endpoint "{arn}".'
        with quotas.within(region, {"endpoint": used}):
            document = region.create(ENDPOINT, name, given, tags=request.get("Tags", ()), taken=taken)
    except ResourceInUse as error:
        raise ValidationException(error.message) from error
    Endpoints.of(region.service).create(region, name)
    return document


@operation("DescribeEndpoint")
def describe_endpoint(region: Region, request: Json) -> Json:
    return _endpoint(region, request["EndpointName"])


@operation("ListEndpoints")
def list_endpoints(region: Region, request: Json) -> Json:
    endpoints, token = region.list(ENDPOINT, request)
    return {"Endpoints": endpoints, "NextToken": token}


def _set_status(region: Region, endpoint: Json, changes: Json, allowed: tuple[str, ...]) -> Json:
    """Enter a new state from one of the allowed ones, in one transaction, so that of two requests one is refused."""
    name, arn = endpoint["EndpointName"], endpoint["EndpointArn"]
    document = region.update(ENDPOINT, name, changes, when=allowed)
    if document is not None:
        return document
    status = _endpoint(region, name)["EndpointStatus"]
    if status == "Failed":
        raise ValidationException(
            f'Cannot update endpoint "{arn}" in status Failed: a failed endpoint can only be deleted.'
        )
    raise ValidationException(f'Cannot update in-progress endpoint "{arn}".')


@operation("UpdateEndpoint")
def update_endpoint(region: Region, request: Json) -> Json:
    endpoint = _endpoint(region, request["EndpointName"])
    _config(region, endpoint["EndpointConfigName"])  # SageMaker refuses if the old one was already deleted
    deployment = _deployment(region, _config(region, request["EndpointConfigName"]))
    if request.get("RetainAllVariantProperties"):
        left_out = {one["VariantPropertyType"] for one in request.get("ExcludeRetainedVariantProperties", [])}
        _retain(deployment, endpoint, left_out)
    policy = request.get("DeploymentConfig")
    if policy is None and request.get("RetainDeploymentConfig"):
        policy = endpoint.get("LastDeploymentConfig")
    check_change(region, endpoint, deployment["config"])
    Plan.from_config(region, policy, deployment, endpoint["_Live"])
    changes = {
        "EndpointStatus": "Updating",
        "FailureReason": None,
        "LastDeploymentConfig": policy,
        "_Pending": {**deployment, "deployment_config": policy},
        "_Instances": {"endpoint": instances_of(endpoint["_Live"], deployment)},
    }
    with quotas.within(region, {"endpoint": instances_of(deployment)}):  # both fleets run until the new one serves
        document = _set_status(region, endpoint, changes, _CHANGEABLE)
    Endpoints.of(region.service).update(region, request["EndpointName"])
    return document


def _retain(deployment: Json, endpoint: Json, left_out: set[str]) -> None:
    before = endpoint["_Live"]["capacities"]
    for name, capacity in deployment["capacities"].items():
        if name in before:
            if "DesiredWeight" not in left_out:
                capacity["weight"] = before[name]["weight"]
            if "DesiredInstanceCount" not in left_out:
                capacity["instances"] = before[name]["instances"]
    capture = endpoint["_Live"]["config"].get("DataCaptureConfig")
    if capture and "DataCaptureConfig" not in left_out:
        deployment["config"] = {**deployment["config"], "DataCaptureConfig": capture}


@operation("UpdateEndpointWeightsAndCapacities")
def update_weights_and_capacities(region: Region, request: Json) -> Json:
    endpoint = _endpoint(region, request["EndpointName"])
    wanted = request["DesiredWeightsAndCapacities"]
    names = [one["VariantName"] for one in wanted]
    for name in names:
        if names.count(name) > 1:
            raise ValidationException(f'The variant name "{name}" was non-unique within the request.')
        if name not in endpoint["_Live"]["capacities"]:
            config = endpoint["EndpointConfigName"]
            raise ValidationException(
                f'The variant name(s) "{name}" is/are not present within endpoint configuration "{config}".'
            )
    _check_counts(endpoint, wanted)
    before = endpoint["_Live"]["capacities"]
    desired = {
        one["VariantName"]: {
            "weight": one.get("DesiredWeight", before[one["VariantName"]]["weight"]),
            "instances": one.get("DesiredInstanceCount", before[one["VariantName"]]["instances"]),
        }
        for one in wanted
    }
    live = endpoint["_Live"]
    now, then = instances_of(live), instances_of({**live, "capacities": {**before, **desired}})
    more = {kind: max(0, number - now[kind]) for kind, number in then.items()}
    changes = {
        "EndpointStatus": "Updating",
        "FailureReason": None,
        "_Desired": desired,
        "_Instances": {"endpoint": then},
    }
    with quotas.within(region, {"endpoint": more}):
        document = _set_status(region, endpoint, changes, _CHANGEABLE)
    Endpoints.of(region.service).rescale(region, request["EndpointName"])
    return document


def _check_counts(endpoint: Json, wanted: list[Json]) -> None:
    serverless = {
        one["VariantName"] for one in endpoint["_Live"]["config"]["ProductionVariants"] if "ServerlessConfig" in one
    }
    for one in wanted:
        name = one["VariantName"]
        if "DesiredInstanceCount" in one and name in serverless:
            raise ValidationException(f'DesiredInstanceCount cannot be set for the serverless variant "{name}".')
        if one.get("DesiredInstanceCount") == 0:
            raise ValidationException(
                f'DesiredInstanceCount of variant "{name}" must be at least 1: only endpoints with asynchronous'
                " inference scale to 0."
            )


@operation("DeleteEndpoint")
def delete_endpoint(region: Region, request: Json) -> None:
    endpoint = _endpoint(region, request["EndpointName"])
    changes = {"EndpointStatus": "Deleting"}
    _set_status(region, endpoint, changes, ("InService", "Failed", "OutOfService", "UpdateRollbackFailed"))
    deregister_targets(region, request["EndpointName"])
    Endpoints.of(region.service).delete(region, request["EndpointName"])
