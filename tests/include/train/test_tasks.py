"""The requests of tasks, with the S3 of a local AWS and a registry in memory."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.models.config import MODELS_FOLDER, ModelConfig, load_model
from include.models.config.judging import judge
from include.models.config.results import Evaluation, Refitted
from include.models.config.split import Refit
from include.platform import code_bundle, run_context
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.errors import PermanentError
from include.platform.request_parts import Request, processing
from include.platform.run_folders import Run
from include.registry.history import Entry, History, promote
from include.registry.versions import VersionError
from include.train import tasks
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3

MODEL = load_model("predictive_maintenance")
RUN = Run("my-ml-bucket", "train_predictive_maintenance", "manual__1")
RAW = {
    "raw/predictive_maintenance/PdM_errors.csv.gz": b"errors",
    "raw/predictive_maintenance/PdM_telemetry.csv": b"telemetry",
}
PARAMS: dict[str, Any] = {
    "data_from": None,
    "data_to": None,
    "instance_type": None,
    "budget_usd": None,
    "tune": False,
    "force": False,
    "started_by": None,
    "must_learn": None,
    "reason": None,
}
TRAINED = f"{RUN.folder}/train_model/job-1/output/model.tar.gz"
JOB = {"name": "job-1", "kind": "training", "billable_seconds": 60, "cost_usd": 0.5}
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/predictive-maintenance/3"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)


@pytest.fixture
def s3(ml_bucket: LocalS3, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    ml_bucket.objects.update(RAW)
    region = SimpleNamespace(endpoint_url="https://api.sagemaker.eu-west-1.amazonaws.com", region_name="eu-west-1")
    answer_from(monkeypatch, s3=ml_bucket, sagemaker=SimpleNamespace(meta=region))
    return ml_bucket


@pytest.fixture
def begun(s3: LocalS3) -> LocalS3:
    """A run whose first tasks have run."""
    begin()
    return s3


def begin(**params: Any) -> Request:
    """Run the first tasks, up to the request of the first job."""
    tasks.plan_training(MODEL, context(**params))
    return tasks.prepare_data(MODEL, context(**params))


def etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()  # noqa: S324


def context(**params: Any) -> Any:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id=RUN.dag_id,
        run_id=RUN.run_id,
        pushed=pushed,
        log_url="https://airflow.test/dags/x/runs/y/tasks/z?try_number=1",
        xcom_push=lambda key, value: pushed.update({key: value}),
        xcom_pull=lambda task_ids, key="return_value": None,
    )
    return {"ti": ti, "params": {**PARAMS, **params}}


def test_the_data_that_is_there_is_recorded_before_the_first_job(s3: LocalS3) -> None:
    request = begin(data_from="2015-02-01")
    key = RUN.data_manifest.removeprefix("s3://my-ml-bucket/")
    manifest = json.loads(s3.objects[key])
    assert manifest["files"] == [{"key": key, "bytes": len(body), "etag": etag(body)} for key, body in RAW.items()]
    assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--data-from", "2015-02-01"]


def test_no_raw_data_says_what_to_put_where(s3: LocalS3) -> None:
    s3.objects.clear()
    with pytest.raises(
        AirflowFailException, match=r"s3://my-ml-bucket/raw/predictive_maintenance/ is empty.*PdM_maint"
    ):
        begin()


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"hyperparameter_num_leaves": 1}, "num_leaves"),
        ({"data_from": "2015-03-01", "data_to": "2015-02-01"}, "2015-03-01 is after data_to 2015-02-01"),
    ],
)
def test_params_are_checked_before_anything_is_paid_for(s3: LocalS3, params: dict[str, Any], said: str) -> None:
    with pytest.raises(PermanentError, match=said):
        tasks.plan_training(MODEL, context(**params))
    assert s3.log == []


def recorded(s3: LocalS3, **params: Any) -> None:
    """A finished training with these params."""
    begin(**params)
    ended = context(**params)
    results = {"register_model": {"version": 3}, "train_model": JOB}
    ended["ti"].xcom_pull = lambda task_ids, key="return_value": results.get(task_ids)
    tasks.record_training(MODEL, ended)
    assert ended["ti"].pushed["costs"] == {"estimated_usd": None, "actual_usd": 0.5, "jobs": 1}


def test_a_training_that_would_repeat_the_last_one_is_skipped(s3: LocalS3) -> None:
    tasks.plan_training(MODEL, context())
    recorded(s3)
    with pytest.raises(AirflowSkipException, match=r"repeat run manual__1 of .* exactly, which registered version 3"):
        tasks.plan_training(MODEL, context())
    tasks.plan_training(MODEL, context(force=True))


def test_above_its_budget_a_training_stops_before_it_is_paid_for(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE.replace("eu-west-1", "us-east-1"))
    with pytest.raises(
        AirflowFailException, match=r"is above the budget of 0.1 USD \(prepare_data, tune_model.* Budget"
    ):
        tasks.plan_training(MODEL, context(budget_usd=0.1, tune=True))
    asked = context(budget_usd=5)
    assert tasks.plan_training(MODEL, asked) == "prepare_data"
    assert asked["ti"].pushed["estimate"]["usd"] > 0.1


def test_more_than_a_machine_prepares_is_cut(s3: LocalS3) -> None:
    assert tasks.plan_training(MODEL, context()) == "prepare_data"
    s3.objects["raw/predictive_maintenance/PdM_telemetry.csv.gz"] = b"x" * 200_000  # about 1.6 MB unpacked
    for megabytes, task in ((1, "cut_data"), (0, "prepare_data")):
        processing = MODEL.processing.model_copy(update={"one_job_mb": megabytes})
        assert tasks.plan_training(MODEL.model_copy(update={"processing": processing}), context()) == task


@pytest.mark.parametrize("change", ["raw data", "code", "image", "hyperparameters", "data window", "tuning"])
def test_whatever_changed_is_trained(
    s3: LocalS3, change: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorded(s3)
    asked: dict[str, Any] = {}
    if change == "raw data":
        s3.objects["raw/predictive_maintenance/PdM_telemetry.csv"] = b"other"
    elif change in ("code", "image"):
        word = {"code": ("0123456789ab", "ba9876543210"), "image": ("ml-jobs:1", "ml-jobs:2")}[change]
        monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE.replace(*word))
    else:
        asked = {
            "hyperparameters": {"hyperparameter_num_leaves": 15},
            "data window": {"data_from": "2015-02-01"},
            "tuning": {"tune": True},
        }[change]
    with caplog.at_level("INFO"):
        tasks.plan_training(MODEL, context(**asked))
    assert f"changed since run manual__1: {change}" in caplog.text


def put_in_production(s3: LocalS3, *versions: int, gone: int | None = None) -> None:
    """Versions that were promoted in sequence, with their artifacts, except for one that is gone."""
    history = History()
    for day, version in enumerate(versions, 1):
        entry = Entry(
            version=version,
            model_package_arn=PACKAGE,
            artifact=f"s3://my-ml-bucket/version-{version}/model.tar.gz",
            since=datetime(2026, 11, day, tzinfo=UTC),
            endpoint_config=f"config-{version}",
            dag_id="deploy",
            run_id=f"run-{day}",
        )
        history = promote(history, entry)
        if version != gone:
            s3.objects[f"version-{version}/model.tar.gz"] = b"model"
    s3.objects["production/predictive_maintenance/history.json"] = history.model_dump_json(by_alias=True).encode()


def measured_beside(s3: LocalS3) -> dict[str, str]:
    """The evaluation's inputs, by name, and ``versions``."""
    tuned = {"artifact": "s3://b/tuned/output/model.tar.gz"}
    request = tasks.evaluate_model(MODEL, context(), trained=None, tuned=tuned)  # type: ignore[arg-type]
    inputs = {each["InputName"]: each["S3Input"]["S3Uri"] for each in request["ProcessingInputs"]}
    assert inputs["artifact"] == tuned["artifact"]
    arguments = request["AppSpecification"]["ContainerArguments"]
    return inputs | {"versions": arguments[arguments.index("--versions") + 1] if "--versions" in arguments else ""}


def test_what_is_not_in_production_is_not_a_champion(begun: LocalS3) -> None:
    assert "champion" not in measured_beside(begun), "whatever was approved"


def test_the_champion_is_the_version_in_production_and_the_bar_the_last_of_them(begun: LocalS3) -> None:
    put_in_production(begun, 2, 3, 5, 7)
    inputs = measured_beside(begun)
    assert inputs["champion"] == "s3://my-ml-bucket/version-7/model.tar.gz"
    assert inputs["earlier-2"] == "s3://my-ml-bucket/version-3/model.tar.gz"
    assert inputs["versions"] == "7,5,3"


def test_what_was_rolled_back_sets_no_bar(begun: LocalS3) -> None:
    put_in_production(begun, 2, 3, 2)
    assert measured_beside(begun)["versions"] == "2"


def test_an_earlier_version_whose_artifact_is_gone_is_left_out(
    begun: LocalS3, caplog: pytest.LogCaptureFixture
) -> None:
    put_in_production(begun, 2, 3, gone=2)
    assert measured_beside(begun)["versions"] == "3"
    assert "not compared with version 2" in caplog.text


def test_a_champion_whose_artifact_is_gone_is_said_so_before_a_job_is_paid_for(begun: LocalS3) -> None:
    put_in_production(begun, 3, gone=3)
    with pytest.raises(VersionError, match=r"version 3, s3://my-ml-bucket/version-3/model.tar.gz, is gone"):
        measured_beside(begun)


def test_an_evaluation_without_a_candidate_says_what_to_clear(begun: LocalS3) -> None:
    with pytest.raises(AirflowFailException, match="neither train_model nor tune_model"):
        tasks.evaluate_model(MODEL, context(), trained=None, tuned=None)


def test_what_mlflow_lacks_of_a_run_is_in_the_log(begun: LocalS3, caplog: pytest.LogCaptureFixture) -> None:
    result = {"metrics": {"macro_f1": 0.7}, "champion": None, "tracking": "the metric f1<a was refused"}
    evaluated: Any = {"result": result}
    with caplog.at_level("WARNING"):
        tasks.check_metrics(MODEL, context(), evaluated=evaluated)
    assert "MLflow lacks part of this run, which continues: the metric f1<a was refused" in caplog.text


def test_a_registered_version_knows_where_it_comes_from(s3: LocalS3) -> None:
    begin()
    s3.objects[TRAINED.removeprefix("s3://my-ml-bucket/")] = b"trained"
    result: Evaluation = {
        "metrics": {"macro_f1": 0.95, "accuracy_share_over_majority": 0.9, "failure_events_caught": 0.97},
        "champion": {"macro_f1": 0.99},
        "intervals": {"macro_f1": (0.93, 0.97)},
        "mlflow_run_id": "abc",
        "tracking": "the metric f1<a was refused",
    }
    evaluated = {
        "name": "evaluate-1",
        "inputs": {
            "artifact": TRAINED,
            "champion": "s3://b/c/model.tar.gz",
        },
        "result": result,
    }
    gates = judge(MODEL, result, forced=True)
    asked = context(force=True, reason="the old one cannot be served any more")
    request = tasks.register_model(MODEL, asked, evaluated=evaluated, gates=gates)  # type: ignore[arg-type]
    lineage = request["CustomerMetadataProperties"]
    kept = request["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert kept == f"s3://my-ml-bucket/artifacts/predictive_maintenance/{etag(b'trained')}/model.tar.gz"
    assert s3.objects[kept.removeprefix("s3://my-ml-bucket/")] == b"trained"
    assert lineage["run_id"] == "manual__1"
    assert lineage["code_hash"] == "0123456789ab"
    assert lineage["training_job"] == "job-1"
    assert lineage["mlflow_run_id"] == "abc"
    assert lineage["tracking"] == "the metric f1 a was refused"
    assert lineage["champion"] == "s3://b/c/model.tar.gz"
    assert lineage["forced"] == "the old one cannot be served any more"
    assert lineage["interval_macro_f1"] == "0.93 to 0.97"
    assert lineage["data_manifest"] == RUN.data_manifest
    assert lineage["data_PdM_telemetry.csv"] == etag(b"telemetry")
    assert lineage["metric_macro_f1"] == "0.95"
    card = json.loads(request["ModelCard"]["ModelCardContent"])
    assert card["evaluation_details"][0]["datasets"] == [RUN.data_manifest]


def test_a_registered_version_is_linked_to_its_run_in_mlflow(begun: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated, registered = {"result": {"mlflow_run_id": "abc"}}, {"arn": PACKAGE}
    with pytest.raises(AirflowSkipException, match="mlflow_tracking_uri is None"):
        tasks.track_model_version(MODEL, context(), evaluated=evaluated, registered=registered)
    tracked = json.dumps({**json.loads(EXAMPLE), "mlflow_tracking_uri": "http://mlflow:5000"})
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", tracked)
    request = tasks.track_model_version(MODEL, context(), evaluated=evaluated, registered=registered)
    arguments = request["AppSpecification"]["ContainerArguments"]
    assert arguments[-4:] == ["--run-id", "abc", "--model-package", PACKAGE]
    assert request["Environment"]["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
    with pytest.raises(AirflowSkipException, match="the training's run there is None"):
        tasks.track_model_version(MODEL, context(), evaluated={"result": {}}, registered=registered)


def test_a_deploy_does_not_change_a_run_that_has_begun(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run has finished its first task; there is no job yet."""
    tasks.plan_training(MODEL, context())
    deployed = {**json.loads(EXAMPLE), "code_hash": "ffffffffffff", "image_uri": "other", "git_commit": "fffffff"}
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps(deployed))
    first, later = tasks.prepare_data(MODEL, context()), tasks.train_model(MODEL, context())
    assert first["AppSpecification"]["ImageUri"] == json.loads(EXAMPLE)["image_uri"]
    assert later["AlgorithmSpecification"]["TrainingImage"] == json.loads(EXAMPLE)["image_uri"]
    assert later["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"].startswith(
        "s3://my-ml-bucket/code/0123456789ab/"
    )
    assert tasks._pinned(MODEL, context())[1].git_commit == json.loads(EXAMPLE).get("git_commit")
    again = begin()
    assert again["AppSpecification"]["ImageUri"] == "other", "starting over uses what is deployed now"


def publish(s3: LocalS3, code_hash: str, gate: str) -> None:
    """The model's code, with its first gate changed."""
    folder, packed = MODELS_FOLDER / MODEL.name, io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for file in (*folder.glob("*.py"), *folder.glob("*.yaml"), *folder.rglob("*.json")):
            text = file.read_text()
            if file.name == "model.yaml":
                assert "macro_f1, min: 0.90}" in text
                text = text.replace("macro_f1, min: 0.90}", f"macro_f1, min: {gate}}}")
            archive.writestr(f"include/models/{MODEL.name}/{file.relative_to(folder).as_posix()}", text)
    s3.objects[f"code/{code_hash}/code.zip"] = packed.getvalue()


@pytest.mark.parametrize("edited_after", ["plan_training", "prepare_data"])
def test_a_gate_edited_while_a_run_is_under_way_judges_only_the_next_run(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, edited_after: str
) -> None:
    """The jobs (their report prints the gates) and the Dag (which decides) read the same model.yaml: that of the code
    with which the run began. Both say which code that is."""
    began, later = json.loads(EXAMPLE)["code_hash"], "ffffffffffff"
    publish(s3, began, "0.5")
    publish(s3, later, "0.99")

    def edit() -> None:
        monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps({**json.loads(EXAMPLE), "code_hash": later}))

    tasks.plan_training(MODEL, context())
    if edited_after == "plan_training":
        edit()
    tasks.prepare_data(MODEL, context())
    edit()
    trained = {"name": "job", "artifact": TRAINED}
    request: Any = tasks.evaluate_model(MODEL, context(), trained=trained, tuned=None)  # type: ignore[arg-type]
    assert request["Environment"]["CODE_HASH"] == began, "the report prints this"
    sources = [one["S3Input"]["S3Uri"] for one in request["ProcessingInputs"]]
    assert f"s3://my-ml-bucket/code/{began}/code.zip" in sources

    def threshold() -> float:
        evaluated: Any = {"result": {"metrics": {"macro_f1": 0.7}, "champion": None}}
        asked = context()
        with caplog.at_level("INFO"):
            tasks.check_metrics(MODEL, asked, evaluated=evaluated)
        gates = {gate["metric"]: gate for gate in asked["ti"].pushed["gates"]}
        assert json.loads(s3.objects[RUN.gates.removeprefix("s3://my-ml-bucket/")]) == asked["ti"].pushed["gates"]
        return float(gates["macro_f1"]["threshold"])

    assert threshold() == 0.5, "neither the working tree's nor the edit's"
    assert f"applied the gates of model.yaml in code {began}" in caplog.text
    begin()
    assert threshold() == 0.99


def test_another_step_needs_its_request_alone(begun: LocalS3) -> None:
    def calibrate_model(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
        outputs = {"calibrated": run.output("calibrate_model", "calibrated")}
        return processing(
            model, environment, run, "calibrate_model", inputs={"features": run.features}, outputs=outputs
        )

    task = tasks.step(MODEL, calibrate_model)
    assert task.__name__ == "calibrate_model"
    request = task(context())
    assert request["AppSpecification"]["ContainerEntrypoint"][-1] == "include.jobs.calibrate_model"
    (output,) = request["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == f"{RUN.folder}/calibrate_model/calibrated"


def test_a_run_whose_first_task_was_skipped_says_what_to_clear(s3: LocalS3) -> None:
    with pytest.raises(AirflowFailException, match="Clear prepare_data"):
        tasks.train_model(MODEL, context())


def test_lineage_fits_the_registry(s3: LocalS3) -> None:
    s3.objects.update({f"raw/predictive_maintenance/{i:03d}.csv": b"x" for i in range(200)})
    begin()
    s3.objects[TRAINED.removeprefix("s3://my-ml-bucket/")] = b"trained"
    evaluated = {
        "name": "evaluate-1",
        "inputs": {"artifact": TRAINED},
        "result": {"metrics": {}, "champion": None, "mlflow_run_id": None},
    }
    request = tasks.register_model(MODEL, context(), evaluated=evaluated, gates=[])
    assert len(request["CustomerMetadataProperties"]) == 42
    assert "mlflow_run_id" not in request["CustomerMetadataProperties"]


def test_other_data_is_another_digest(s3: LocalS3) -> None:
    digests = set()
    s3.objects[TRAINED.removeprefix("s3://my-ml-bucket/")] = b"trained"
    for telemetry in (b"telemetry", b"other", b"telemetry"):
        s3.objects["raw/predictive_maintenance/PdM_telemetry.csv"] = telemetry
        begin()
        result = {"metrics": {}, "champion": None}
        evaluated = {"name": "e", "inputs": {"artifact": TRAINED}, "result": result}
        request = tasks.register_model(MODEL, context(), evaluated=evaluated, gates=[])
        digests.add(request["CustomerMetadataProperties"]["data_sha256"])
    assert len(digests) == 2


def test_a_training_that_monitoring_started_holds_out_less_and_must_learn_what_changed(s3: LocalS3) -> None:
    request = begin(must_learn="2015-10-01")
    assert request["AppSpecification"]["ContainerArguments"][-4:] == [
        *("--held-out", "152,152,0.25"),
        *("--must-learn", "2015-10-01"),
    ]


def test_what_a_refit_left_is_registered_with_both_metrics_and_what_started_it(begun: LocalS3) -> None:
    model = MODEL.model_copy(update={"split": MODEL.split.model_copy(update={"refit": Refit(distance=0.2)})})
    refit: Refitted = {"rows": 900, "distance": 0.05, "metrics": {"macro_f1": 0.99}}
    passing: Evaluation = {"metrics": {"macro_f1": 0.95}, "champion": None}
    result: Evaluation = {**passing, "refit": refit}
    gates = judge(model, result)
    begun.objects[f"{RUN.refit}/model.tar.gz".removeprefix("s3://my-ml-bucket/")] = b"of all rows"
    job: Any = {"name": "evaluate-1", "inputs": {"artifact": TRAINED}}
    started = "monitor_predictive_maintenance, 2015-10-14: drift without harm of version 1 since 2015-10-01"
    request = tasks.register_model(model, context(started_by=started), evaluated={**job, "result": result}, gates=gates)
    kept = request["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    assert begun.objects[kept.removeprefix("s3://my-ml-bucket/")] == b"of all rows"
    known = request["CustomerMetadataProperties"]
    assert known["training_job"] == "job-1"
    assert known["started_by"].startswith("monitor_predictive_maintenance")
    assert (known["refit_macro_f1"], known["refit_rows"]) == ("0.99", "900")
    assert float(known["metric_macro_f1"]) < 0.99
    far: Evaluation = {**passing, "refit": {**refit, "distance": 0.3}}
    verdicts = {one["metric"]: one["passed"] for each in (result, far) for one in judge(model, each)}
    assert verdicts["refit_distance"] is False
    assert {one["metric"]: one["passed"] for one in gates}["refit_distance"] is True


def test_on_a_laptop_an_edit_is_published_before_the_run_begins(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("include/__init__.py", "include/jobs/bin/unpack.py", "include/models/x.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    kept: dict[str, str] = {}
    monkeypatch.setattr("airflow.sdk.Variable.set", lambda key, value: kept.update({key: value}))
    monkeypatch.setattr(code_bundle, "scoring_parts_of_models", lambda root: {})
    monkeypatch.setattr(code_bundle, "training_parts_of_models", lambda root: {})
    facts = {**json.loads(EXAMPLE), "publish_from": str(tmp_path)}
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps(facts))
    environment, _ = run_context.begin_run(context())
    assert environment.code_hash == code_bundle.code_hash(tmp_path)
    assert f"code/{environment.code_hash}/code.zip" in s3.objects
    assert json.loads(kept["ml_environment"]) == {**facts, "code_hash": environment.code_hash, "git_commit": None}


def test_who_is_asked_to_approve_gets_the_versions_page(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(tasks, "notify", lambda subject, message: sent.append((subject, message)))
    for name in ("index_versions", "s3_client", "sagemaker_client"):
        monkeypatch.setattr(tasks, name, lambda *_: None)
    package = {"group": "predictive-maintenance", "version": 3, "arn": "arn"}
    log_url = f"https://airflow/dags/{RUN.dag_id}/runs/1/tasks/register_model"
    ti = SimpleNamespace(task_id="register_model", dag_id=RUN.dag_id, run_id="1", log_url=log_url)
    ti.xcom_pull = lambda task_ids: package
    tasks.notify_registration(MODEL, {"ti": ti})  # type: ignore[typeddict-item]
    ((subject, message),) = sent
    assert subject == "predictive-maintenance version 3 waits for approval"
    assert message.endswith("https://airflow/models/model/predictive_maintenance/version/3")
