"""The sources of the promotion packet: both versions' evaluations, training profiles and registry entries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from include.deploy import approval_request
from include.deploy.form import AS_CONFIGURED, STAGING_ONLY
from include.models.config import load_model
from include.models.config.files import CHALLENGER, SHADOW
from include.platform.environment import EXAMPLE, parse_ml_environment
from include.platform.errors import PermanentError
from include.platform.run_folders import Run
from include.platform.storage import challenger_folder, performance_of, split_uri
from include.registry.history import Entry
from include.registry.versions import RegisteredVersion
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker

MODEL = load_model("predictive_maintenance")
BUCKET = "my-ml-bucket"
GOOD = {"macro_f1": 0.95, "accuracy": 0.99, "log_loss": 0.02, "failure_events_caught": 0.97}
BETTER = {**GOOD, "macro_f1": 0.96}
REPORT: Any = {"passed": True, "summary": "fine", "p50_ms": 4.0, "p99_ms": 9.0, "golden_ok": True, "failures": []}


def version(number: int, **metadata: str) -> RegisteredVersion:
    lineage = {"dag_id": "train_predictive_maintenance", "run_id": f"run-{number}", **metadata}
    return RegisteredVersion(
        version=number,
        model_package_arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/predictive-maintenance/{number}",
        artifact=f"s3://{BUCKET}/{number}/model.tar.gz",
        image="image:1",
        statistics=Run(BUCKET, lineage["dag_id"], lineage["run_id"]).evaluation_statistics,
        metadata=lineage,
    )


@pytest.fixture(scope="module")
def registry(local_aws: LocalSageMaker) -> Iterator[Any]:
    """Versions 1 and 2 as ``version`` makes them."""

    def more(number: int) -> dict[str, object]:
        made = version(number)
        statistics = {"ContentType": "application/json", "S3Uri": made.statistics}
        return {
            "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
            "CustomerMetadataProperties": made.metadata,
        }

    with registered_versions(local_aws, "predictive-maintenance", 2, more) as sagemaker:
        yield sagemaker


@pytest.fixture
def s3(ml_bucket: LocalS3, registry: Any, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    answer_from(monkeypatch, s3=ml_bucket, sagemaker=registry)
    evaluate(ml_bucket, 1, GOOD, None, edge=1.0)
    evaluate(ml_bucket, 2, BETTER, GOOD, edge=1.0)
    return ml_bucket


def evaluate(
    s3: LocalS3, number: int, metrics: dict[str, float], champion: dict[str, float] | None, edge: float
) -> None:
    """Write the files of a version's training run."""
    folder = split_uri(version(number).evaluation.rsplit("/", 1)[0])[1]
    profile = {"volt": {"edges": [edge], "shares": [0.5, 0.5], "min": edge - 1, "max": edge + 1, "missing": 0.0}}
    s3.objects[f"{folder}/metrics.json"] = json.dumps({"metrics": metrics, "champion": champion}).encode()
    s3.objects[f"{folder}/drift_profile.json"] = json.dumps(profile).encode()


def prepare(s3: LocalS3, candidate: RegisteredVersion, *, champion: int | None = 1) -> tuple[str, str]:
    """The next task, and the text of the form."""
    pushed: dict[str, Any] = {}
    in_production = champion and Entry(
        **version(champion).model_dump(include={"version", "model_package_arn", "artifact"}),
        since=datetime(2026, 11, 1, tzinfo=UTC),
        endpoint_config="config",
        dag_id="deploy",
        run_id="run",
    )
    context: Any = {
        "params": {"stages": "staging and production", "strategy": AS_CONFIGURED},
        "ti": SimpleNamespace(dag_id="deploy", run_id="run", xcom_push=lambda key, value: pushed.update({key: value})),
    }
    resolved: Any = {"version": candidate.model_dump(), "champion": in_production and in_production.as_json()}
    following = approval_request.prepare_promotion(MODEL, context, resolved=resolved, report=REPORT)
    assert "<html" in s3.objects[split_uri(Run(BUCKET, "deploy", "run").promotion_packet)[1]].decode()
    return following, pushed["packet"]["body"]


def test_a_candidate_that_was_measured_beside_the_champion_is_compared_on_the_same_rows(s3: LocalS3) -> None:
    following, body = prepare(s3, version(2, champion=version(1).artifact))
    assert following == "approve_production"
    assert "0.96 | 0.95 ▲ better" in body
    assert "use different rows" not in body
    assert "no feature moved since version 1" in body
    assert "the report is missing" in body, "from the data's validation"


def test_one_that_was_measured_beside_another_is_not_called_better(s3: LocalS3) -> None:
    body = prepare(s3, version(2, champion="s3://other/model.tar.gz"))[1]
    assert "0.96 | 0.95 |" in body
    assert "use different rows" in body


def test_its_run_in_mlflow_is_linked(s3: LocalS3) -> None:
    candidate, page = version(2, champion=version(1).artifact), "https://mlflow.example.com/#/experiments/1/runs/2"
    key = split_uri(candidate.evaluation.rsplit("/", 1)[0])[1] + "/metrics.json"
    assert "MLflow" not in prepare(s3, candidate)[1]
    s3.objects[key] = json.dumps({**json.loads(s3.objects[key]), "mlflow_page": page}).encode()
    assert f"[MLflow run]({page})" in prepare(s3, candidate)[1]


def test_training_data_that_moved_is_named(s3: LocalS3) -> None:
    evaluate(s3, 2, BETTER, GOOD, edge=9.0)
    assert "moved since version 1 in volt" in prepare(s3, version(2, champion=version(1).artifact))[1]


def test_the_first_version_is_compared_with_nothing(s3: LocalS3) -> None:
    body = prepare(s3, version(1), champion=None)[1]
    assert "nothing to compare with" in body
    assert "the endpoint is new; it has no traffic yet" in body


@pytest.mark.parametrize(
    ("settings", "trained_by", "started_by", "problem"),
    [
        ({}, "conan", "conan", None),
        ({"approvers": ["ann"]}, None, None, "not an approver"),
        ({"approvers": ["conan"]}, None, None, "not an approver"),  # Airflow identifies people by id
        ({"approvers": ["7"]}, None, None, None),
        ({"approvers": {"7": "conan"}, "four_eyes": True}, None, "conan", "four eyes"),
        ({"four_eyes": True}, "conan", None, "four eyes"),
        ({"four_eyes": True}, None, "conan", "four eyes"),
        ({"four_eyes": True}, "ann", "ben", None),
    ],
)
def test_who_may_approve_is_for_the_environment_to_say(
    s3: LocalS3,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    trained_by: str | None,
    started_by: str | None,
    problem: str | None,
) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps({**json.loads(EXAMPLE), **settings}))
    answer: Any = {"chosen_options": ["Approve"], "params_input": {}, "responded_at": datetime(2026, 11, 1, tzinfo=UTC)}
    answer["responded_by_user"] = {"id": "7", "name": "conan"}
    context: Any = {
        "ti": SimpleNamespace(dag_id="deploy", run_id="run"),
        "dag_run": SimpleNamespace(triggering_user_name=started_by),
    }
    candidate = version(2, **({"triggered_by": trained_by} if trained_by else {})).model_dump()
    if problem:
        with pytest.raises(PermanentError, match=problem):
            approval_request.record_decision(MODEL, context, answer=answer, version=candidate)
        answer["chosen_options"] = ["Reject"]  # anybody may reject
        assert approval_request.record_decision(MODEL, context, answer=answer, version=candidate) == "keep_production"
    else:
        assert approval_request.record_decision(MODEL, context, answer=answer, version=candidate) == "deploy_production"


ENVIRONMENT = parse_ml_environment(EXAMPLE)
BOTH = "staging and production"


@pytest.mark.parametrize(
    ("shadow", "stages", "asks_nobody", "task"),
    [
        (False, BOTH, False, "approve_production"),
        (False, BOTH, True, "record_decision"),
        (False, STAGING_ONLY, False, "keep_production"),
        (False, STAGING_ONLY, True, "keep_production"),
        (True, BOTH, True, "deploy_shadow"),
    ],
)
def test_what_passed_its_test_in_staging_goes_no_further_than_was_asked(
    shadow: bool, stages: str, asks_nobody: bool, task: str
) -> None:
    environment = ENVIRONMENT.model_copy(update={"approve_promotions": asks_nobody})
    context: Any = {"params": {"stages": stages}}
    assert approval_request.next_task(environment, context, shadow=shadow) == task


CONAN, ANSWERED = {"id": "7", "name": "conan"}, datetime(2026, 11, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("answer", "decision", "by", "reason"),
    [
        (None, "promoted", "nobody", "this environment promotes what passed its test"),
        ({"chosen_options": ["Reject"], "responded_by_user": None}, "not promoted", "nobody", "no answer in time"),
        ({"chosen_options": ["Approve"], "responded_by_user": CONAN}, "promoted", "conan", ""),
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": ""}}, "promoted", "7", ""),
        (
            {"chosen_options": ["Reject"], "responded_by_user": CONAN, "params_input": {"reason": "too slow"}},
            "not promoted",
            "conan",
            "too slow",
        ),
    ],
)
def test_an_answer_is_an_approval_only_if_somebody_chose_it(answer: Any, decision: str, by: str, reason: str) -> None:
    found = approval_request._decision(answer and {"params_input": None, "responded_at": ANSWERED, **answer})
    assert (found["decision"], found["by"], found["reason"]) == (decision, by, reason)
    assert (found["at"] == str(ANSWERED)) is (by in ("conan", "7"))


@pytest.mark.parametrize("settings", [{"four_eyes": True}, {"approvers": {"7": "conan"}}])
def test_an_approval_of_nobody_is_refused_where_somebody_has_to_answer(settings: dict[str, Any]) -> None:
    environment = parse_ml_environment(json.dumps({**json.loads(EXAMPLE), **settings}))
    answer: Any = {"chosen_options": ["Approve"], "responded_by_user": None}
    context: Any = {"dag_run": SimpleNamespace(triggering_user_name=None)}
    with pytest.raises(PermanentError, match=r"^nobody approved"):
        approval_request._require_another(environment, context, answer, version(2).model_dump())
    approval_request._require_another(environment, context, None, version(2).model_dump())


def test_where_the_environment_answers_itself_approvers_need_not_be_others() -> None:
    settings = {"approvers": {"7": "conan"}, "four_eyes": True}
    environment = parse_ml_environment(json.dumps({**json.loads(EXAMPLE), **settings}))
    alone = environment.model_copy(update={"approve_promotions": True})
    context: Any = {"dag_run": SimpleNamespace(triggering_user_name="conan")}
    assert [one["name"] for one in approval_request._approvers(alone, context, version(2).model_dump())] == ["conan"]


@pytest.mark.parametrize(
    ("production", "whole"), [(None, True), ([], True), ([{"seen": 0}], True), ([{"seen": 5}, {"seen": 0}], False)]
)
def test_a_champion_that_learned_rows_of_the_test_split_is_not_compared_on_all(production: Any, whole: bool) -> None:
    evaluation: Any = None if production is None else {"metrics": {}, "champion": {}, "production": production}
    assert approval_request._all_rows(evaluation) is whole


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, None),
        ({"approvers": {"7": "conan", "8": "ann"}}, ["conan", "ann"]),
        ({"approvers": {"7": "conan", "8": "ann"}, "four_eyes": True}, ["ann"]),
    ],
)
def test_airflow_asks_those_who_may_answer_alone(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], asked: list[str] | None
) -> None:
    environment = parse_ml_environment(json.dumps({**json.loads(EXAMPLE), **settings}))
    context: Any = {"dag_run": SimpleNamespace(triggering_user_name="conan")}
    approvers = approval_request._approvers(environment, context, version(2).model_dump())
    operator = approval_request.ApprovalOperator(task_id="approve", subject="?", options=["Approve", "Reject"])
    told: list[Any] = []
    monkeypatch.setattr("airflow.providers.standard.operators.hitl.HITLOperator.execute", lambda *_: None)
    pulled = SimpleNamespace(xcom_pull=lambda **key: told.append(key) or {"approvers": approvers})
    operator.execute(cast(Any, {"ti": pulled}))
    assert told == [{"task_ids": "prepare_promotion", "key": "packet"}]
    assert (operator.assigned_users and [user["name"] for user in operator.assigned_users]) == asked


def test_where_nobody_may_answer_nobody_is_asked(s3: LocalS3) -> None:
    settings = {**json.loads(EXAMPLE), "approvers": {"7": "conan"}, "four_eyes": True}
    context: Any = {"dag_run": SimpleNamespace(triggering_user_name="conan")}
    with pytest.raises(PermanentError, match=r"nobody may approve: conan .*no other approver"):
        approval_request._approvers(parse_ml_environment(json.dumps(settings)), context, version(2).model_dump())


@pytest.mark.parametrize("reason", ["Looks good, approved!", "two\nlines; it's <fine>", "🚀" * 300])
def test_what_a_person_decides_is_kept_whole_whatever_they_type(s3: LocalS3, registry: Any, reason: str) -> None:
    answer: Any = {
        "chosen_options": ["Approve"],
        "params_input": {"reason": reason},
        "responded_by_user": {"id": "7", "name": "Conan O'Brien"},
        "responded_at": datetime(2026, 11, 1, tzinfo=UTC),
    }
    context: Any = {"ti": SimpleNamespace(dag_id="deploy", run_id="run")}
    following = approval_request.record_decision(MODEL, context, answer=answer, version=version(2).model_dump())
    assert following == "deploy_production"
    kept = registry.describe_model_package(ModelPackageName=version(2).model_package_arn)["CustomerMetadataProperties"]
    assert kept["promotion_by"] == "Conan O Brien"
    record = json.loads(s3.objects[split_uri(kept["promotion_record"])[1]])
    assert (record["reason"], record["by"]) == (reason, "Conan O'Brien")


def test_a_decision_replaces_the_one_before_whole(s3: LocalS3, registry: Any) -> None:
    context: Any = {"ti": SimpleNamespace(dag_id="deploy", run_id="run")}
    for chosen, reason in (("Reject", "too slow"), ("Approve", "")):
        answer: Any = {
            "chosen_options": [chosen],
            "params_input": {"reason": reason},
            "responded_by_user": {"id": "7", "name": "conan"},
            "responded_at": datetime(2026, 11, 1, tzinfo=UTC),
        }
        approval_request.record_decision(MODEL, context, answer=answer, version=version(2).model_dump())
        package = registry.describe_model_package(ModelPackageName=version(2).model_package_arn)
        kept = package["CustomerMetadataProperties"]
        assert kept["promotion_decision"] == ("promoted" if chosen == "Approve" else "not promoted")
        assert kept.get("promotion_reason") == (reason or None)
        status = "Promoted" if chosen == "Approve" else "Declined"
        assert (package["ModelLifeCycle"]["Stage"], package["ModelLifeCycle"]["StageStatus"]) == ("Staging", status)
        assert package["ModelApprovalStatus"] == "Approved", "the approval differs"


def test_the_days_that_it_scored_beside_production_are_told(s3: LocalS3) -> None:
    beside = {"rows": 100, "agreed": 0.98, "apart": 0.02, "changes": []}
    for day in ("2015-06-01", "2015-06-02"):
        s3.objects[f"{challenger_folder(MODEL.name, day, 2)}{CHALLENGER}"] = json.dumps(beside).encode()
    paired = {"rows": 50, "measure": "accuracy", "production": 0.9, "challenger": 0.92}
    known = split_uri(performance_of(BUCKET, MODEL.name, "2015-06-01"))[1]
    s3.objects[known] = json.dumps({"challengers": {"2": paired}}).encode()
    body = prepare(s3, version(2))[1]
    assert "2 days beside production (2015-06-01 to 2015-06-02): 2 points better on 50 rows of 1 day" in body
    assert "98.0% of 200 rows have the same label" in body
    assert "beside production" not in prepare(s3, version(1))[1]
    for day in ("2015-06-01", "2015-06-02"):
        s3.objects[f"{challenger_folder(MODEL.name, day, 2)}{SHADOW}"] = json.dumps(beside).encode()
    s3.objects[known] = json.dumps({"challengers": {"2": paired}, "shadows": {"2": paired | {"rows": 30}}}).encode()
    body = prepare(s3, version(2))[1]
    assert "2 days beside production (2015-06-01 to 2015-06-02): 2 points better on 50 rows of 1 day" in body
    assert "2 days as the endpoint's shadow (2015-06-01 to 2015-06-02): 2 points better on 30 rows of 1 day" in body
