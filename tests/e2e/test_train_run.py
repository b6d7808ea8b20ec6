"""``make run`` under the real scheduler and triggerer, checked through every interface that people and programs use."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from include.models.config import load_model
from include.ops.local_stack.processes import wait_until
from include.platform.storage import production_history, split_uri
from include.registry.history import Entry, History

from .conftest import RunResult, Stack

pytestmark = pytest.mark.timeout(900)

GROUP = "predictive-maintenance"
DAG = "train_predictive_maintenance"
REGISTERED_STEPS = [
    "plan_training",
    "prepare_data",
    "choose_training",
    "validate_raw_data",
    "validate_features",
    "train_model",
    "evaluate_model",
    "check_metrics",
    "register_model",
    "record_training",
]


def test_a_run_on_good_data_registers_a_model(trained: RunResult) -> None:
    assert trained.status == 0, trained.output
    summary = trained.summary
    assert (summary["dag_id"], summary["state"]) == (DAG, "success")
    assert summary["model_package_arn"]
    states = {step["task_id"]: step["state"] for step in summary["steps"]}
    assert [task_id for task_id, state in states.items() if state == "success"] == REGISTERED_STEPS
    skipped = {task_id for task_id, state in states.items() if state == "skipped"}
    assert skipped == {"tune_model", "reject_model", "cut_data", "prepare_shards", "merge_shards"}
    assert all(gate["passed"] for gate in summary["gates"])
    assert {gate["metric"] for gate in summary["gates"]} >= {
        "macro_f1",
        "accuracy_share_over_majority",
        "dead_features",
    }
    assert summary["total_seconds"] > 0
    assert summary["model_package_arn"] in trained.output


def test_the_package_waits_for_approval_with_metrics_and_lineage(trained: RunResult, running: Stack) -> None:
    package = running.client("sagemaker").describe_model_package(ModelPackageName=trained.summary["model_package_arn"])
    registered = running.airflow.xcom(DAG, trained.summary["run_id"], "register_model")
    assert registered["approval"] == "PendingManualApproval"  # another test may have approved it in the meantime
    lineage = package["CustomerMetadataProperties"]
    assert lineage["run_id"] == trained.summary["run_id"]
    assert {"code_hash", "data_manifest", "mlflow_run_id"} <= lineage.keys()
    metrics_uri = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    bucket, key = metrics_uri.removeprefix("s3://").split("/", 1)
    metrics = json.loads(running.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
    value = metrics["multiclass_classification_metrics"]["accuracy"]["value"]
    assert value == pytest.approx(trained.summary["metrics"]["accuracy"])
    model_url = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    bucket, key = model_url.removeprefix("s3://").split("/", 1)
    assert running.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0


def test_pages_named_in_the_output_open(trained: RunResult) -> None:
    pages = [word for word in trained.output.split() if word.startswith("http") and word.endswith(".html")]
    assert len(pages) == 3
    for page in pages:
        answer = httpx.get(page, trust_env=False)
        assert answer.status_code == 200, page
        assert "<html" in answer.text.lower()


def test_the_run_is_tracked_in_mlflow(trained: RunResult, running: Stack) -> None:
    package = running.client("sagemaker").describe_model_package(ModelPackageName=trained.summary["model_package_arn"])
    run_id = package["CustomerMetadataProperties"]["mlflow_run_id"]
    with sqlite3.connect(running.settings.home / "mlflow" / "mlflow.db") as database:
        metrics = dict(
            database.execute("select key, value from latest_metrics where run_uuid = ?", [run_id]).fetchall()
        )
        parameters = dict(database.execute("select key, value from params where run_uuid = ?", [run_id]).fetchall())
    assert any(value == pytest.approx(trained.summary["metrics"]["macro_f1"]) for value in metrics.values())
    assert "learning_rate" in parameters


def test_registration_emits_the_asset(trained: RunResult, running: Stack) -> None:
    events = running.airflow._get("/assets/events")["asset_events"]
    assert any(event["source_dag_id"] == DAG and event["source_task_id"] == "register_model" for event in events)


def test_no_worker_is_held_while_sagemaker_works(trained: RunResult, running: Stack) -> None:
    log = running.airflow._get(f"/dags/{DAG}/dagRuns/{trained.summary['run_id']}/taskInstances/train_model/logs/1")
    events = " ".join(event["event"] for event in log["content"])
    assert "deferr" in events.lower()


def test_a_candidate_worse_than_the_champion_is_rejected(trained: RunResult, running: Stack) -> None:
    """The champion stays: a crippled candidate is evaluated beside it on the same test split."""
    entry = Entry(
        version=1,
        model_package_arn=trained.summary["model_package_arn"],
        artifact=running.airflow.xcom(DAG, trained.summary["run_id"], "train_model")["artifact"],
        since=datetime(2026, 1, 1, tzinfo=UTC),
        endpoint_config="config",
        dag_id="deploy",
        run_id="run",
    )
    bucket, key = split_uri(production_history(split_uri(entry.artifact)[0], DAG.removeprefix("train_")))
    history = History(entries=(entry,)).model_dump_json(by_alias=True)
    running.client("s3").put_object(Bucket=bucket, Key=key, Body=history.encode())
    before = running.client("sagemaker").list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    state, run_id = run_dag(running, {"hyperparameter_num_boost_round": 1})
    assert state == "success"
    states = running.states(DAG, run_id)
    assert (states["reject_model"], states["register_model"]) == ("success", "skipped")
    gates = running.airflow.xcom(DAG, run_id, "check_metrics", key="gates")
    assert [gate["passed"] for gate in gates if gate["kind"] == "champion"] == [False]
    after = running.client("sagemaker").list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert len(after) == len(before)


def test_tuning_first_hands_its_best_model_on(trained: RunResult, running: Stack) -> None:
    state, run_id = run_dag(running, {"tune": True, "hyperparameter_num_boost_round": 20})
    states = running.states(DAG, run_id)
    assert state == "success", states
    assert (states["tune_model"], states["train_model"], states["evaluate_model"]) == ("success", "skipped", "success")
    tuned = running.airflow.xcom(DAG, run_id, "tune_model")
    job = running.client("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=tuned["name"])
    assert job["BestTrainingJob"]["TrainingJobName"] in tuned["artifact"]
    evaluated = running.airflow.xcom(DAG, run_id, "evaluate_model")
    assert evaluated["inputs"]["artifact"] == tuned["artifact"]
    ranges = load_model("predictive_maintenance").training.tuning.ranges  # type: ignore[union-attr] # it has some
    for name, text in job["BestTrainingJob"]["TunedHyperParameters"].items():
        assert ranges[name].min <= float(text) <= ranges[name].max


def run_dag(running: Stack, conf: dict[str, object]) -> tuple[str, str]:
    """Trigger a run with these params and wait for it to end; its state and its run id."""
    run_id = running.airflow.trigger(DAG, conf)
    wait_until(lambda: running.airflow.run_state(DAG, run_id) in ("success", "failed"), "the run's end", 600)
    return running.airflow.run_state(DAG, run_id), run_id


def test_bad_data_stops_the_run_before_training(running: Stack, broken_fleet: Path) -> None:
    telemetry = broken_fleet / "PdM_telemetry.csv"
    header, rest = telemetry.read_text().split("\n", 1)
    telemetry.write_text(header.replace("pressure", "presure") + "\n" + rest)
    packages = running.client("sagemaker").list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    result = running.run(broken_fleet)
    assert result.status != 0
    assert result.summary["state"] == "failed"
    states = {step["task_id"]: step["state"] for step in result.summary["steps"]}
    assert states["validate_raw_data"] == "failed"
    assert states["train_model"] == "upstream_failed"
    assert "PdM_telemetry.csv" in result.output
    assert "pressure" in result.output
    assert result.summary["model_package_arn"] is None
    after = running.client("sagemaker").list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    assert len(after) == len(packages)
