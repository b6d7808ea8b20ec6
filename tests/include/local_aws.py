"""S3 and the registry of a local AWS, as tests look at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from tests.include.local_sagemaker.conftest import client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker

_CHANGES = {"PutObject": "put", "CopyObject": "copy", "DeleteObject": "delete", "DeleteObjects": "delete"}


class LocalS3:
    """A boto3 client, for the code under test.

    For the test there are the bucket's ``objects``; ``log``, what the client changed: ("put" | "copy" | "delete", key),
    in order; and ``fail_at``: the next change of a key with this in it fails.
    """

    def __init__(self, server: LocalSageMaker, bucket: str) -> None:
        self.objects = Objects(server, bucket)
        self.log: list[tuple[str, str]] = []
        self.fail_at: str | None = None
        self._client = client_of(server)("s3")
        self._client.meta.events.register("provide-client-params.s3", self._watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _watch(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name not in _CHANGES:
            return
        for key in [each["Key"] for each in params.get("Delete", {"Objects": [params]})["Objects"]]:
            if self.fail_at and self.fail_at in key:
                self.fail_at = None
                raise ClientError({"Error": {"Code": "InternalError"}}, model.name)
            self.log.append((_CHANGES[model.name], key))


class Objects(MutableMapping[str, bytes]):
    """A bucket's keys and contents."""

    def __init__(self, server: LocalSageMaker, bucket: str) -> None:
        self._client, self._bucket = client_of(server)("s3"), bucket
        self._client.create_bucket(Bucket=bucket)

    def __getitem__(self, key: str) -> bytes:
        try:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except self._client.exceptions.NoSuchKey:
            raise KeyError(key) from None
        return content

    def __setitem__(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=content)

    def __delitem__(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def __iter__(self) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        return iter([item["Key"] for page in pages for item in page.get("Contents", [])])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def clear(self) -> None:
        if found := [{"Key": key} for key in self]:
            self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": found})


@contextmanager
def registered_versions(
    server: LocalSageMaker,
    group: str,
    number: int,
    more: Callable[[int], Mapping[str, object]] = lambda version: {},
    region: str = "eu-west-1",
) -> Iterator[Any]:
    """A boto3 client of a registry with the given number of approved versions in the group, from
    ``s3://bucket/<version>/``.

    Args:
        more: fields of a version's CreateModelPackage.
    """
    sagemaker = client_of(server, region)("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    made = []
    artifacts = Objects(server, "bucket")
    for version in range(1, number + 1):
        artifacts[f"{version}/model.tar.gz"] = b"version %d" % version
        container = {"Image": "image:1", "ModelDataUrl": f"s3://bucket/{version}/model.tar.gz"}
        specification = {"Containers": [container], "SupportedContentTypes": ["text/csv"]}
        request = {
            "ModelPackageGroupName": group,
            "InferenceSpecification": specification,
            "ModelApprovalStatus": "Approved",
            **more(version),
        }
        made.append(sagemaker.create_model_package(**request)["ModelPackageArn"])
    yield sagemaker
    for arn in made:
        sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    artifacts.clear()
