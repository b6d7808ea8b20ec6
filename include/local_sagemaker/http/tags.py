"""AddTags, ListTags and DeleteTags, for every resource alike."""

from __future__ import annotations

from include.local_sagemaker.core.errors import ResourceLimitExceeded, ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.http.routing import operation

_MOST = 50


def _check_exists(region: Region, arn: str) -> None:
    if region.service.store.find_by_arn(arn) is None:
        raise ValidationException(f"Could not find resource {arn}.")


@operation("AddTags")
def add_tags(region: Region, request: Json) -> Json:
    arn = request["ResourceArn"]
    _check_exists(region, arn)
    keys = {tag["Key"] for tag in [*region.service.store.tags(arn), *request["Tags"]]}
    if len(keys) > _MOST:
        raise ResourceLimitExceeded(f"The number of tags on {arn} would exceed {_MOST}.")
    region.service.store.add_tags(arn, request["Tags"])
    return {"Tags": region.service.store.tags(arn)}


@operation("ListTags")
def list_tags(region: Region, request: Json) -> Json:
    _check_exists(region, request["ResourceArn"])
    return {"Tags": region.service.store.tags(request["ResourceArn"])}


@operation("DeleteTags")
def delete_tags(region: Region, request: Json) -> None:
    _check_exists(region, request["ResourceArn"])
    region.service.store.delete_tags(request["ResourceArn"], request["TagKeys"])
