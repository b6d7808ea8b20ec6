"""What a deployment decides when it runs, with the registry and S3 answered from memory."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import approval_request as promotion
from include.deploy import tasks as deploy
from include.deploy.form import AS_CONFIGURED
from include.models.config import load_model
from include.platform.environment import EXAMPLE, ml_environment
from include.registry.history import Entry, History, promote
from include.registry.versions import VersionError
from tests.include.fake_clients import answer_from

MODEL = load_model("predictive_maintenance")
GROUP_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/predictive-maintenance"
APPROVALS = Asset("predictive_maintenance_approved_package")


def arn(version: int) -> str:
    return f"{GROUP_ARN.replace(':model-package-group/', ':model-package/')}/{version}"


def entry(version: int) -> Entry:
    return Entry(
        version=version,
        model_package_arn=arn(version),
        artifact=f"s3://my-ml-bucket/{version}/model.tar.gz",
        since=datetime(2026, 11, version, tzinfo=UTC),
        endpoint_config=f"config-{version}",
        dag_id="deploy_predictive_maintenance",
        run_id=f"run-{version}",
    )


class Registry:
    """Versions 1 to 4 with their artifacts, as far as deployments ask for them."""

    def __init__(self) -> None:
        self.status = {1: "Approved", 2: "Approved", 3: "Approved", 4: "PendingManualApproval"}
        self.etags = {version: f'"etag-{version}"' for version in self.status}
        self.history = History()
        self.metadata: dict[str, str] = {}
        self.live = "config-1"
        self.modified = datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC)

    def describe_model_package_group(self, ModelPackageGroupName: str) -> dict[str, Any]:  # noqa: N803
        return {"ModelPackageGroupArn": GROUP_ARN}

    def describe_model_package(self, ModelPackageName: str) -> dict[str, Any]:  # noqa: N803
        version = int(ModelPackageName.rsplit("/", 1)[1])
        if version not in self.status:
            raise ClientError({"Error": {"Code": "ValidationException"}}, "DescribeModelPackage")
        container = {
            "Image": "image:1",
            "ModelDataUrl": f"s3://my-ml-bucket/{version}/model.tar.gz",
            "ModelDataETag": f"etag-{version}",
        }
        return {
            "ModelPackageArn": ModelPackageName,
            "ModelPackageVersion": version,
            "ModelApprovalStatus": self.status[version],
            "LastModifiedTime": self.modified,
            "CustomerMetadataProperties": self.metadata,
            "InferenceSpecification": {"Containers": [container]},
            "ModelMetrics": {"ModelQuality": {"Statistics": {"S3Uri": f"s3://my-ml-bucket/{version}/evaluation.json"}}},
        }

    def get_paginator(self, operation: str) -> Any:
        found = [{"ModelPackageVersion": version, "ModelPackageArn": arn(version)} for version in self.status]
        return SimpleNamespace(paginate=lambda **_: [{"ModelPackageSummaryList": found}])

    def list_model_packages(self, **_: Any) -> dict[str, Any]:
        approved = [version for version, status in self.status.items() if status == "Approved"]
        return {"ModelPackageSummaryList": [{"ModelPackageArn": arn(version)} for version in sorted(approved)[-1:]]}

    def update_model_package(self, ModelPackageArn: str, CustomerMetadataProperties: dict[str, str]) -> None:  # noqa: N803
        self.metadata |= CustomerMetadataProperties

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803
        return {"EndpointConfigName": self.live}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        version = int(Key.split("/")[0])
        if version not in self.etags:
            raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
        return {"ETag": self.etags[version]}

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        assert Key == "production/predictive_maintenance/history.json"
        return {"Body": io.BytesIO(self.history.model_dump_json(by_alias=True).encode()), "ETag": "x"}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    made = Registry()
    answer_from(monkeypatch, s3=made, sagemaker=made)
    return made


def context(version: int | None = None, approved: list[int] | None = None, **params: Any) -> Any:
    """Of a run by hand, or one that approvals of these versions started, in this order."""
    events = [
        SimpleNamespace(extra={"payload": {"version": one, "approved_at": f"2026-11-21T10:00:{number:02d}Z"}})
        for number, one in enumerate(approved or [])
    ]
    return {
        "params": {"version": version, "stages": "staging and production", "strategy": AS_CONFIGURED, **params},
        "triggering_asset_events": {APPROVALS: events[::-1]} if events else {},
        "ti": SimpleNamespace(dag_id="deploy_predictive_maintenance", run_id="run"),
    }


def resolved(**arguments: Any) -> int:
    return deploy.resolve_package(MODEL, APPROVALS, context(**arguments))["version"]["version"]


def test_by_hand_the_version_asked_for_or_the_newest_approved() -> None:
    assert resolved() == 3
    assert resolved(version=1) == 1


def test_of_several_approvals_the_last_that_stands(registry: Registry) -> None:
    assert resolved(approved=[3, 1]) == 1
    assert resolved(approved=[1, 2, 3]) == 3
    registry.status[3] = "Rejected"
    assert resolved(approved=[1, 2, 3]) == 2
    registry.status |= {1: "Rejected", 2: "Rejected"}
    with pytest.raises(AirflowSkipException, match="taken back"):
        resolved(approved=[1, 2, 3])


def test_of_approvals_in_one_second_the_newest_version() -> None:
    for order in ([1, 2, 3], [3, 2, 1], [2, 3, 1]):
        at_once = context(approved=order)
        for event in at_once["triggering_asset_events"][APPROVALS]:
            event.extra["payload"]["approved_at"] = "2026-11-21T10:00:00Z"
        assert deploy.resolve_package(MODEL, APPROVALS, at_once)["version"]["version"] == 3


def test_an_approval_that_came_while_the_run_was_made_is_not_lost(registry: Registry) -> None:
    assert resolved(approved=[1]) == 3
    registry.metadata = {"promotion_decision": "promoted"}
    assert resolved(approved=[1]) == 1, "somebody has decided about version 3 before"
    registry.metadata = {}
    registry.modified = datetime(2026, 11, 20, tzinfo=UTC)
    assert resolved(approved=[1]) == 1, "version 3 was approved long ago; 1 is what somebody wants now"


def test_an_approval_of_what_is_in_production_is_done_already_a_person_may_insist(registry: Registry) -> None:
    registry.history = promote(History(), entry(3))
    with pytest.raises(AirflowSkipException, match="in production already"):
        resolved(approved=[3])
    assert resolved(version=3) == 3


@pytest.mark.parametrize(
    ("version", "said"), [(4, "PendingManualApproval, not Approved"), (9, "Versions there are: 1, 2")]
)
def test_what_may_not_be_deployed_is_refused_and_says_what_to_do(version: int, said: str) -> None:
    with pytest.raises(VersionError, match=said) as refusal:
        resolved(version=version)
    assert "othing was touched" in str(refusal.value)


def test_an_artifact_that_is_gone_or_another_one_is_refused(registry: Registry) -> None:
    registry.etags[3] = '"other"'
    with pytest.raises(VersionError, match="is not what predictive-maintenance version 3 was registered with"):
        resolved(approved=[3])
    del registry.etags[3]
    with pytest.raises(VersionError, match=r"s3://my-ml-bucket/3/model.tar.gz, is gone"):
        resolved()


def test_nothing_approved_says_how_to_get_there(registry: Registry) -> None:
    registry.status = dict.fromkeys(registry.status, "Rejected")
    with pytest.raises(VersionError, match="make promote"):
        resolved()


def test_what_comes_after_the_test_in_staging(monkeypatch: pytest.MonkeyPatch) -> None:
    assert promotion.next_task(ml_environment(), context()) == "approve_production"
    assert promotion.next_task(ml_environment(), context(stages="staging")) == "keep_production"
    generous = json.dumps({**json.loads(EXAMPLE), "approve_promotions": True})
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", generous)
    assert promotion.next_task(ml_environment(), context()) == "record_decision"
    assert promotion.next_task(ml_environment(), context(stages="staging")) == "keep_production"


@pytest.mark.parametrize(
    ("answer", "decision", "by", "reason"),
    [
        (
            {
                "chosen_options": ["Approve"],
                "params_input": {"reason": "good"},
                "responded_by_user": {"id": "1", "name": "Ann"},
            },
            "promoted",
            "Ann",
            "good",
        ),
        (
            {
                "chosen_options": ["Reject"],
                "params_input": {"reason": None},
                "responded_by_user": {"id": "1", "name": ""},
            },
            "not promoted",
            "1",
            None,
        ),
        (
            {"chosen_options": ["Reject"], "params_input": {"reason": ""}, "responded_by_user": None},
            "not promoted",
            "nobody",
            "no answer in time",
        ),
        (None, "promoted", "nobody", "this environment promotes what passed its test"),
    ],
)
def test_the_decision_is_kept_with_the_version(
    registry: Registry, answer: dict[str, Any] | None, decision: str, by: str, reason: str | None
) -> None:
    given = answer and {**answer, "responded_at": datetime(2026, 11, 21, tzinfo=UTC)}
    version = deploy.resolve_package(MODEL, APPROVALS, context())["version"]
    following = promotion.record_decision(MODEL, context(), answer=given, version=version)
    assert following == ("deploy_production" if decision == "promoted" else "keep_production")
    assert registry.metadata["promotion_decision"] == decision
    assert registry.metadata["promotion_by"] == by
    assert registry.metadata.get("promotion_reason") == reason
    assert registry.metadata["promotion_at"].startswith(
        "2026-11-21" if answer and answer["responded_by_user"] else "20"
    )


def test_restoring_skips_itself_where_production_was_not_changed(registry: Registry) -> None:
    found = deploy.resolve_package(MODEL, APPROVALS, context())
    with pytest.raises(AirflowSkipException):
        deploy.restore_production(MODEL, context(), resolved=found, deployed=None)
    with pytest.raises(AirflowFailException, match="nothing to go back to"):
        deploy.restore_production(MODEL, context(), resolved=found, deployed={"config": "x"})


def test_what_another_run_has_replaced_is_not_recorded() -> None:
    version = deploy.resolve_package(MODEL, APPROVALS, context())["version"]
    with pytest.raises(AirflowFailException, match="another run changed it since"):
        deploy.enter_into_history(MODEL, context(), version=version, deployed={"endpoint": "e", "config": "config-3"})
