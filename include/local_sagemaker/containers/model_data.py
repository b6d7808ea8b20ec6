"""Model data in S3: checks that it exists, identifies it, and unpacks it for a serving container."""

import tarfile
import tempfile
from pathlib import Path

from botocore.exceptions import ClientError

from include.local_sagemaker.containers.s3_transfer import parse_uri
from include.local_sagemaker.core.errors import ValidationException, is_passing
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json

_DENIED = ("403", "AccessDenied")


class ArtifactError(Exception):
    """Model data that cannot be delivered to a container; the message is SageMaker's reason."""


def model_data_etag(region: Region, url: str) -> str:
    """The ETag of a model.tar.gz.

    Raises:
        ValidationException: there is no such object.
    """
    bucket, key = parse_uri(url)
    try:
        return str(region.client("s3").head_object(Bucket=bucket, Key=key)["ETag"]).strip('"')
    except ClientError as error:
        if is_passing(error):
            raise
        if error.response["Error"]["Code"] in _DENIED:
            raise _no_access(region, url) from error
        raise ValidationException(f"Could not find model data at {url}.") from error


def check_model_data(region: Region, container: Json) -> None:
    """Refuse a container whose model data the model's role cannot find, as CreateModel does.

    Raises:
        ValidationException: no object is at ModelDataUrl, or below the S3Uri of ModelDataSource.
    """
    region = region.acting_as(container.get("_Role", ""))
    if "ModelDataUrl" in container:
        model_data_etag(region, container["ModelDataUrl"])
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    try:
        found = _keys(region, source) if source else None
    except ClientError as error:
        if is_passing(error):
            raise
        if error.response["Error"]["Code"] in _DENIED:
            raise _no_access(region, source["S3Uri"]) from error
        found = []  # there is no such bucket
    if found == []:
        raise ValidationException(f"Could not find model data at {source['S3Uri']}.")


def _no_access(region: Region, url: str) -> ValidationException:
    return ValidationException(
        f'Could not access model data at {url}. Please ensure that the role "{region.role}" exists and that its trust '
        'relationship policy allows the action "sts:AssumeRole" for the service principal "sagemaker.amazonaws.com". '
        'Also ensure that the role has "s3:GetObject" permissions and that the object is located in '
        f"{region.name}."
    )


def unpack_model_data(region: Region, container: Json, folder: Path) -> None:
    """Unpack a container's model data into the folder that becomes its /opt/ml/model.

    Raises:
        ArtifactError: it is gone, or is not an archive.
    """
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    url = container.get("ModelDataUrl") or (source["S3Uri"] if source else None)
    if url is None:
        return
    try:
        if source and source["CompressionType"] == "None":
            _copy_prefix(region, source, folder)
        else:
            _extract(region, url, folder)
    except ClientError as error:
        if is_passing(error):
            raise
        raise ArtifactError(
            f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that there '
            "is an object located at the URL and that the role passed to CreateModel has permissions to download "
            "the object."
        ) from error
    except (tarfile.TarError, OSError, EOFError) as error:
        if is_passing(error):
            raise
        raise ArtifactError(
            f'Failed to extract model data archive for container "container_1" from URL "{url}". Please ensure that '
            f"the object located at the URL is a valid tar.gz archive: {error}"
        ) from error


def _extract(region: Region, url: str, folder: Path) -> None:
    bucket, key = parse_uri(url)
    with tempfile.TemporaryFile(dir=folder.parent) as archive:
        region.client("s3").download_fileobj(bucket, key, archive)
        archive.seek(0)
        with tarfile.open(fileobj=archive, mode="r:*") as tar:
            tar.extractall(folder, filter="data")


def _copy_prefix(region: Region, source: Json, folder: Path) -> None:
    bucket, prefix = parse_uri(source["S3Uri"])
    keys = _keys(region, source)
    if not keys:
        raise ArtifactError(f'Failed to download model data from URL: "{source["S3Uri"]}": no object is there.')
    for key in keys:
        relative = Path(key).name if key == prefix else key.removeprefix(prefix).lstrip("/")
        target = folder / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        region.client("s3").download_file(bucket, key, str(target))


def _keys(region: Region, source: Json) -> list[str]:
    bucket, prefix = parse_uri(source["S3Uri"])
    if source["S3DataType"] == "S3Object":
        model_data_etag(region, source["S3Uri"])
        return [prefix]
    pages = region.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for one in pages for item in one.get("Contents", []) if not item["Key"].endswith("/")]
