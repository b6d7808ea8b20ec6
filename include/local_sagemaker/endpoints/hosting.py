"""Models and endpoint configurations: what to serve, and how; nothing runs here."""

from include.local_sagemaker.containers.model_data import check_model_data
from include.local_sagemaker.core.errors import ResourceInUse, ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import ENDPOINT_CONFIG, MODEL, MODEL_PACKAGE, Json, Kind
from include.local_sagemaker.http.routing import operation

_LARGEST_ENVIRONMENT = 32 * 1024  # bytes
_CREATED = {MODEL: "model", ENDPOINT_CONFIG: "endpoint configuration"}


def _create(region: Region, kind: Kind, name: str, body: Json, request: Json) -> Json:
    try:
        taken = f'Cannot create already existing {_CREATED[kind]} "{{arn}}".'
        return region.create(kind, name, body, tags=request.get("Tags", ()), taken=taken)
    except ResourceInUse as error:  # SageMaker answers a taken name of these with ValidationException
        raise ValidationException(error.message) from error


def _get(region: Region, kind: Kind, name: str) -> Json:
    return region.get(kind, name, f'Could not find {_CREATED[kind]} "{region.arn(kind, name)}".')


def containers_of(region: Region, model: Json) -> list[Json]:
    """A model's containers with image, model data and environment; those of a model package are looked up.

    Raises:
        ValidationException: the model package is gone, or is not approved.
    """
    given = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model["Containers"]
    role = {"_Role": model.get("ExecutionRoleArn", ""), "_VpcConfig": model.get("VpcConfig")}
    return [{**one, **role} for container in given for one in _resolved(region, container)]


def _resolved(region: Region, container: Json) -> list[Json]:
    arn = container.get("ModelPackageName")
    if arn is None:
        return [container]
    full_arn = arn if arn.startswith("arn:") else region.arn(MODEL_PACKAGE, arn)
    package = region.service.store.find_by_arn(full_arn)
    if package is None:
        raise ValidationException(f"ModelPackage {full_arn} does not exist.")
    if package.get("ModelApprovalStatus", "Approved") != "Approved":
        raise ValidationException(
            f"Unable to create model from model package {full_arn}: its approval status is "
            f"{package['ModelApprovalStatus']}. Only an approved model package can be deployed."
        )
    specification = package.get("InferenceSpecification")
    name = container.get("InferenceSpecificationName")
    if name:
        named = [one for one in package.get("AdditionalInferenceSpecifications", []) if one["Name"] == name]
        specification = named[0] if named else None
    if specification is None:
        raise ValidationException(f"ModelPackage {full_arn} has no inference specification {name or ''}".rstrip() + ".")
    environment = container.get("Environment", {})
    return [
        {**one, "Environment": {**one.get("Environment", {}), **environment}} for one in specification["Containers"]
    ]


@operation("CreateModel")
def create_model(region: Region, request: Json) -> Json:
    if ("PrimaryContainer" in request) == bool(request.get("Containers")):
        raise ValidationException("Exactly one of PrimaryContainer and Containers must be provided.")
    for container in [request["PrimaryContainer"]] if "PrimaryContainer" in request else request["Containers"]:
        if ("Image" in container) == ("ModelPackageName" in container):
            raise ValidationException("Exactly one of Image and ModelPackageName must be provided for a container.")
        if "ModelDataUrl" in container and "ModelDataSource" in container:
            raise ValidationException("ModelDataUrl and ModelDataSource cannot both be provided for a container.")
    containers = containers_of(region, request)
    for container in containers:
        check_model_data(region, container)
    pairs = [pair for container in containers for pair in container.get("Environment", {}).items()]
    if (size := sum(len(text.encode()) for pair in pairs for text in pair)) > _LARGEST_ENVIRONMENT:
        raise ValidationException(
            f"Environment has {size} bytes in all; the keys and values of a model's containers may have"
            f" {_LARGEST_ENVIRONMENT} together."
        )
    body = {"EnableNetworkIsolation": False, **{key: value for key, value in request.items() if key != "Tags"}}
    if "PrimaryContainer" in body:
        body["PrimaryContainer"] = {"Mode": "SingleModel", **body["PrimaryContainer"]}
    return _create(region, MODEL, request["ModelName"], body, request)


@operation("DescribeModel")
def describe_model(region: Region, request: Json) -> Json:
    return _get(region, MODEL, request["ModelName"])


@operation("ListModels")
def list_models(region: Region, request: Json) -> Json:
    models, token = region.list(MODEL, request)
    return {"Models": models, "NextToken": token}


@operation("DeleteModel")
def delete_model(region: Region, request: Json) -> None:
    _get(region, MODEL, request["ModelName"])
    region.delete(MODEL, request["ModelName"])


@operation("CreateEndpointConfig")
def create_endpoint_config(region: Region, request: Json) -> Json:
    variants, shadows = request["ProductionVariants"], request.get("ShadowProductionVariants", [])
    names = [variant["VariantName"] for variant in [*variants, *shadows]]
    if len(set(names)) != len(names):
        raise ValidationException(f"Variant names must be unique within an endpoint configuration: {', '.join(names)}")
    for variant in [*variants, *shadows]:
        _check_variant(region, variant)
    if any("ServerlessConfig" in variant for variant in variants):
        _check_serverless(region, request)
    if shadows and len(names) > 2:
        raise ValidationException(
            "Only one production variant and one shadow variant can be specified when ShadowProductionVariants is used."
        )
    body = {key: value for key, value in request.items() if key != "Tags"}
    for key, given in (("ProductionVariants", variants), ("ShadowProductionVariants", shadows)):
        if given:
            body[key] = [{"InitialVariantWeight": 1.0, **variant} for variant in given]
    return _create(region, ENDPOINT_CONFIG, request["EndpointConfigName"], body, request)


def _check_variant(region: Region, variant: Json) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise ValidationException(
            f"ModelName is required for production variant {name}: inference components are not here"
        )
    _get(region, MODEL, variant["ModelName"])
    serverless = variant.get("ServerlessConfig")
    if serverless is None:
        if not variant.get("InstanceType") or not variant.get("InitialInstanceCount"):
            raise ValidationException(
                f"InstanceType and InitialInstanceCount are required for production variant {name} without a "
                "ServerlessConfig."
            )
        return
    if "InstanceType" in variant or "InitialInstanceCount" in variant:
        raise ValidationException(
            f"InstanceType and InitialInstanceCount must not be given for production variant {name} with a "
            "ServerlessConfig."
        )
    if serverless["MemorySizeInMB"] % 1024:
        raise ValidationException(
            f"MemorySizeInMB of production variant {name} must be a multiple of 1024 from 1024 to 6144, "
            f"not {serverless['MemorySizeInMB']}."
        )
    if serverless.get("ProvisionedConcurrency", 1) > serverless["MaxConcurrency"]:
        raise ValidationException(
            f"ProvisionedConcurrency of production variant {name} ({serverless['ProvisionedConcurrency']}) must not"
            f" exceed its MaxConcurrency ({serverless['MaxConcurrency']})."
        )


def _check_serverless(region: Region, request: Json) -> None:
    """What serverless inference leaves out: https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html"""
    (variant, *others) = request["ProductionVariants"]
    model = _get(region, MODEL, variant["ModelName"])
    left_out = {
        "ModelDataSource": any("ModelDataSource" in one for one in containers_of(region, model)),
        "multiple production variants": others or request.get("ShadowProductionVariants"),
        "data capture": request.get("DataCaptureConfig", {}).get("EnableCapture"),
        "VPC configuration": model.get("VpcConfig"),
        "network isolation": model.get("EnableNetworkIsolation"),
    }
    for what, asked_for in left_out.items():
        if asked_for:
            raise ValidationException(f"Serverless endpoints do not support {what}.")


@operation("DescribeEndpointConfig")
def describe_endpoint_config(region: Region, request: Json) -> Json:
    return _get(region, ENDPOINT_CONFIG, request["EndpointConfigName"])


@operation("ListEndpointConfigs")
def list_endpoint_configs(region: Region, request: Json) -> Json:
    configs, token = region.list(ENDPOINT_CONFIG, request)
    return {"EndpointConfigs": configs, "NextToken": token}


@operation("DeleteEndpointConfig")
def delete_endpoint_config(region: Region, request: Json) -> None:
    _get(region, ENDPOINT_CONFIG, request["EndpointConfigName"])
    region.delete(ENDPOINT_CONFIG, request["EndpointConfigName"])
