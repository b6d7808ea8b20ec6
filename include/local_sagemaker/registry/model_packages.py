"""The model registry: model package groups, and model packages with versions, approval and metadata.

A package is stored under `<group>/<version>`, or under its own name when it has no group. The group stores the last
version that it assigned and the client tokens it has seen, so that no version is assigned twice and a repeated request
creates no second package.
"""

import hashlib
import json

from include.local_sagemaker.containers.model_data import model_data_etag
from include.local_sagemaker.core.errors import ConflictException, ResourceInUse, ValidationException
from include.local_sagemaker.core.paging import Part, page
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import ACCOUNT, MODEL_PACKAGE, MODEL_PACKAGE_GROUP, Json, Kind
from include.local_sagemaker.http.routing import operation

MOST_METADATA = 50
MOST_ADDITIONAL = 15  # inference specifications
_OWNER = {"IamIdentity": {"Arn": f"arn:aws:iam::{ACCOUNT}:root", "PrincipalId": ACCOUNT}}


def _by_name_or_arn(region: Region, kind: Kind, name: str) -> Json:
    arn = name if name.startswith("arn:") else region.arn(kind, name)
    document = region.service.store.find_by_arn(arn)
    if document is None:
        raise ValidationException(f"{kind.title} {arn} does not exist.")
    return document


def as_described(package: Json) -> Json:
    """A package as the API shows it: a versioned one has no name."""
    versioned = "ModelPackageGroupName" in package
    return {key: value for key, value in package.items() if not (versioned and key == "ModelPackageName")}


@operation("CreateModelPackageGroup")
def create_group(region: Region, request: Json) -> Json:
    name = request["ModelPackageGroupName"]
    body = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "ModelPackageGroupStatus": "Completed",
        "CreatedBy": _OWNER,
        "_LastVersion": 0,
        "_Tokens": {},
    }
    taken = "Model Package Group already exists: {arn}"
    try:
        return region.create(MODEL_PACKAGE_GROUP, name, body, tags=request.get("Tags", ()), taken=taken)
    except ResourceInUse as error:  # the one resource whose duplicate is a ValidationException
        raise ValidationException(error.message) from error


@operation("DescribeModelPackageGroup")
def describe_group(region: Region, request: Json) -> Json:
    return _by_name_or_arn(region, MODEL_PACKAGE_GROUP, request["ModelPackageGroupName"])


@operation("ListModelPackageGroups")
def list_groups(region: Region, request: Json) -> Json:
    groups, token = region.list(MODEL_PACKAGE_GROUP, request)
    return {"ModelPackageGroupSummaryList": groups, "NextToken": token}


@operation("DeleteModelPackageGroup")
def delete_group(region: Region, request: Json) -> None:
    group = _by_name_or_arn(region, MODEL_PACKAGE_GROUP, request["ModelPackageGroupName"])
    name = group["ModelPackageGroupName"]
    if next(region.iterate(MODEL_PACKAGE, parent=name), None):
        arn = group["ModelPackageGroupArn"]
        raise ConflictException(f"Model Package Group {arn} cannot be deleted because it contains Model Packages.")
    region.delete(MODEL_PACKAGE_GROUP, name)


@operation("CreateModelPackage")
def create_package(region: Region, request: Json) -> Json:
    name, group = request.get("ModelPackageName"), request.get("ModelPackageGroupName")
    if name and group:
        raise ValidationException(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
        )
    if not any(key in request for key in ("InferenceSpecification", "SourceAlgorithmSpecification", "SourceUri")):
        raise ValidationException("One of InferenceSpecification or SourceAlgorithmSpecification must be provided.")
    _check_additional(request.get("AdditionalInferenceSpecifications", []))
    if group:
        return _create_version(region, request, _by_name_or_arn(region, MODEL_PACKAGE_GROUP, group))
    if not name:
        raise ValidationException("Missing ARN.")
    for specification in _specifications(request):
        for key in ("SupportedTransformInstanceTypes", "SupportedRealtimeInferenceInstanceTypes"):
            if key not in specification:
                raise ValidationException(f"{key} is required for a model package without a group.")
    taken = "Model package already exists: {arn}"
    body = _package_body(region, request)
    try:
        return region.create(MODEL_PACKAGE, name, body, tags=request.get("Tags", ()), taken=taken)
    except ResourceInUse as error:
        raise ValidationException(error.message) from error


def _specifications(request: Json) -> list[Json]:
    """The request's own inference specification, if it has one."""
    return [request["InferenceSpecification"]] if "InferenceSpecification" in request else []


def _check_additional(specifications: list[Json]) -> None:
    names = [one["Name"] for one in specifications]
    if len(set(names)) != len(names):
        raise ValidationException(f"AdditionalInferenceSpecifications names must be unique: {', '.join(names)}")
    if len(names) > MOST_ADDITIONAL:
        raise ValidationException(
            f"There would be {len(names)} AdditionalInferenceSpecifications; {MOST_ADDITIONAL} fit."
        )


def _create_version(region: Region, request: Json, group: Json) -> Json:
    if request.get("Tags"):
        raise ValidationException(
            "Tags cannot be supplied with ModelPackageGroupName: a model package version uses the tags of its group."
        )
    name, token, digest = group["ModelPackageGroupName"], request.get("ClientToken"), _digest(request)
    body = None if token in group["_Tokens"] else _package_body(region, request)
    version = _take_version(region, name, token, digest)
    full_name = f"{name}/{version}"
    existing = region.find(MODEL_PACKAGE, full_name)
    if existing:
        return existing
    body = body or _package_body(region, request)
    body |= {"ModelPackageGroupName": name, "ModelPackageVersion": version}
    body.setdefault("ModelApprovalStatus", "PendingManualApproval")
    return region.create(MODEL_PACKAGE, full_name, body, parent=name)


def _digest(request: Json) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def _take_version(region: Region, group: str, token: str | None, digest: str) -> int:
    """The next version of a group, or the one that an earlier request with the same client token got."""
    taken: list[int] = []

    def take(document: Json) -> Json:
        tokens = document["_Tokens"]
        if token in tokens:
            if tokens[token]["digest"] != digest:
                raise ConflictException(f"The ClientToken {token} was already used with different parameters.")
            taken.append(tokens[token]["version"])
            return {}
        version = document["_LastVersion"] + 1
        taken.append(version)
        seen = {**tokens, token: {"digest": digest, "version": version}} if token else tokens
        return {"_LastVersion": version, "_Tokens": seen}

    if region.update(MODEL_PACKAGE_GROUP, group, take) is None:
        raise ValidationException(f"ModelPackageGroup {region.arn(MODEL_PACKAGE_GROUP, group)} does not exist.")
    return taken[0]


def _package_body(region: Region, request: Json) -> Json:
    left_out = {"Tags", "ClientToken", "ModelPackageName", "ModelPackageGroupName"}
    body = {key: value for key, value in request.items() if key not in left_out}
    for specification in [*_specifications(body), *body.get("AdditionalInferenceSpecifications", [])]:
        _add_etags(region, specification)
    return {
        "CertifyForMarketplace": False,
        "ModelPackageRegistrationType": "Registered",
        **body,
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CreatedBy": _OWNER,
        "LastModifiedBy": _OWNER,
    }


def _add_etags(region: Region, specification: Json) -> None:
    """Record which artifact was registered; a missing artifact is refused, as by SageMaker."""
    for container in specification["Containers"]:
        if "ModelDataUrl" in container:
            container["ModelDataETag"] = model_data_etag(region, container["ModelDataUrl"])


@operation("DescribeModelPackage")
def describe_package(region: Region, request: Json) -> Json:
    return as_described(_by_name_or_arn(region, MODEL_PACKAGE, request["ModelPackageName"]))


@operation("BatchDescribeModelPackage")
def batch_describe_packages(region: Region, request: Json) -> Json:
    found: Json = {}
    errors: Json = {}
    for arn in request["ModelPackageArnList"]:
        package = region.service.store.find_by_arn(arn)
        if package and "ModelPackageArn" in package:
            found[arn] = as_described(package)
        else:
            message = f"ModelPackage {arn} does not exist."
            errors[arn] = {"ErrorCode": "ValidationException", "ErrorResponse": message}
    return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": errors}


@operation("ListModelPackages")
def list_packages(region: Region, request: Json) -> Json:
    group = request.get("ModelPackageGroupName")
    parent = _by_name_or_arn(region, MODEL_PACKAGE_GROUP, group)["ModelPackageGroupName"] if group else None
    packages = [one for one in region.iterate(MODEL_PACKAGE, parent=parent) if _wanted(one, request)]
    by_name = request.get("SortBy") == "Name"

    def key(package: Json) -> tuple[Part, ...]:
        number: int = package.get("ModelPackageVersion", 0)
        name: str = package.get("ModelPackageGroupName") or package["ModelPackageName"]
        return (name, number) if by_name else (package["CreationTime"], name, number)

    shown, token = page(packages, request, key, descending=request.get("SortOrder", "Descending") == "Descending")
    return {"ModelPackageSummaryList": [as_described(one) for one in shown], "NextToken": token}


def _wanted(package: Json, request: Json) -> bool:
    default = "Versioned" if "ModelPackageGroupName" in request else "Unversioned"
    wanted = request.get("ModelPackageType", default)
    if wanted != "Both" and (wanted == "Versioned") != ("ModelPackageGroupName" in package):
        return False
    approval = request.get("ModelApprovalStatus")
    return (
        (approval is None or package.get("ModelApprovalStatus") == approval)
        and request.get("NameContains", "").lower() in package["ModelPackageName"].lower()
        and package["CreationTime"] > request.get("CreationTimeAfter", float("-inf"))
        and package["CreationTime"] < request.get("CreationTimeBefore", float("inf"))
    )


_REPLACED = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


@operation("UpdateModelPackage")
def update_package(region: Region, request: Json) -> Json:
    name = _by_name_or_arn(region, MODEL_PACKAGE, request["ModelPackageArn"])["ModelPackageName"]
    for specification in [*_specifications(request), *request.get("AdditionalInferenceSpecificationsToAdd", [])]:
        _add_etags(region, specification)
    package = region.update(MODEL_PACKAGE, name, lambda before: _updated(before, request))
    if package is None:
        raise ValidationException(f"ModelPackage {request['ModelPackageArn']} does not exist.")
    return package


def _updated(package: Json, request: Json) -> Json:
    changes: Json = {key: request[key] for key in _REPLACED if key in request}
    removed = set(request.get("CustomerMetadataPropertiesToRemove", ()))
    kept = {key: value for key, value in package.get("CustomerMetadataProperties", {}).items() if key not in removed}
    metadata = {**kept, **request.get("CustomerMetadataProperties", {})}
    if len(metadata) > MOST_METADATA:
        raise ValidationException(f"CustomerMetadataProperties would have {len(metadata)} entries; {MOST_METADATA} fit")
    changes["CustomerMetadataProperties"] = metadata or None
    additional = [
        *package.get("AdditionalInferenceSpecifications", []),
        *request.get("AdditionalInferenceSpecificationsToAdd", []),
    ]
    _check_additional(additional)
    changes["AdditionalInferenceSpecifications"] = additional or None
    changes["LastModifiedBy"] = _OWNER
    return changes


@operation("DeleteModelPackage")
def delete_package(region: Region, request: Json) -> None:
    package = _by_name_or_arn(region, MODEL_PACKAGE, request["ModelPackageName"])
    region.delete(MODEL_PACKAGE, package["ModelPackageName"])
    group = package.get("ModelPackageGroupName")
    if group:  # a repeated request must not bring the deleted version back
        version = package["ModelPackageVersion"]
        region.update(
            MODEL_PACKAGE_GROUP,
            group,
            lambda document: {"_Tokens": {k: v for k, v in document["_Tokens"].items() if v["version"] != version}},
        )
