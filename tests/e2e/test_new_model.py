"""``make new-model`` on a file that the repository has never seen, then ``make run``: a model without any edits. Then
the deployment settings of model.yaml and the environment, each in its own run.

All in a copy of the checkout with its own stack, so that the new folder and its Dags do not appear in this one. The
copy's path has characters that are special to shells, URLs, lists and PostgreSQL.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.ops.local_stack.processes import wait_until
from include.ops.local_stack.settings import ROOT, Settings

from .conftest import Stack, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ODD_FOLDER = "it's a, test #1 (50 %) ü"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A copy of every file of this checkout, with its Python environments."""
    copy = tmp_path_factory.mktemp("checkout") / ODD_FOLDER
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    stack = Stack(Settings(copy / ".local", airflow_port=free_port(), sagemaker_port=free_port()), copy)
    yield stack
    stack.make("down")


def write_loans(file: Path) -> None:
    """Loans of a town's library: an id, gaps, a category, and books that came back late."""
    chance = random.Random(4)  # noqa: S311 - not for secrets
    file.parent.mkdir()
    with file.open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["loan id", "pages", "reader", "days kept", "returned"])
        for number in range(1200):
            reader, pages = chance.choice(["child", "adult", "club"]), chance.randint(40, 900)
            kept = 5 + pages / 40 + 6 * (reader == "club") + chance.gauss(0, 3)
            shown = "" if number % 13 == 0 else round(kept, 1)
            writer.writerow([number, pages, reader, shown, "late" if kept + chance.gauss(0, 2) > 24 else "in time"])


def test_a_model_from_a_file_runs_without_another_edit(town: Stack, tmp_path: Path) -> None:
    write_loans(tmp_path / "town" / "loans.csv")
    made = town.make("new-model", "NAME=late_books", "KIND=binary", f"DATA={tmp_path}/town/loans.csv")
    assert made.status == 0, made.output
    assert "the target is returned" in made.output
    assert "`train_late_books`" in (town.checkout / "docs" / "reference" / "dags.md").read_text()
    again = town.make("new-model", "NAME=late_books", "KIND=binary", f"DATA={tmp_path}/town/loans.csv")
    assert again.status != 0
    assert "include/models/late_books exists already" in again.output

    for data in ([f"DATA={tmp_path}/town"], []):  # the file itself, then data made up from its profile
        done = town.make("run", "MODEL=late_books", *data)
        assert done.status == 0, done.output
        summary = done.summary
        assert (summary["dag_id"], summary["state"]) == ("train_late_books", "success")
        assert "late-books" in summary["model_package_arn"]
        assert summary["gates"]
        assert all(gate["passed"] for gate in summary["gates"])
        package = town.client("sagemaker").describe_model_package(ModelPackageName=summary["model_package_arn"])
        artifacts = town.settings.home / "mlflow" / "artifacts"
        assert list(artifacts.rglob(package["CustomerMetadataProperties"]["mlflow_run_id"]))
    assert list(town.checkout.parent.iterdir()) == [town.checkout]  # no program wrote to a folder with a truncated name


class Deployments:
    """Runs of ``deploy_late_books``, and their results."""

    def __init__(self, town: Stack) -> None:
        self.stack, self.api, self.sagemaker = town, town.airflow, town.client("sagemaker")
        self.api.unpause("deploy_late_books")
        self.versions = {
            package["ModelPackageVersion"]: package["ModelPackageArn"]
            for package in self.sagemaker.list_model_packages(ModelPackageGroupName="late-books")[
                "ModelPackageSummaryList"
            ]
        }

    def let_the_environment_say(self, **facts: Any) -> None:
        known = self.api.call("GET", "/variables/ml_environment")["value"]
        self.api.set_variable("ml_environment", json.dumps({**json.loads(known), **facts}))

    def run(self, **params: Any) -> str:
        return self.api.trigger("deploy_late_books", params)

    def finished(self, run_id: str) -> str:
        def state() -> str:
            return self.api.run_state("deploy_late_books", run_id)

        wait_until(lambda: state() in ("success", "failed"), f"the end of {run_id}", 300)
        return state()

    def states(self, run_id: str) -> dict[str, str]:
        return self.stack.states("deploy_late_books", run_id)

    def decision(self, version: int) -> dict[str, str]:
        found = self.sagemaker.describe_model_package(ModelPackageName=self.versions[version])
        return dict(found["CustomerMetadataProperties"])

    def serves(self, stage: str) -> dict[str, Any] | None:
        """The endpoint of a stage, if there is one."""
        listed = self.sagemaker.list_endpoints(NameContains=f"late-books-{stage}")["Endpoints"]
        return self.sagemaker.describe_endpoint(EndpointName=f"late-books-{stage}") if listed else None


@pytest.fixture(scope="module")
def deployments(town: Stack) -> Deployments:
    """There are two versions; traffic moves in halves under the model's own alarm, and the approval times out soon."""
    file = town.checkout / "include" / "models" / "late_books" / "model.yaml"
    model = yaml.safe_load(file.read_text())
    complaints = {"name": "complaints", "namespace": "Town", "metric": "Complaints", "statistic": "Sum", "max": 0}
    model["serving"] |= {
        "deployment": {"strategy": "linear", "share_percent": 50},
        "alarms": {"custom": [complaints]},
        "approval": {"timeout_hours": 0.01},
    }
    file.write_text(yaml.safe_dump(model, sort_keys=False))
    made = Deployments(town)
    assert sorted(made.versions) == [1, 2]
    for arn in made.versions.values():
        made.sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    return made


def test_without_an_answer_in_time_nothing_is_promoted(deployments: Deployments) -> None:
    """The approvals start a single first run, for the version approved last."""
    wait_until(lambda: bool(deployments.api.run_ids("deploy_late_books")), "the run of the approvals", 120)
    run_id = deployments.api.run_ids("deploy_late_books")[-1]
    assert deployments.finished(run_id) == "success"
    states = deployments.states(run_id)
    assert (states["approve_production"], states["keep_production"]) == ("success", "success")
    assert deployments.serves("production") is None
    decided = [deployments.decision(version) for version in (1, 2)]
    (found,) = [decision for decision in decided if "promotion_decision" in decision]
    assert (found["promotion_decision"], found["promotion_by"]) == ("not promoted", "nobody")
    assert found["promotion_reason"] == "no answer in time"


def test_staging_alone_asks_nobody(deployments: Deployments) -> None:
    run_id = deployments.run(version=1, stages="staging")
    assert deployments.finished(run_id) == "success"
    states = deployments.states(run_id)
    assert (states["test_staging"], states["keep_production"]) == ("success", "success")
    assert {states["approve_production"], states["deploy_production"]} == {"skipped"}
    assert deployments.serves("production") is None


def test_an_environment_may_promote_what_passed_its_test(deployments: Deployments) -> None:
    deployments.let_the_environment_say(approve_promotions=True)
    run_id = deployments.run(version=1)
    assert deployments.finished(run_id) == "success"
    assert deployments.states(run_id)["approve_production"] == "skipped"
    assert deployments.decision(1)["promotion_reason"] == "this environment promotes what passed its test"
    production = deployments.serves("production")
    assert production is not None
    assert production["EndpointStatus"] == "InService"


def test_an_alarm_on_the_models_own_metric_takes_the_traffic_back(deployments: Deployments) -> None:
    before = deployments.serves("production")
    assert before is not None
    deployments.let_the_environment_say(approve_promotions=True)
    run_id = deployments.run(version=2)
    cloudwatch = deployments.stack.client("cloudwatch")

    def complained() -> bool:
        """The alarm is in ALARM for as long as the traffic moves."""
        endpoint = deployments.serves("production")
        if endpoint and endpoint["EndpointStatus"] == "Updating":
            dimensions = [{"Name": "EndpointName", "Value": "late-books-production"}]
            complaint = {"MetricName": "Complaints", "Dimensions": dimensions, "Value": 3.0}
            cloudwatch.put_metric_data(Namespace="Town", MetricData=[complaint])
        return deployments.api.run_state("deploy_late_books", run_id) in ("success", "failed")

    wait_until(complained, "the end of the run", 300)
    states = deployments.states(run_id)
    assert states["deploy_production"] == "failed"
    assert deployments.finished(run_id) == "failed"
    reason = deployments.api.failure_reason("deploy_late_books", run_id, "deploy_production", 1)
    assert "late-books-production" in reason
    assert "complaints" in reason
    after = deployments.serves("production")
    assert after is not None
    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", before["EndpointConfigName"])
