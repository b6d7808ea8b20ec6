"""An artifact is written once: what runs is what was registered."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.registry.versions import (
    DECISION,
    NO_SUCH_VERSION,
    PROMOTED,
    REPLACED,
    Version,
    VersionError,
    approved_version,
    find_package,
    find_version,
    keep_artifact,
    keep_decision,
    newest_approved,
    newest_candidate,
    require_artifact,
    set_stage,
)
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker

GROUP = "pumps"


@pytest.fixture
def sagemaker(local_aws: LocalSageMaker) -> Iterator[Any]:
    """A registry with four approved versions."""
    with registered_versions(local_aws, GROUP, 4, registered) as made:
        yield made


def registered(version: int) -> dict[str, object]:
    """Versions 2 to 4 with quality statistics and the run that registered them, version 1 without."""
    if version == 1:
        return {}
    statistics = {"ContentType": "application/json", "S3Uri": f"s3://bucket/{version}/evaluation.json"}
    return {
        "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
        "CustomerMetadataProperties": {"dag_id": "train_pumps", "run_id": f"run-{version}"},
    }


@pytest.fixture
def bucket(sagemaker: Any, local_aws: LocalSageMaker) -> LocalS3:
    """A bucket with the versions' artifacts."""
    return LocalS3(local_aws, "bucket")


def arn(sagemaker: Any, version: int) -> str:
    return find_version(sagemaker, GROUP, version).model_package_arn


def set_status(sagemaker: Any, status: str, *versions: int) -> None:
    for version in versions:
        sagemaker.update_model_package(ModelPackageArn=arn(sagemaker, version), ModelApprovalStatus=status)


def test_an_artifact_that_was_written_again_is_not_run(sagemaker: Any, bucket: LocalS3) -> None:
    version = find_version(sagemaker, GROUP, 3)
    require_artifact(bucket, GROUP, version)  # type: ignore[arg-type] # a client
    assert version.artifact_etag
    bare = version.model_copy(update={"artifact_etag": version.artifact_etag.strip('"')})
    require_artifact(bucket, GROUP, bare)  # type: ignore[arg-type] # a client
    bucket.objects["3/model.tar.gz"] = b"another job's"
    with pytest.raises(VersionError, match=r"s3://bucket/3/model.tar.gz is not what pumps version 3 was registered"):
        require_artifact(bucket, GROUP, version)  # type: ignore[arg-type] # a client
    unknown = version.model_copy(update={"artifact_etag": None})  # like older versions
    require_artifact(bucket, GROUP, unknown)  # type: ignore[arg-type] # a client
    del bucket.objects["3/model.tar.gz"]
    with pytest.raises(VersionError, match=r"pumps version 3, s3://bucket/3/model\.tar\.gz, is gone"):
        require_artifact(bucket, GROUP, unknown)  # type: ignore[arg-type] # a client


def test_an_artifact_that_this_role_may_not_see_is_not_called_gone() -> None:
    def denied(**_: str) -> None:
        raise ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, "HeadObject")

    version = Version(version=1, model_package_arn="arn", artifact="s3://bucket/1/model.tar.gz")
    with pytest.raises(ClientError, match="Forbidden"):
        require_artifact(SimpleNamespace(head_object=denied), GROUP, version)  # type: ignore[arg-type]


def test_what_may_be_deployed_is_approved_and_there(sagemaker: Any, bucket: Any) -> None:
    assert approved_version(sagemaker, bucket, GROUP, None).version == 4
    set_status(sagemaker, "PendingManualApproval", 4)
    assert approved_version(sagemaker, bucket, GROUP, None).version == 3
    assert approved_version(sagemaker, bucket, GROUP, 2).version == 2
    with pytest.raises(VersionError, match="pumps version 4 is PendingManualApproval, not Approved; nothing"):
        approved_version(sagemaker, bucket, GROUP, 4)
    with pytest.raises(VersionError, match=r"has no version 9 of pumps. It has: 1, 2, 3, 4\."):
        approved_version(sagemaker, bucket, GROUP, 9)
    del bucket.objects["2/model.tar.gz"]
    with pytest.raises(VersionError, match="is gone"):
        approved_version(sagemaker, bucket, GROUP, 2)
    set_status(sagemaker, "Rejected", 1, 2, 3, 4)
    with pytest.raises(VersionError, match="pumps has no approved version"):
        approved_version(sagemaker, bucket, GROUP, None)


def test_before_the_first_registration_there_is_nothing(sagemaker: Any) -> None:
    assert newest_approved(sagemaker, "mills") is None
    with pytest.raises(VersionError, match=r"has no version 1 of mills. It has: none\."):
        find_version(sagemaker, "mills", 1)


def test_a_registry_that_may_not_be_read_is_not_called_empty() -> None:
    def refused(code: str) -> Any:
        def ask(**_: object) -> None:
            raise ClientError({"Error": {"Code": code, "Message": "Could not find it"}}, "Ask")

        return ask

    denied = refused("AccessDeniedException")
    sagemaker: Any = SimpleNamespace(list_model_packages=denied, describe_model_package_group=denied)
    for ask in (lambda: newest_approved(sagemaker, GROUP), lambda: find_package(sagemaker, GROUP, 1)):
        with pytest.raises(ClientError, match="AccessDenied"):
            ask()
    sagemaker.describe_model_package_group = refused(NO_SUCH_VERSION[0])
    sagemaker.get_paginator = lambda _: SimpleNamespace(paginate=denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        find_version(sagemaker, GROUP, 1)


def test_a_decision_removes_only_what_it_does_not_write() -> None:
    changes: list[dict[str, Any]] = []

    def decide(known: dict[str, str]) -> Any:
        sagemaker: Any = SimpleNamespace(
            describe_model_package=lambda **_: {"CustomerMetadataProperties": known},
            update_model_package=lambda **change: changes.append(change),
        )
        keep_decision(sagemaker, "arn", {"by": "Ann", "at": "noon"}, promoted=True)
        return changes[-1].get("CustomerMetadataPropertiesToRemove")

    assert decide({f"{DECISION}by": "Bob", f"{DECISION}reason": "slow", "run_id": "1"}) == [f"{DECISION}reason"]
    assert decide({f"{DECISION}by": "Bob"}) is None


def test_the_candidate_is_the_newest_that_may_still_go_into_production(sagemaker: Any) -> None:
    def candidate(after: int) -> int | None:
        found = newest_candidate(sagemaker, GROUP, after=after)
        return found.version if found else None

    assert (candidate(1), candidate(4)) == (4, None)
    set_status(sagemaker, "Rejected", 4)
    assert (candidate(1), candidate(3)) == (3, None)
    keep_decision(sagemaker, arn(sagemaker, 3), {"by": "eve", "at": "noon"}, promoted=False)
    set_stage(sagemaker, arn(sagemaker, 2), REPLACED, "another version")
    assert candidate(0) == 1
    set_stage(sagemaker, arn(sagemaker, 2), PROMOTED, "by eve")
    assert candidate(0) == 2


def test_a_decision_replaces_the_one_before_and_leaves_the_lineage(sagemaker: Any) -> None:
    package = arn(sagemaker, 2)
    keep_decision(sagemaker, package, {"by": "eve", "at": "noon", "reason": "too slow"}, promoted=False)
    keep_decision(sagemaker, package, {"by": "adam", "at": "one"}, promoted=True)
    found = sagemaker.describe_model_package(ModelPackageName=package)
    assert found["CustomerMetadataProperties"] == {
        "dag_id": "train_pumps",
        "run_id": "run-2",
        "promotion_by": "adam",
        "promotion_at": "one",
    }
    assert found["ModelLifeCycle"] == {
        "Stage": "Staging",
        "StageStatus": "Promoted",
        "StageDescription": "by adam at one",
    }


def test_a_version_says_what_registered_it_and_where_its_evaluation_is(sagemaker: Any) -> None:
    full, bare = (find_version(sagemaker, GROUP, version) for version in (2, 1))
    assert (full.ran, full.evaluation) == (("train_pumps", "run-2"), "s3://bucket/2/evaluation.json")
    assert bare.ran is None
    assert full.model_copy(update={"metadata": {"dag_id": "train_pumps"}}).ran is None
    assert full.model_copy(update={"metadata": {"run_id": "run-2"}}).ran is None
    with pytest.raises(VersionError, match="names no quality statistics"):
        _ = bare.evaluation


def test_a_registered_artifact_is_copied_once_and_outlives_what_a_job_does_to_the_first(ml_bucket: LocalS3) -> None:
    trained = "s3://my-ml-bucket/runs/train_m/r/train_model/j/output/model.tar.gz"
    ml_bucket.objects["runs/train_m/r/train_model/j/output/model.tar.gz"] = b"good"
    kept, again = (keep_artifact(ml_bucket, "my-ml-bucket", "m", trained) for _ in range(2))  # type: ignore[arg-type]
    assert kept == again
    copies = [key for change, key in ml_bucket.log if change == "copy"]
    assert [f"s3://my-ml-bucket/{key}" for key in copies] == [kept]
    ml_bucket.objects["runs/train_m/r/train_model/j/output/model.tar.gz"] = b"another job's"
    assert ml_bucket.objects[copies[0]] == b"good"
    assert keep_artifact(ml_bucket, "my-ml-bucket", "m", trained) != kept, "another artifact has another location"  # type: ignore[arg-type]


def test_an_artifact_that_is_gone_before_it_is_registered_says_what_to_do(ml_bucket: LocalS3) -> None:
    with pytest.raises(VersionError, match="is gone: nothing was registered"):
        keep_artifact(ml_bucket, "my-ml-bucket", "m", "s3://my-ml-bucket/runs/a/model.tar.gz")  # type: ignore[arg-type]
