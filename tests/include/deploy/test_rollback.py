"""Rollbacks of all models are runs of one Dag: which runs may continue, and which version they restore."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError

from include.deploy import rollback_tasks, tasks
from include.deploy.rollback_claim import RollbackUnderwayError, claim_rollback
from include.platform.environment import EXAMPLE
from include.platform.storage import production_history, rollback_claim, split_uri
from include.registry.history import Entry, History, promote
from include.registry.versions import VersionError
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3
from tests.include.local_sagemaker.local_server import LocalSageMaker

BUCKET, PUMPS, PRICES = "my-ml-bucket", "predictive_maintenance", "electricity"


class Airflow:
    """The states of runs that a task instance can ask for."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    def run(self, run_id: str) -> Any:
        """A task instance of a run that becomes active now."""
        self.states[run_id] = "running"
        return SimpleNamespace(dag_id="rollback", run_id=run_id, get_dr_count=self._count)

    def _count(self, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert dag_id == "rollback"
        return sum(self.states.get(run_id) in states for run_id in run_ids)


@pytest.fixture
def s3(ml_bucket: LocalS3) -> LocalS3:
    return ml_bucket


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


def holder(s3: LocalS3, model: str = PUMPS) -> str:
    run_id: str = json.loads(s3.objects[split_uri(rollback_claim(BUCKET, model))[1]])["run_id"]
    return run_id


def test_of_two_runs_of_a_model_the_second_ends_and_names_the_first(s3: LocalS3, airflow: Airflow) -> None:
    first, second = airflow.run("first"), airflow.run("second")
    claim_rollback(s3, BUCKET, PUMPS, first)
    with pytest.raises(
        RollbackUnderwayError, match="run first of rollback is already rolling predictive_maintenance back"
    ):
        claim_rollback(s3, BUCKET, PUMPS, second)
    claim_rollback(s3, BUCKET, PUMPS, first)
    assert holder(s3) == "first"
    assert len(s3.log) == 1, "claiming again writes nothing"


def test_no_model_waits_for_another_one(s3: LocalS3, airflow: Airflow) -> None:
    claim_rollback(s3, BUCKET, PUMPS, airflow.run("first"))
    claim_rollback(s3, BUCKET, PRICES, airflow.run("second"))
    assert (holder(s3), holder(s3, PRICES)) == ("first", "second")


@pytest.mark.parametrize("end", ["success", "failed", None])
def test_a_run_that_is_over_or_deleted_holds_up_nobody(s3: LocalS3, airflow: Airflow, end: str | None) -> None:
    claim_rollback(s3, BUCKET, PUMPS, airflow.run("first"))
    if end is None:
        del airflow.states["first"]
    else:
        airflow.states["first"] = end
    claim_rollback(s3, BUCKET, PUMPS, airflow.run("second"))
    assert holder(s3) == "second"


def test_a_run_that_was_cleared_does_not_interrupt_its_successor(s3: LocalS3, airflow: Airflow) -> None:
    claim_rollback(s3, BUCKET, PUMPS, airflow.run("first"))
    airflow.states["first"] = "failed"
    claim_rollback(s3, BUCKET, PUMPS, airflow.run("second"))
    cleared = airflow.run("first")
    with pytest.raises(RollbackUnderwayError, match="run second of rollback"):
        claim_rollback(s3, BUCKET, PUMPS, cleared)
    airflow.states["second"] = "success"
    claim_rollback(s3, BUCKET, PUMPS, cleared)
    assert holder(s3) == "first"


@pytest.mark.parametrize("held", [False, True])
def test_of_two_runs_that_claim_in_the_same_moment_one_goes_on(
    local_aws: LocalSageMaker, s3: LocalS3, airflow: Airflow, held: bool
) -> None:
    if held:  # by a finished run
        claim_rollback(s3, BUCKET, PUMPS, airflow.run("before"))
        airflow.states["before"] = "success"
    first, second = airflow.run("first"), airflow.run("second")

    class Overtaken(LocalS3):
        """An S3 in which the other run claims the rollback between this run's reading and writing."""

        def put_object(self, **request: Any) -> Any:
            claim_rollback(s3, BUCKET, PUMPS, second)
            return s3.put_object(**request)

    with pytest.raises(RollbackUnderwayError, match="run second of rollback"):
        claim_rollback(Overtaken(local_aws, BUCKET), BUCKET, PUMPS, first)
    assert holder(s3) == "second"


def test_an_answer_that_was_lost_on_its_way_does_no_harm(
    local_aws: LocalSageMaker, s3: LocalS3, airflow: Airflow
) -> None:
    """boto3 repeats the request, and S3 refuses it because of what the first one wrote."""

    class Lossy(LocalS3):
        def put_object(self, **request: Any) -> Any:
            s3.put_object(**request)
            return s3.put_object(**request)

    claim_rollback(Lossy(local_aws, BUCKET), BUCKET, PUMPS, airflow.run("first"))
    assert holder(s3) == "first"


def test_a_killed_claim_is_taken_up_by_its_retry_and_s3s_refusal_is_told(s3: LocalS3, airflow: Airflow) -> None:
    first = airflow.run("first")
    s3.fail_at = "rollback.json"
    with pytest.raises(ClientError):
        claim_rollback(s3, BUCKET, PUMPS, first)
    claim_rollback(s3, BUCKET, PUMPS, first)
    claim_rollback(s3, BUCKET, PUMPS, first)
    assert holder(s3) == "first"


# -- what the tasks do ------------------------------------------------------------------------------------------------


@pytest.fixture
def promoted_thrice(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    answer_from(monkeypatch, s3=s3)
    history = History()
    for version in (1, 2, 3):
        entry = Entry(
            version=version,
            model_package_arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/predictive-maintenance/{version}",
            artifact=f"s3://{BUCKET}/{version}/model.tar.gz",
            since=datetime(2026, 11, version, tzinfo=UTC),
            endpoint_config=f"config-{version}",
            dag_id="deploy_predictive_maintenance",
            run_id=f"run-{version}",
        )
        history = promote(history, entry)
    s3.objects[split_uri(production_history(BUCKET, PUMPS))[1]] = history.model_dump_json(by_alias=True).encode()
    return s3


def context(airflow: Airflow, model: str = PUMPS, version: int | None = None, run_id: str = "run") -> Any:
    return {"params": {"model": model, "version": version}, "ti": airflow.run(run_id)}


def test_goes_back_to_the_version_before_or_the_one_asked_for(promoted_thrice: LocalS3, airflow: Airflow) -> None:
    assert rollback_tasks.resolve_previous(context(airflow))["version"] == 2
    assert rollback_tasks.resolve_previous(context(airflow, version=1))["endpoint_config"] == "config-1"
    with pytest.raises(VersionError, match="no version 7 in production to go back to; in production were: 1, 2, 3"):
        rollback_tasks.resolve_previous(context(airflow, version=7))
    with pytest.raises(VersionError, match="electricity: there is no version before the one"):
        rollback_tasks.resolve_previous(context(airflow, model=PRICES))


def test_a_second_run_is_refused_before_it_looks_and_before_it_changes_anything(
    promoted_thrice: LocalS3, airflow: Airflow
) -> None:
    entry = rollback_tasks.resolve_previous(context(airflow, run_id="first"))
    with pytest.raises(RollbackUnderwayError):
        rollback_tasks.resolve_previous(context(airflow, run_id="second"))
    with pytest.raises(RollbackUnderwayError):
        rollback_tasks.deploy_production(context(airflow, run_id="second"), entry=entry)


def test_a_model_that_cannot_be_read_fails_at_once(airflow: Airflow) -> None:
    with pytest.raises(AirflowFailException, match="no_such_model"):
        rollback_tasks.model_of_run(context(airflow, model="no_such_model"))


def test_the_models_own_asset_is_told(monkeypatch: pytest.MonkeyPatch, airflow: Airflow) -> None:
    recorded, told, productions = {"version": 2}, [], AssetAlias("production")
    monkeypatch.setattr(tasks, "enter_into_history", lambda model, context, version, deployed: recorded)
    event = SimpleNamespace(add=lambda asset, extra: told.append((asset, extra)))
    given = {**context(airflow, model=PRICES), "outlet_events": {productions: event}}
    assert rollback_tasks.record_promotion(productions, given, version={}, deployed={}) == recorded
    assert told == [(Asset("electricity_production"), recorded)]


def test_the_alias_follows_where_the_models_versions_are_tracked(
    monkeypatch: pytest.MonkeyPatch, airflow: Airflow
) -> None:
    asked = []
    monkeypatch.setattr(tasks, "move_champion_alias", lambda model, context, recorded: asked.append(model.name) or {})
    rollback_tasks.move_champion_alias(context(airflow, model="tabular_classifier"), recorded={})
    with pytest.raises(AirflowSkipException, match=r"electricity has no tracking\.model_versions"):
        rollback_tasks.move_champion_alias(context(airflow, model=PRICES), recorded={})
    assert asked == ["tabular_classifier"]
