"""An artifact is written once: what a version was registered with is what is run."""

from __future__ import annotations

from typing import Any

import pytest

from include.registry.versions import RegisteredVersion, VersionError, find_version, keep_artifact, require_artifact
from tests.include.local_aws import LocalS3

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/m/3"


class Registry:
    """SageMaker with one version, and S3 with its artifact."""

    def __init__(self, registered: str | None, there: str) -> None:
        self._there = there
        self._container = {
            "Image": "i",
            "ModelDataUrl": "s3://b/k",
            **({"ModelDataETag": registered} if registered else {}),
        }

    def describe_model_package_group(self, **_: str) -> dict[str, str]:
        return {"ModelPackageGroupArn": "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/m"}

    def describe_model_package(self, **_: str) -> dict[str, Any]:
        specification = {"Containers": [self._container]}
        return {"ModelPackageVersion": 3, "ModelPackageArn": ARN, "InferenceSpecification": specification}

    def head_object(self, **_: str) -> dict[str, str]:
        return {"ETag": self._there}


def looked_at(registered: str | None, there: str) -> RegisteredVersion:
    """As a day's plan looks at the version that it scores with."""
    clients: Any = Registry(registered, there)
    version = find_version(clients, "m", 3)
    require_artifact(clients, "m", version)
    return version


def test_an_artifact_that_was_written_again_is_not_run() -> None:
    assert looked_at('"a"', '"a"').artifact_etag == '"a"'
    assert looked_at("a", '"a"').version == 3
    with pytest.raises(VersionError, match=r"s3://b/k is not what m version 3 was registered with: its ETag is \"b\""):
        looked_at('"a"', '"b"')


def test_a_version_whose_registry_has_no_etag_is_taken_as_it_is() -> None:
    assert looked_at(None, '"b"').artifact_etag is None


def test_a_registered_artifact_is_copied_once_and_outlives_what_a_job_does_to_the_first(ml_bucket: LocalS3) -> None:
    trained = "s3://my-ml-bucket/runs/train_m/r/train_model/j/output/model.tar.gz"
    ml_bucket.objects["runs/train_m/r/train_model/j/output/model.tar.gz"] = b"good"
    kept, again = (keep_artifact(ml_bucket, "my-ml-bucket", "m", trained) for _ in range(2))  # type: ignore[arg-type]
    assert kept == again
    copies = [key for change, key in ml_bucket.log if change == "copy"]
    assert [f"s3://my-ml-bucket/{key}" for key in copies] == [kept]
    ml_bucket.objects["runs/train_m/r/train_model/j/output/model.tar.gz"] = b"another job's"
    assert ml_bucket.objects[copies[0]] == b"good"
    assert keep_artifact(ml_bucket, "my-ml-bucket", "m", trained) != kept, "another artifact has another place"  # type: ignore[arg-type]


def test_an_artifact_that_is_gone_before_it_is_registered_says_what_to_do(ml_bucket: LocalS3) -> None:
    with pytest.raises(VersionError, match="is gone: nothing was registered"):
        keep_artifact(ml_bucket, "my-ml-bucket", "m", "s3://my-ml-bucket/runs/a/model.tar.gz")  # type: ignore[arg-type]
