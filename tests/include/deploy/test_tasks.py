"""What a deployment decides when it runs, with the registry and S3 of a local AWS."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import approval_request as promotion
from include.deploy import tasks as deploy
from include.deploy.endpoint_checks import Thresholds
from include.deploy.form import AS_CONFIGURED
from include.models.config import load_model
from include.platform.environment import EXAMPLE, ml_environment
from include.platform.storage import production_history, split_uri
from include.registry.history import Entry, History, current, promote, read_history
from include.registry.served import read_served
from include.registry.versions import VersionError
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker

MODEL = load_model("predictive_maintenance")
GROUP = "predictive-maintenance"
APPROVALS = Asset("predictive_maintenance_approved_package")


def arn(version: int) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{GROUP}/{version}"


def entry(version: int) -> Entry:
    return Entry(
        version=version,
        model_package_arn=arn(version),
        artifact=f"s3://bucket/{version}/model.tar.gz",
        since=datetime(2026, 11, version, tzinfo=UTC),
        endpoint_config=f"config-{version}",
        dag_id="deploy_predictive_maintenance",
        run_id=f"run-{version}",
    )


class Registry:
    """A boto3 client of a registry with versions 1 to 4; version 4 waits for approval. ``live`` is the endpoint's
    configuration. A test's changes are undone."""

    def __init__(self, sagemaker: Any) -> None:
        self._sagemaker = sagemaker
        self.live = "config-1"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sagemaker, name)

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803 - as boto3 spells it
        return {"EndpointConfigName": self.live, "LastModifiedTime": datetime(2026, 11, 20, tzinfo=UTC)}

    def describe_endpoint_config(self, EndpointConfigName: str) -> dict[str, Any]:  # noqa: N803
        return {"ProductionVariants": [{"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}]}

    def metadata(self, version: int) -> dict[str, str]:
        found: dict[str, str] = self.describe_model_package(ModelPackageName=arn(version)).get(
            "CustomerMetadataProperties", {}
        )
        return found

    def set_status(self, status: str, *versions: int) -> None:
        for version in versions:
            self.update_model_package(ModelPackageArn=arn(version), ModelApprovalStatus=status)

    def restore(self) -> None:
        self.set_status("Approved", 1, 2, 3)
        for version in (1, 2, 3):
            self.update_model_package(
                ModelPackageArn=arn(version), CustomerMetadataPropertiesToRemove=list(self.metadata(version))
            )


@pytest.fixture(scope="module")
def sagemaker(local_aws: LocalSageMaker) -> Iterator[Any]:
    def evaluated(version: int) -> dict[str, object]:
        statistics = {"ContentType": "application/json", "S3Uri": f"s3://bucket/{version}/evaluation.json"}
        return {"ModelMetrics": {"ModelQuality": {"Statistics": statistics}}}

    with registered_versions(local_aws, GROUP, 4, evaluated) as made:
        made.update_model_package(ModelPackageArn=arn(4), ModelApprovalStatus="PendingManualApproval")
        yield made


@pytest.fixture(autouse=True)
def registry(sagemaker: Any, ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    made = Registry(sagemaker)
    answer_from(monkeypatch, s3=ml_bucket, sagemaker=made)
    yield made
    made.restore()


@pytest.fixture
def artifacts(local_aws: LocalSageMaker, registry: Registry) -> Iterator[LocalS3]:
    """The bucket with the artifacts of ``registered_versions``."""
    made = LocalS3(local_aws, "bucket")
    before = dict(made.objects)
    yield made
    made.objects.update(before)


def promoted(s3: LocalS3, *entries: Entry) -> None:
    """Give production's history these entries, in this order."""
    history = functools.reduce(promote, entries, History())
    key = split_uri(production_history("my-ml-bucket", MODEL.name))[1]
    s3.objects[key] = history.model_dump_json(by_alias=True).encode()


def context(
    version: int | None = None, approved: list[int] | None = None, day: str = "2020-11-21", **params: Any
) -> Any:
    """The context of a manual run, or of one started by approvals of these versions, in this order, a second apart."""
    events = [
        SimpleNamespace(extra={"payload": {"version": one, "approved_at": f"{day}T10:00:{number:02d}Z"}})
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
    registry.set_status("Rejected", 3)
    assert resolved(approved=[1, 2, 3]) == 2
    registry.set_status("Rejected", 1, 2)
    with pytest.raises(AirflowSkipException, match="withdrawn"):
        resolved(approved=[1, 2, 3])


def test_of_approvals_in_one_second_the_newest_version() -> None:
    for order in ([1, 2, 3], [3, 2, 1], [2, 3, 1]):
        at_once = context(approved=order)
        for event in at_once["triggering_asset_events"][APPROVALS]:
            event.extra["payload"]["approved_at"] = "2020-11-21T10:00:00Z"
        assert deploy.resolve_package(MODEL, APPROVALS, at_once)["version"]["version"] == 3


def test_an_approval_that_came_while_the_run_was_made_is_not_lost(registry: Registry) -> None:
    assert resolved(approved=[1]) == 3
    assert resolved(approved=[1], day="2999-11-21") == 1, "version 3 was approved earlier; somebody wants 1 now"
    registry.update_model_package(ModelPackageArn=arn(3), CustomerMetadataProperties={"promotion_decision": "promoted"})
    assert resolved(approved=[1]) == 1, "somebody has already decided about version 3"


def test_an_approval_of_what_is_in_production_is_done_already_a_person_may_insist(ml_bucket: LocalS3) -> None:
    promoted(ml_bucket, entry(3))
    with pytest.raises(AirflowSkipException, match="already in production"):
        resolved(approved=[3])
    assert resolved(version=3) == 3


@pytest.mark.parametrize(("version", "said"), [(4, "PendingManualApproval, not Approved"), (9, "It has: 1, 2")])
def test_what_may_not_be_deployed_is_refused_and_says_what_to_do(version: int, said: str) -> None:
    with pytest.raises(VersionError, match=said) as refusal:
        resolved(version=version)
    assert "othing was changed" in str(refusal.value)


def test_an_artifact_that_is_gone_or_another_one_is_refused(artifacts: LocalS3) -> None:
    artifacts.objects["3/model.tar.gz"] = b"other"
    with pytest.raises(VersionError, match="is not what predictive-maintenance version 3 was registered with"):
        resolved(approved=[3])
    del artifacts.objects["3/model.tar.gz"]
    with pytest.raises(VersionError, match=r"s3://bucket/3/model.tar.gz, is gone"):
        resolved()


def test_nothing_approved_says_how_to_get_there(registry: Registry) -> None:
    registry.set_status("Rejected", 1, 2, 3)
    with pytest.raises(VersionError, match="make promote"):
        resolved()


def test_what_comes_after_the_test_in_staging(monkeypatch: pytest.MonkeyPatch) -> None:
    following = functools.partial(promotion.next_task, shadow=False)
    assert following(ml_environment(), context()) == "approve_production"
    assert following(ml_environment(), context(stages="staging")) == "keep_production"
    assert promotion.next_task(ml_environment(), context(), shadow=True) == "deploy_shadow"
    generous = json.dumps({**json.loads(EXAMPLE), "approve_promotions": True})
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", generous)
    assert following(ml_environment(), context()) == "record_decision"
    assert following(ml_environment(), context(stages="staging")) == "keep_production"


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
    kept = registry.metadata(3)
    assert kept["promotion_decision"] == decision
    assert kept["promotion_by"] == by
    assert kept.get("promotion_reason") == reason
    assert kept["promotion_at"].startswith("2026-11-21" if answer and answer["responded_by_user"] else "20")


def test_restoring_skips_itself_where_production_was_not_changed() -> None:
    with pytest.raises(AirflowSkipException):
        deploy.restore_production(MODEL, context(), deployed=None)
    with pytest.raises(AirflowFailException, match="nothing to go back to"):
        deploy.restore_production(MODEL, context(), deployed={"endpoint": "e", "config": "x"})


def of_this_run(version: int) -> Entry:
    return entry(version).model_copy(update={"run_id": context()["ti"].run_id})


def again(version: int, day: int) -> Entry:
    """A version restored by a rollback on a given day."""
    back = {"since": datetime(2026, 11, day, tzinfo=UTC), "dag_id": "rollback", "run_id": f"rollback-{day}"}
    return entry(version).model_copy(update=back)


@pytest.mark.parametrize(
    ("entries", "back"),
    [
        ([entry(1), entry(2)], 2),
        ([entry(1), entry(2), again(1, 9)], 1),  # while a person was being asked
        ([entry(1), entry(2), of_this_run(3)], 2),  # tested again after its promotion was recorded
    ],
)
def test_production_goes_back_to_what_it_had_when_the_run_changed_it(
    registry: Registry, ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch, entries: list[Entry], back: int
) -> None:
    told: list[str] = []
    tested: list[str] = []
    monkeypatch.setattr(deploy, "notify", lambda subject, message: told.append(subject))
    monkeypatch.setattr(
        deploy,
        "_test_endpoint",
        lambda model, stage, version, deployed: tested.append(version["model_package_arn"]) or {"summary": ""},
    )
    registry.describe_endpoint_config = lambda EndpointConfigName: {}  # noqa: N803 - as boto3 spells it
    promoted(ml_bucket, *entries)
    for _ in range(2):  # a cleared task finds the same state
        request = deploy.restore_production(MODEL, context(), deployed={"endpoint": "e", "config": "config-3"})
        registry.live = request["config_name"]
        assert registry.live == f"config-{back}"
        deploy.test_restored(MODEL, context(), deployed={"endpoint": "e", "config": registry.live})
    assert tested == [arn(back)] * 2
    assert told == [f"predictive_maintenance: production is back at version {back}"] * 2
    last = current(read_history(ml_bucket, "my-ml-bucket", MODEL.name))
    assert last is not None
    assert (last.version, last.endpoint_config) == (back, f"config-{back}")


def test_what_another_run_has_replaced_is_not_recorded() -> None:
    version = deploy.resolve_package(MODEL, APPROVALS, context())["version"]
    with pytest.raises(AirflowFailException, match="another run changed it since"):
        deploy.enter_into_history(MODEL, context(), version=version, deployed={"endpoint": "e", "config": "config-3"})


def test_what_is_recorded_is_told_to_people_and_to_who_follows_production(
    registry: Registry, ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(deploy, "notify", lambda subject, message: told.append((subject, message)))
    promoted(ml_bucket, entry(1))
    production, event = Asset("predictive_maintenance_production"), SimpleNamespace(extra=None)
    given = {**context(), "outlet_events": {production: event}}
    version = deploy.resolve_package(MODEL, APPROVALS, context(version=2))["version"]
    registry.live = "config-2"
    deployed = {"endpoint": "predictive-maintenance-production", "config": "config-2"}
    recorded = deploy.record_promotion(MODEL, production, given, version=version, deployed=deployed)
    assert recorded == event.extra
    assert recorded == {
        "version": 2,
        "model_package_arn": arn(2),
        "endpoint": "predictive-maintenance-production",
        "previous_version": 1,
    }
    last = current(read_history(ml_bucket, "my-ml-bucket", MODEL.name))
    assert last is not None
    assert last.as_json() == {**entry(2).as_json(), "run_id": "run", "from": last.as_json()["from"]}
    stages = [registry.describe_model_package(ModelPackageName=arn(n))["ModelLifeCycle"] for n in (1, 2)]
    assert [(one["Stage"], one["StageStatus"]) for one in stages] == [
        ("Production", "Replaced"),
        ("Production", "Serving"),
    ]
    ((subject, message),) = told
    assert subject == "predictive_maintenance version 2 is in production"
    assert f"deploy_predictive_maintenance, run run, put {arn(2)} behind endpoint" in message
    assert "To go back to version 1: trigger rollback for predictive_maintenance." in message


def test_the_first_version_has_nothing_to_go_back_to(
    registry: Registry, ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(deploy, "notify", lambda subject, message: told.append(message))
    version = deploy.resolve_package(MODEL, APPROVALS, context(version=2))["version"]
    deployed = {"endpoint": "e", "config": registry.live}
    assert deploy.enter_into_history(MODEL, context(), version=version, deployed=deployed)["previous_version"] is None
    assert "rollback" not in told[0]


def test_what_is_not_promoted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(deploy, "notify", lambda subject, message: told.append(f"{subject}. {message}"))
    given = {**context(), "dag": SimpleNamespace(dag_id="deploy_predictive_maintenance")}
    deploy.keep_production(MODEL, given, version={"version": 3})
    assert told == [
        "deploy_predictive_maintenance: version 3 was not promoted. Production is unchanged. The version's "
        "metadata in the Model Registry has the reason."
    ]


def test_an_endpoint_is_held_to_model_yaml_and_its_failures_are_told(
    registry: Registry, ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    report = {"passed": True, "summary": "fine", "failures": []}
    answer_from(monkeypatch, s3=ml_bucket, sagemaker=registry, sagemaker_runtime=None)
    monkeypatch.setattr(deploy, "load_golden_requests", lambda client, uri: [uri])
    monkeypatch.setattr(deploy, "columns_of", lambda golden: ["volt"])
    monkeypatch.setattr(
        deploy,
        "check_endpoint",
        lambda runtime, client, endpoint, **given: (
            asked.append((endpoint, given["golden"], given["thresholds"])) or report
        ),
    )
    version, deployed = {"model_package_arn": arn(1)}, {"endpoint": "e", "config": "config-1"}
    assert deploy.test_staging(MODEL, context(), version=version, deployed=deployed) == report
    report = {"passed": False, "summary": "2 wrong", "failures": ["row 1", "too slow"]}
    with pytest.raises(AirflowFailException, match="2 wrong\n  row 1\n  too slow"):
        deploy.test_production(MODEL, context(), version=version, deployed=deployed)
    registry.live = "config-2"
    with pytest.raises(AirflowFailException, match="another run changed it since"):
        deploy.test_production(MODEL, context(), version=version, deployed=deployed)
    limits = Thresholds(p50_ms=200, p99_ms=1000, requests=200, clients=2)
    assert asked == [
        (f"{GROUP}-{stage}", ["s3://bucket/1/golden_requests.json"], limits) for stage in ("staging", "production")
    ]
    spans = read_served(ml_bucket, "my-ml-bucket", MODEL.name)  # type: ignore[arg-type]
    assert [(span["stage"], span["instances"], span["ended"]) for span in spans] == [
        ("staging", 1, None),
        ("production", 1, None),
    ]


class Deleted:
    """A SageMaker with one endpoint in the given state; empty if it is gone."""

    def __init__(self, state: str) -> None:
        self.state, self.asked = state, list[str]()

    def describe_endpoint(self, EndpointName: str) -> dict[str, str]:  # noqa: N803
        if not self.state:
            error = {"Code": "ValidationException", "Message": f'Could not find endpoint "{EndpointName}".'}
            raise ClientError({"Error": error}, "DescribeEndpoint")
        return {"EndpointStatus": self.state}

    def delete_endpoint(self, EndpointName: str) -> None:  # noqa: N803
        self.asked.append(EndpointName)

    def get_waiter(self, name: str) -> Any:
        assert name == "endpoint_deleted"
        return SimpleNamespace(wait=lambda **_: self.asked.append("waited"))


@pytest.mark.parametrize(
    ("staging", "state", "asked"),
    [
        ("delete", "InService", [f"{GROUP}-staging", "waited"]),
        ("delete", "Deleting", ["waited"]),
        ("delete", "", []),
        ("keep", "InService", []),
    ],
)
def test_staging_goes_where_model_yaml_does_not_keep_it(
    staging: str, state: str, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sagemaker, environment = Deleted(state), ml_environment()
    monkeypatch.setattr(deploy, "sagemaker_client", lambda _: sagemaker)
    serving = MODEL.serving.model_copy(update={"staging": staging})
    deploy.clear_staging(MODEL.model_copy(update={"serving": serving}), environment)
    assert sagemaker.asked == asked


def test_production_moves_its_traffic_as_the_form_says_and_staging_at_once() -> None:
    found = deploy.resolve_package(MODEL, APPROVALS, context(version=2))
    staging = deploy.deploy_staging(MODEL, context(), resolved=found)
    production = deploy.deploy_production(MODEL, context(strategy="linear"), resolved=found)
    assert staging["endpoint"]["EndpointName"] == f"{GROUP}-staging"
    assert production["endpoint"]["EndpointName"] == f"{GROUP}-production"
    shift = production["deployment"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert shift["Type"] == "LINEAR"
    assert production["model"]["PrimaryContainer"]["ModelDataUrl"] == "s3://bucket/2/model.tar.gz"


def test_what_production_and_a_rollback_need_is_not_pruned(ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    pruned: list[Any] = []
    monkeypatch.setattr(deploy, "prune", lambda client, group, kept: pruned.append((group, kept)) or {"models": ["m"]})
    promoted(ml_bucket, entry(1), entry(2), entry(3))
    assert deploy.prune_stale(MODEL, context()) == {"models": ["m"]}
    promoted(ml_bucket, entry(1))
    deploy.prune_stale(MODEL, context())
    assert pruned == [(GROUP, ["config-3", "config-2"]), (GROUP, ["config-1"])]
