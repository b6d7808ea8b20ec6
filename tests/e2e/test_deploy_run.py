"""From an approved version to production and back, under the real scheduler and triggerer, with real serving processes
and a client that asks the production endpoint 20 times a second."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from include.ops.local_stack.processes import wait_until
from include.ops.local_stack.promote import Client, asking
from include.ops.local_stack.services import services
from include.ops.local_stack.settings import BUCKET
from include.platform.storage import golden_requests_of, split_uri
from include.registry.history import current, read_history
from tests.browser import needs_chromium

from .conftest import RunResult, Stack

pytestmark = pytest.mark.timeout(900)

GROUP = "predictive-maintenance"
MODEL = "predictive_maintenance"
DAG, ROLLBACK = f"deploy_{MODEL}", "rollback"
ENDPOINT = f"{GROUP}-production"
FINISHED = ("success", "failed")
FIRST_STEPS = [
    "resolve_package",
    "deploy_staging",
    "test_staging",
    "prepare_promotion",
    "approve_production",
    "record_decision",
    "deploy_production",
    "test_production",
    "record_promotion",
    "prune_stale",
]


class Deployments:
    """What tests do with versions and runs."""

    def __init__(self, running: Stack, first: dict[str, Any]) -> None:
        self.running = running
        self.api = running.airflow
        self.sagemaker, self.s3 = running.client("sagemaker"), running.client("s3")
        self.runtime = running.client("sagemaker-runtime")
        self.first = first

    def register(self, *, artifact: bytes | None = None) -> dict[str, Any]:
        """A new version with its own artifact and evaluation, copied from the first version's."""
        described = self.sagemaker.describe_model_package(ModelPackageName=self.first["model_package_arn"])
        number = len(self.sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]) + 1
        container = described["InferenceSpecification"]["Containers"][0]
        statistics = described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
        folder = f"copies/{number}"
        self._copy(container["ModelDataUrl"], f"{folder}/model/output/model.tar.gz", artifact)
        for name in ("evaluation.json", "metrics.json", "golden_requests.json", "drift_profile.json"):
            self._copy(f"{statistics.rsplit('/', 1)[0]}/{name}", f"{folder}/{name}")
        specification = described["InferenceSpecification"]
        arn = self.sagemaker.create_model_package(
            ModelPackageGroupName=GROUP,
            ModelApprovalStatus="PendingManualApproval",
            InferenceSpecification={
                **specification,
                "Containers": [
                    {
                        "Image": container["Image"],
                        "ModelDataUrl": f"s3://{BUCKET}/{folder}/model/output/model.tar.gz",
                    }
                ],
            },
            ModelMetrics={
                "ModelQuality": {
                    "Statistics": {
                        "ContentType": "application/json",
                        "S3Uri": f"s3://{BUCKET}/{folder}/evaluation.json",
                    }
                }
            },
            ModelCard=described["ModelCard"],
            CustomerMetadataProperties={
                key: value for key, value in described["CustomerMetadataProperties"].items() if "promotion" not in key
            },
        )["ModelPackageArn"]
        found: dict[str, Any] = self.sagemaker.describe_model_package(ModelPackageName=arn)
        return found

    def approve(self, package: dict[str, Any]) -> None:
        self.sagemaker.update_model_package(ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Approved")

    def reject_all_but_the_first(self) -> None:
        for package in self.sagemaker.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]:
            if package["ModelPackageArn"] != self.first["model_package_arn"]:
                self.sagemaker.update_model_package(
                    ModelPackageArn=package["ModelPackageArn"], ModelApprovalStatus="Rejected"
                )

    def started_by(self, *packages: dict[str, Any]) -> list[str]:
        """The runs that start when these versions are approved in quick succession, in order."""
        known = set(self.api.run_ids(DAG))
        for package in packages:
            self.approve(package)
        wait_until(lambda: set(self.api.run_ids(DAG)) - known, "a run starting", 120)
        return self.new_runs(known)

    def new_runs(self, known: set[str]) -> list[str]:
        return [run_id for run_id in reversed(self.api.run_ids(DAG)) if run_id not in known]

    def asked(self, run_id: str) -> None:
        """Wait until a user is asked."""

        def asks() -> bool:
            if self.api.run_state(DAG, run_id) in FINISHED:
                raise AssertionError(f"nobody was asked: {self.states(run_id)}")
            return self.states(run_id)["approve_production"] == "awaiting_input"

        wait_until(asks, "the question", 300)

    def answer(self, run_id: str, option: str, reason: str = "a test") -> None:
        self.api.answer(DAG, run_id, "approve_production", option, {"reason": reason})

    def finished(self, run_id: str, dag_id: str = DAG) -> str:
        wait_until(lambda: self.api.run_state(dag_id, run_id) in FINISHED, "the run's end", 400)
        return self.api.run_state(dag_id, run_id)

    def states(self, run_id: str, dag_id: str = DAG) -> dict[str, str]:
        return self.running.states(dag_id, run_id)

    def why(self, run_id: str, task_id: str, dag_id: str = DAG) -> str:
        tries = {task["task_id"]: task["try_number"] for task in self.api.task_instances(dag_id, run_id)}
        return self.api.failure_reason(dag_id, run_id, task_id, tries[task_id])

    def serves(self, stage: str = "production") -> str:
        """The endpoint configuration in use."""
        found = self.sagemaker.describe_endpoint(EndpointName=f"{GROUP}-{stage}")
        assert found["EndpointStatus"] == "InService"
        return str(found["EndpointConfigName"])

    def traffic_steps(self) -> str | None:
        """How production's traffic is being moved at the moment."""
        found = self.sagemaker.describe_endpoint(EndpointName=ENDPOINT)
        if found["EndpointStatus"] != "Updating":
            return None
        policy = found["LastDeploymentConfig"]["BlueGreenUpdatePolicy"]
        return str(policy["TrafficRoutingConfiguration"]["Type"])

    def kill(self, run_id: str) -> None:
        """The effect of a user's *Mark as failed*: Airflow kills the running tasks and starts no more."""
        self.api.call("PATCH", f"/dags/{DAG}/dagRuns/{run_id}", json={"state": "failed"})

    def versions(self) -> list[int]:
        """What was in production, oldest first."""
        return [entry.version for entry in read_history(self.s3, BUCKET, "predictive_maintenance").entries]

    def endpoints(self) -> list[str]:
        found = self.sagemaker.list_endpoints(NameContains=GROUP)["Endpoints"]
        return sorted(endpoint["EndpointName"] for endpoint in found)

    def metadata(self, package: dict[str, Any]) -> dict[str, str]:
        found = self.sagemaker.describe_model_package(ModelPackageName=package["ModelPackageArn"])
        return dict(found["CustomerMetadataProperties"])

    def _copy(self, uri: str, key: str, content: bytes | None = None) -> None:
        bucket, source = split_uri(uri)
        body = self.s3.get_object(Bucket=bucket, Key=source)["Body"].read() if content is None else content
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)


@pytest.fixture(scope="module")
def promoted(running: Stack, trained: RunResult) -> tuple[RunResult, dict[str, Any]]:
    """``make promote YES=1`` after the first training, as a user types it."""
    assert trained.status == 0
    return running.make("promote", "YES=1"), trained.summary


@pytest.fixture(scope="module")
def deployments(running: Stack, promoted: tuple[RunResult, dict[str, Any]]) -> Iterator[Deployments]:
    made = Deployments(running, promoted[0].summary)
    yield made
    made.reject_all_but_the_first()  # other tests train against the newest approved version


@pytest.fixture
def client(deployments: Deployments) -> Iterator[Client]:
    """Sends requests to production throughout the test."""
    described = deployments.sagemaker.describe_model_package(ModelPackageName=deployments.first["model_package_arn"])
    uri = golden_requests_of(described["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"])
    bucket, key = split_uri(uri)
    golden = json.loads(deployments.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    with asking(deployments.runtime, ENDPOINT, json.dumps(golden[0]["features"])) as seen:
        yield seen
    assert seen.requests > 20


def test_an_approval_brings_the_first_version_into_production(
    promoted: tuple[RunResult, dict[str, Any]], deployments: Deployments
) -> None:
    result = promoted[0]
    assert result.status == 0, result.output
    summary = result.summary
    assert summary["state"] == "promoted", result.output
    states = {step["task_id"]: step["state"] for step in summary["steps"]}
    assert [task_id for task_id, state in states.items() if state == "success"] == FIRST_STEPS
    assert set(states.values()) == {"success", "skipped"}
    assert summary["staging"]["golden_ok"] is summary["production"]["golden_ok"] is True
    assert summary["production"]["p99_ms"] >= summary["production"]["p50_ms"] > 0
    assert (summary["previous_version"], summary["failed_client_requests"]) == (None, 0)
    assert set(summary["first_prediction"]) >= {"label", "probabilities"}
    for shown in ("macro_f1", "at least", "Raw data", "golden requests answered as trained", "answering yes"):
        assert shown in result.output
    assert deployments.endpoints() == [f"{GROUP}-production"], "staging is removed after its test"


def test_who_decided_when_and_why_is_in_the_registry_and_the_asset_told(
    promoted: tuple[RunResult, dict[str, Any]], deployments: Deployments
) -> None:
    summary = promoted[0].summary
    metadata = deployments.metadata({"ModelPackageArn": summary["model_package_arn"]})
    assert metadata["promotion_decision"] == "promoted"
    assert metadata["promotion_by"]
    assert metadata["promotion_reason"] == "make promote YES=1"
    assert metadata["promotion_run"].endswith(summary["run_id"])
    entry = current(read_history(deployments.s3, BUCKET, "predictive_maintenance"))
    assert entry is not None
    assert (entry.model_package_arn, entry.run_id) == (summary["model_package_arn"], summary["run_id"])
    events = deployments.api._get("/assets/events")["asset_events"]
    assert any(event["source_dag_id"] == DAG and event["source_task_id"] == "record_promotion" for event in events)


def test_two_approvals_at_once_the_last_wins_even_past_a_killed_scheduler(
    deployments: Deployments, client: Client
) -> None:
    second, third = deployments.register(), deployments.register()
    known = set(deployments.api.run_ids(DAG))
    (first_run, *_) = deployments.started_by(second, third)
    deployments.asked(first_run)
    deployments.answer(first_run, "Approve")
    wait_until(lambda: deployments.states(first_run)["deploy_production"] == "deferred", "the traffic shift", 120)
    kill_the_scheduler(deployments.running)
    assert deployments.finished(first_run) == "success"
    if deployments.versions()[-1] != third["ModelPackageVersion"]:
        # the second approval came after the run had begun, so it waits until that run is over
        wait_until(lambda: len(deployments.new_runs(known)) > 1, "the second approval's run", 120)
        second_run = deployments.new_runs(known)[1]
        deployments.asked(second_run)
        deployments.answer(second_run, "Approve")
        assert deployments.finished(second_run) == "success"
    assert deployments.versions()[-1] == third["ModelPackageVersion"]
    assert set(deployments.versions()) <= {1, second["ModelPackageVersion"], third["ModelPackageVersion"]}
    assert deployments.endpoints() == [f"{GROUP}-production"], "staging is removed after its test"
    assert client.failures == []


def kill_the_scheduler(running: Stack) -> None:
    """Kill it with all its child processes, and restart it."""
    (scheduler,) = [one for one in services(running.settings) if one.name == "airflow-scheduler"]
    process = scheduler.process()
    assert process is not None
    for member in [*process.children(recursive=True), process]:
        os.kill(member.pid, signal.SIGKILL)
    process.wait(10)
    scheduler.start()


def test_killed_between_any_two_steps_and_cleared_it_converges(deployments: Deployments, client: Client) -> None:
    package = deployments.register()
    (run_id,) = deployments.started_by(package)
    for done, following in pairwise(FIRST_STEPS):
        if done == "approve_production":
            deployments.asked(run_id)
            deployments.answer(run_id, "Approve")
        reached = partial(lambda task_id: deployments.states(run_id)[task_id] == "success", done)
        wait_until(reached, f"the end of {done}", 300)
        deployments.kill(run_id)
        deployments.api.clear(DAG, run_id, [following])
    assert deployments.finished(run_id) == "success", deployments.states(run_id)
    assert deployments.versions()[-1] == package["ModelPackageVersion"]
    assert deployments.versions().count(package["ModelPackageVersion"]) == 1
    assert deployments.endpoints() == [f"{GROUP}-production"], "staging is removed after its test"
    assert client.failures == []


def test_clearing_what_was_done_changes_nothing(deployments: Deployments, client: Client) -> None:
    run_id = deployments.api.run_ids(DAG)[0]
    before = deployments.versions(), deployments.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["LastModifiedTime"]
    deployments.api.clear(DAG, run_id, ["deploy_production"])
    assert deployments.finished(run_id) == "success"
    after = deployments.versions(), deployments.sagemaker.describe_endpoint(EndpointName=ENDPOINT)["LastModifiedTime"]
    assert after == before
    assert client.failures == []


def test_a_version_that_fails_in_production_is_replaced_by_the_one_before(
    deployments: Deployments, client: Client
) -> None:
    """An earlier version, chosen in the form with another way of moving traffic than model.yaml's."""
    before, versions = deployments.serves(), deployments.versions()
    run_id = deployments.api.trigger(DAG, {"version": 1, "strategy": "linear"})
    deployments.asked(run_id)
    # what staging answered as trained is no longer what is expected when production is tested
    first = deployments.sagemaker.describe_model_package(ModelPackageName=deployments.first["model_package_arn"])
    bucket, key = split_uri(golden_requests_of(first["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]))
    as_trained = deployments.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    golden = json.loads(as_trained)
    golden[0]["expected"]["label"] = "another"
    deployments.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(golden).encode())
    deployments.answer(run_id, "Approve")
    wait_until(lambda: deployments.traffic_steps() == "LINEAR", "the traffic moving step by step", 120)
    assert deployments.finished(run_id) == "failed"
    deployments.s3.put_object(Bucket=bucket, Key=key, Body=as_trained)
    states = deployments.states(run_id)
    assert (states["deploy_production"], states["test_production"]) == ("success", "failed")
    assert (states["restore_production"], states["test_restored"]) == ("success", "success")
    assert (states["record_promotion"], states["prune_stale"]) == ("upstream_failed", "upstream_failed")
    assert "golden request" in deployments.why(run_id, "test_production")
    assert deployments.serves() == before
    assert deployments.versions() == versions
    assert client.failures == []


@pytest.fixture(scope="module")
def question(deployments: Deployments) -> tuple[dict[str, Any], str]:
    """A version awaiting a user's decision, and the run that asks."""
    package = deployments.register()
    (run_id,) = deployments.started_by(package)
    deployments.asked(run_id)
    return package, run_id


@needs_chromium
def test_a_person_sees_what_to_decide_by(
    page: Page, deployments: Deployments, question: tuple[dict[str, Any], str]
) -> None:
    package, run_id = question
    address = f"{deployments.running.settings.airflow_url}/dags/{DAG}/runs/{run_id}/tasks/approve_production"
    page.goto(f"{address}/required_actions")
    expect(page.get_by_text(f"Shall version {package['ModelPackageVersion']} of").first).to_be_visible(timeout=20_000)
    for shown in ("macro_f1", "at least", "golden requests answered as trained", "USD a month", "Raw data"):
        expect(page.get_by_text(shown).filter(visible=True).first, shown).to_be_visible()
    for option in ("Approve", "Reject"):
        expect(page.get_by_role("button", name=option).first).to_be_visible()
    whole = page.get_by_role("link", name="The whole packet as a page").get_attribute("href")
    card = page.get_by_role("link", name="Model card").get_attribute("href")
    assert whole
    assert card == f"{whole}#model-card"
    page.goto(card)
    expect(page.get_by_role("heading", name="Model card")).to_be_in_viewport()
    expect(page.get_by_text("Planning inspections a day ahead").first).to_be_visible()


def test_without_a_yes_nothing_changes(
    deployments: Deployments, question: tuple[dict[str, Any], str], client: Client
) -> None:
    before, versions = deployments.serves(), deployments.versions()
    package, run_id = question
    deployments.answer(run_id, "Reject", "too few failures in the data")
    assert deployments.finished(run_id) == "success"
    assert deployments.states(run_id)["keep_production"] == "success"
    assert (deployments.serves(), deployments.versions()) == (before, versions)
    metadata = deployments.metadata(package)
    assert metadata["promotion_decision"] == "not promoted"
    assert metadata["promotion_reason"] == "too few failures in the data"
    assert client.failures == []


def test_what_cannot_be_deployed_ends_clearly_and_touches_nothing(deployments: Deployments, client: Client) -> None:
    endpoints, production = deployments.endpoints(), deployments.serves()
    gone, dead = deployments.register(), deployments.register(artifact=b"no archive")
    bucket, key = split_uri(gone["InferenceSpecification"]["Containers"][0]["ModelDataUrl"])
    deployments.s3.delete_object(Bucket=bucket, Key=key)
    (run_id,) = deployments.started_by(gone)
    assert deployments.finished(run_id) == "failed"
    reason = deployments.why(run_id, "resolve_package")
    assert "is gone" in reason
    assert f"s3://{bucket}/{key}" in reason
    for version, said in ((dead["ModelPackageVersion"], "not Approved"), (999, "has no version 999")):
        run_id = deployments.api.trigger(DAG, {"version": version})
        assert deployments.finished(run_id) == "failed"
        assert said in deployments.why(run_id, "resolve_package")
    assert (deployments.endpoints(), deployments.serves()) == (endpoints, production)
    (run_id,) = deployments.started_by(dead)
    assert deployments.finished(run_id) == "failed"
    assert deployments.states(run_id)["deploy_staging"] == "failed"
    assert f"{GROUP}-staging" in deployments.why(run_id, "deploy_staging")
    assert deployments.serves() == production
    assert client.failures == []


def test_one_click_goes_back(deployments: Deployments, client: Client) -> None:
    *_, previous, now = read_history(deployments.s3, BUCKET, "predictive_maintenance").entries
    run_id = deployments.api.trigger(ROLLBACK, {"model": MODEL})
    assert deployments.finished(run_id, ROLLBACK) == "success", deployments.states(run_id, ROLLBACK)
    assert deployments.serves() == previous.endpoint_config
    entry = current(read_history(deployments.s3, BUCKET, MODEL))
    assert entry is not None
    assert (entry.version, entry.dag_id) == (previous.version, ROLLBACK)
    assert entry.version != now.version
    assert deployments.states(run_id, ROLLBACK)["move_champion_alias"] == "skipped"
    events = deployments.api._get("/assets/events")["asset_events"]
    assert {event["name"] for event in events if event["source_dag_id"] == ROLLBACK} == {f"{MODEL}_production"}
    assert client.failures == []


def test_of_two_rollbacks_one_goes_on_past_a_killed_scheduler_and_another_model_waits_for_neither(
    deployments: Deployments, client: Client
) -> None:
    """The runs ask for different versions, so whichever came second would have overridden the first."""
    entries = read_history(deployments.s3, BUCKET, MODEL).entries
    serving = entries[-1].version
    wanted = sorted({entry.version for entry in entries} - {serving})[-2:]
    assert len(wanted) == 2
    runs = {deployments.api.trigger(ROLLBACK, {"model": MODEL, "version": version}): version for version in wanted}
    other = deployments.api.trigger(ROLLBACK, {"model": "electricity"})
    wait_until(lambda: any(deployments.states(run, ROLLBACK)["deploy_production"] for run in runs), "a rollback", 120)
    kill_the_scheduler(deployments.running)
    assert deployments.finished(other, ROLLBACK) == "failed"
    assert "in production were: none" in deployments.why(other, "resolve_previous", ROLLBACK)
    ended = {run: deployments.finished(run, ROLLBACK) for run in runs}
    assert sorted(ended.values()) == ["failed", "success"]
    (lost,) = (run for run, state in ended.items() if state == "failed")
    (won,) = (run for run, state in ended.items() if state == "success")
    assert f"run {won} of rollback is already rolling {MODEL} back" in deployments.why(
        lost, "resolve_previous", ROLLBACK
    )
    history = read_history(deployments.s3, BUCKET, MODEL)
    assert len(history.entries) == len(entries) + 1
    entry = current(history)
    assert entry is not None
    assert (entry.version, entry.run_id, entry.endpoint_config) == (runs[won], won, deployments.serves())
    assert client.failures == []
