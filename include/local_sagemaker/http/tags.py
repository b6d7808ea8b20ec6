"""AddTags, ListTags and DeleteTags, for all resources."""

from __future__ import annotations

from include.local_sagemaker.core.errors import ResourceLimitExceeded, ValidationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.http.routing import operation

_MOST = 50


def _check_exists(region: Region, arn: str) -> None:
    if region.service.store.find_by_arn(arn) is None:
        raise ValidationException(f"Could not find resource {arn}.")


def check_tags(tags: list[Json]) -> None:
    """The rules for the tags of any request.

    Raises:
        ValidationException: a key that AWS reserves, or a duplicate key.
        ResourceLimitExceeded: more than a resource may have.
    """
    keys = [tag["Key"] for tag in tags]
    for key in keys:
        if key.lower().startswith("aws:"):
            raise ValidationException(f"Tag key {key!r} is invalid: keys that begin with aws: are reserved for AWS.")
        if keys.count(key) > 1:
            raise ValidationException(f"Duplicate tag keys are not allowed: {key!r} is given more than once.")
    if len(keys) > _MOST:
        raise ResourceLimitExceeded(f"A resource can have {_MOST} tags; {len(keys)} are given.")


@operation("AddTags")
def add_tags(region: Region, request: Json) -> Json:
    arn = request["ResourceArn"]
    _check_exists(region, arn)
    given = {tag["Key"]: tag for tag in request["Tags"]}
    kept = [tag for tag in region.service.store.tags(arn) if tag["Key"] not in given]
    check_tags([*kept, *request["Tags"]])
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
