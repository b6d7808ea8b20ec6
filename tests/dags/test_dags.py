"""Rules that every Dag must follow, including the next one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Context
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError
from airflow.sdk.execution_time.context import set_current_context
from airflow.serialization.serialized_objects import DagSerialization

from include.deploy.dag import deploy_dag
from include.models.config import ModelConfig, load_model, model_names
from include.monitor.dag import monitor_dag
from include.platform.catalogue import usable_models
from include.score.dag import score_dag
from include.train.dag import train_dag
from sagemaker_jobs import schedules
from sagemaker_jobs.retries import SageMakerRetryPolicy

ROOT = Path(__file__).resolve().parents[2]
MODELS = model_names()

# every file of the Dag folder, and its Dags
DECLARED = {
    "backfill.py": {"backfill"},
    "deploy.py": {f"deploy_{name}" for name in MODELS},
    "monitor.py": {f"monitor_{model.name}" for model in usable_models() if model.scoring},
    "remind.py": {"remind"},
    "probe.py": {"probe"},
    "retire.py": {"retire"},
    "rollback.py": {"rollback"},
    "score.py": {f"score_{model.name}" for model in usable_models() if model.scoring},
    "score_file.py": {"score_file"},
    "train.py": {f"train_{name}" for name in MODELS},
    "broken.py": set(),
    "broken_models.py": set(),
}
# a worker parses the Dag folder for every task, so what a Dag file imports must be cheap
HEAVY = {"pandas", "numpy", "polars", "sklearn", "lightgbm", "great_expectations", "sagemaker", "mlflow", "matplotlib"}


def test_nothing_fails_to_import(dag_bag: DagBag) -> None:
    assert dag_bag.import_errors == {}


def test_every_file_and_every_dag_is_accounted_for(dag_bag: DagBag) -> None:
    found: dict[str, set[str]] = {path.name: set() for path in (ROOT / "dags").rglob("*.py")}
    for dag in dag_bag.dags.values():
        found[Path(dag.fileloc).name].add(dag.dag_id)
    assert found == DECLARED
    assert len(dag_bag.dags) >= 1


@pytest.fixture(params=sorted(set().union(*DECLARED.values())))
def dag(request: pytest.FixtureRequest, dag_bag: DagBag) -> DAG:
    return dag_bag.dags[request.param]


def test_has_an_owner_tags_and_a_runbook(dag: DAG) -> None:
    assert set(dag.owner.split(", ")) <= {model.owner for model in usable_models()}
    assert dag.tags
    assert dag.description
    assert dag.doc_md
    for heading in ("**Reads**", "**Writes**", "Running it again", "When it fails"):
        assert heading in dag.doc_md
    for task in dag.tasks:
        named = {f"`{task.task_id}`", f"`{task.label}`"}
        assert any(name in dag.doc_md for name in named) or task.task_id.startswith("choose_"), task.task_id


def test_is_named_verb_model_or_asks_for_the_model(dag: DAG) -> None:
    verb, _, model = dag.dag_id.partition("_")
    if verb in ("remind", "probe"):  # for all models
        assert not model
    elif dag.dag_id == "score_file":  # also started by arriving files: then the file's key names the model
        assert dag.params.get_param("model").schema["enum"] == [None, *MODELS]
    elif verb in ("rollback", "backfill", "retire"):
        assert not model
        assert dag.params.get_param("model").schema["enum"] == MODELS
    else:
        assert verb in ("train", "deploy", "score", "monitor")
        assert model in MODELS


def test_never_catches_up_nor_overlaps(dag: DAG) -> None:
    assert not dag.catchup
    # days are independent: each has its own partition, and they are published one after the other; so are rollbacks, of
    # which each model has at most one
    assert dag.max_active_runs == 1 or dag.dag_id.startswith(("score_", "monitor_", "rollback", "backfill"))


def test_tasks_are_retried_bounded_and_noticed(dag: DAG) -> None:
    for task in dag.tasks:
        assert task.retries
        assert task.retry_exponential_backoff
        assert task.execution_timeout or task.response_timeout  # a task that waits for a person has the latter
        assert task.on_failure_callback
        # errors that no retry can fix are not retried, throttling is waited out
        assert isinstance(task.retry_policy, SageMakerRetryPolicy)


def test_a_tasks_function_bears_its_id(dag: DAG) -> None:
    for task in dag.tasks:
        for name in ("python_callable", "request", "partition"):
            if function := getattr(task, name, None):
                named = function.func if isinstance(function, partial) else function
                assert named.__name__ == task.label  # its id without its group's name


def test_jobs_are_named_like_their_programs(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["train_predictive_maintenance"]
    jobs = [task.task_id for task in dag.tasks if task.task_type.endswith("JobOperator")]
    one_machine = {"prepare_data", "train_model", "tune_model", "evaluate_model"}
    assert set(jobs) == {*one_machine, "cut_data", "prepare_shards", "merge_shards"}


def test_params_say_what_they_are(dag: DAG) -> None:
    forms = {
        "backfill": {"model", "from", "to", "model_version", "force", "budget_usd"},
        "train": {
            *("data_from", "data_to", "instance_type", "budget_usd", "tune"),
            *("force", "reason", "started_by", "must_learn"),
        },
        "deploy": {"version", "stages", "strategy"},
        "rollback": {"model", "version"},
        "remind": set(),
        "probe": set(),
        "retire": {"model"},
        "score_file": {"model", "file", "mode", "again"},
        "score": {"day", "model_version", "force", "several_jobs", "challenger"},
        "monitor": {"day"},
    }
    fields = {name for name in dag.params if not name.startswith("hyperparameter_")}
    assert fields == (forms.get(dag.dag_id) or forms[dag.dag_id.partition("_")[0]])
    for name in dag.params:
        param = dag.params.get_param(name)
        assert param.description or param.schema["description_md"]
        assert param.schema["title"]
        assert param.schema.get("type") or param.schema.get("enum")


def test_an_empty_form_can_be_sent(dag: DAG) -> None:
    """Airflow does not validate these forms against their schemas when it parses the Dag."""
    for name in set(dag.params) - {"model", "from", "to"}:
        param = dag.params.get_param(name)
        param.resolve()
        assert "type" not in param.schema or "null" in param.schema["type"], f"{name} is required in Airflow's form"
    for task in dag.tasks:
        assert set(task.params) <= {"reason"}, "tasks have no copies of the form"


def test_every_question_is_told_to_people(dag: DAG) -> None:
    for asking in (task for task in dag.tasks if hasattr(task, "response_timeout")):
        assert asking.notifiers, f"nobody would know that {asking.task_id} waits"


def test_a_field_that_the_form_does_not_have_is_refused_by_every_first_task(dag: DAG) -> None:
    """Airflow lets a program send one, and leaves every field unchanged."""
    known = next(iter(dag.params), None)
    sent = f"{known}s" if known else "model"
    for first in (task for task in dag.tasks if not task.upstream_task_ids):
        context = Context(dag=dag, task=first, params={**dict.fromkeys(dag.params), sent: 1})  # type: ignore[typeddict-item,arg-type]
        with pytest.raises(AirflowFailException, match=f"no field '{sent}'"), set_current_context(context):
            first.python_callable() if hasattr(first, "python_callable") else first.partition(context)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_from", "01.02.2015"),
        ("instance_type", "m5.large"),
        ("instance_type", "ml.m5.lrage"),
        ("hyperparameter_learning_rate", "0,05"),
        ("hyperparameter_learning_rate", -1),
        ("hyperparameter_num_leaves", 31.5),
        ("hyperparameter_extra_trees", True),
        ("tune", "yes"),
        ("force", 1),
    ],
)
def test_params_refuse_what_cannot_be(dag_bag: DagBag, name: str, value: object) -> None:
    param = dag_bag.dags["train_predictive_maintenance"].params.get_param(name)
    with pytest.raises(ValueError, match=r".+"):
        param.resolve(value)


def test_the_training_dag_has_the_documented_order(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["train_predictive_maintenance"]
    edges = {(task.task_id, below) for task in dag.tasks for below in task.downstream_task_ids}
    assert edges >= {
        ("plan_training", "prepare_data"),
        ("prepare_data", "validate_raw_data"),
        ("plan_training", "cut_data"),
        ("merge_shards", "validate_raw_data"),
        ("validate_raw_data", "validate_features"),
        ("prepare_data", "choose_training"),
        ("merge_shards", "choose_training"),
        ("validate_features", "train_model"),
        ("validate_features", "tune_model"),
        ("choose_training", "train_model"),
        ("choose_training", "tune_model"),
        ("train_model", "evaluate_model"),
        ("tune_model", "evaluate_model"),
        ("evaluate_model", "check_metrics"),
        ("check_metrics", "register_model"),
        ("check_metrics", "reject_model"),
        ("register_model", "record_training"),
        ("reject_model", "record_training"),
    }
    assert {task.task_id for task in dag.roots} == {"plan_training"}
    assert {task.task_id for task in dag.leaves} == {"record_training"}


def test_a_registered_version_is_tracked_where_model_yaml_says_so(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["train_tabular_classifier"]
    assert dag.get_task("track_model_version").upstream_task_ids >= {"register_model"}
    assert {task.task_id for task in dag.leaves} == {"track_model_version", "record_training"}


def test_the_alias_of_the_champion_follows_production(dag_bag: DagBag) -> None:
    for dag_id in ("deploy_tabular_classifier", "rollback"):
        assert dag_bag.dags[dag_id].get_task("move_champion_alias").upstream_task_ids == {"record_promotion"}
    assert "move_champion_alias" not in dag_bag.dags["deploy_predictive_maintenance"].task_ids


def test_a_rollback_starts_at_once_and_only_for_a_model_that_was_chosen(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["rollback"]
    assert dag.is_paused_upon_creation is False
    assert dag.max_active_runs > 10 * len(MODELS), "no model waits for another one"
    model = dag.params.get_param("model")
    for value in ({}, {"value": "no_such_model"}, {"value": None}):
        with pytest.raises(ParamValidationError):
            model.resolve(**value)
    assert model.resolve("electricity") == "electricity"


def test_late_data_is_looked_for_whatever_becomes_of_the_drift(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["monitor_electricity"]
    assert {task.task_id for task in dag.roots} == {"find_late_days", "find_labels"}
    assert dag.get_task("find_late_days").downstream_task_ids == {"score_late_day"}
    assert dag.get_task("score_late_day").downstream_task_ids == set()


def test_what_is_scored_is_watched_for_late_data_even_without_monitoring() -> None:
    config = load_model("electricity").model_copy(update={"monitoring": None})
    assert monitor_dag(config).task_ids == ["find_late_days", "score_late_day"]


def test_a_day_is_scored_by_one_job_or_by_several(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["score_predictive_maintenance"]
    assert dag.get_task("plan_day").downstream_task_ids == {"score_day", "validate_input"}
    assert dag.get_task("publish_scores").upstream_task_ids >= {"score_day", "validate_scores"}
    # if the plan chose the other branch, or neither, nothing in this one may run
    assert dag.get_task("validate_scores").upstream_task_ids == {"build_features", "score"}
    for task_id in ("publish_scores", "validate_scores"):
        assert dag.get_task(task_id).trigger_rule == "none_failed_min_one_success"


def test_scores_are_sent_where_model_yaml_has_a_sink(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["score_tabular_classifier"]
    assert dag.get_task("kafka.send_scores").upstream_task_ids == {"publish_scores", "kafka.check_sink"}
    assert dag.get_task("kafka.check_sink").upstream_task_ids == {"plan_day"}
    assert "kafka.send_scores" not in dag_bag.dags["score_predictive_maintenance"].task_ids


def test_registration_emits_an_asset(dag_bag: DagBag) -> None:
    outlets = dag_bag.dags["train_predictive_maintenance"].get_task("register_model").outlets
    assert [outlet.name for outlet in outlets] == ["predictive_maintenance_model_package"]


def test_a_deployment_is_started_by_approvals_of_its_own_model(dag_bag: DagBag) -> None:
    for name in MODELS:
        schedule = DagSerialization.to_dict(dag_bag.dags[f"deploy_{name}"])["dag"]["timetable"]
        assert f"{name}_approved_package" in json.dumps(schedule)
        assert f"local-{name.replace('_', '-')}-approvals" in json.dumps(schedule)


@pytest.mark.parametrize(
    ("name", "value"), [("version", 0), ("version", "latest"), ("stages", "production"), ("strategy", "blue")]
)
def test_a_deployment_refuses_what_cannot_be(dag_bag: DagBag, name: str, value: object) -> None:
    param = dag_bag.dags["deploy_predictive_maintenance"].params.get_param(name)
    with pytest.raises(ValueError, match=r".+"):
        param.resolve(value)


def test_production_is_changed_only_after_staging_was_tested_and_somebody_decided(dag_bag: DagBag) -> None:
    dag = dag_bag.dags["deploy_predictive_maintenance"]
    before = dag.get_task("deploy_production").get_flat_relative_ids(upstream=True)
    assert {"resolve_package", "deploy_staging", "test_staging", "approve_production", "record_decision"} <= before
    for task_id in ("deploy_production", "test_production", "record_promotion"):
        assert dag.get_task(task_id).trigger_rule == "all_success"
    ends = {"remove_shadow", "report_shadow", "test_restored", "prune_stale"}
    assert {task.task_id for task in dag.leaves} == ends


def test_survives_the_way_through_the_database(dag: DAG) -> None:
    again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert {task.task_id for task in again.tasks} == {task.task_id for task in dag.tasks}


def test_days_are_backfilled_and_of_other_dags_it_is_said_that_they_are_not(dag: DAG) -> None:
    """Never that a schedule is "non-periodic", as Airflow reports before it looks at what the Dag allows."""
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    assert timetable.periodic
    is_about_days = dag.dag_id.startswith(("score_", "monitor_")) and dag.dag_id != "score_file"
    assert (dag.allowed_run_types is None) == is_about_days
    assert is_about_days or "backfill" not in dag.allowed_run_types


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("make", [train_dag, score_dag, monitor_dag, deploy_dag])
def test_a_model_without_schedules_can_be_backfilled_and_starts_nothing(
    make: Callable[[ModelConfig], DAG], monkeypatch: pytest.MonkeyPatch, *, off: bool
) -> None:
    """Whether model.yaml has none or, on a laptop, none is on."""
    model = load_model("predictive_maintenance")
    if off:
        monkeypatch.setenv(schedules.VARIABLE, schedules.OFF)
    else:
        never = model.schedule.model_copy(update=dict.fromkeys(("train", "score", "monitor")))
        model = model.model_copy(update={"schedule": never})
    found = DagSerialization.from_dict(DagSerialization.to_dict(make(model)))
    assert found.timetable.periodic
    assert not found.timetable.can_be_scheduled
    assert found.next_dagrun_info(last_automated_run_info=None) is None
    if found.allowed_run_types is None:
        first, last = (datetime(2015, 6, day, tzinfo=UTC) for day in (1, 3))
        days = [
            info.data_interval.start if info.data_interval else info.partition_date
            for info in found.iter_dagrun_infos_between(first, last)
        ]
        assert [day.date().isoformat() for day in days if day] == ["2015-06-01", "2015-06-02", "2015-06-03"]


def test_the_first_run_is_the_next_one_to_come(dag_bag: DagBag) -> None:
    """A Dag that is unpaused must not immediately train for the past week."""
    from airflow.timetables.base import TimeRestriction
    from airflow.timetables.trigger import CronTriggerTimetable
    from pendulum import now

    dag = dag_bag.dags["train_predictive_maintenance"]
    serialized = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert isinstance(serialized.timetable, CronTriggerTimetable)
    assert load_model("predictive_maintenance").schedule.train == serialized.timetable._expression
    first = serialized.timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(earliest=None, latest=None, catchup=False)
    )
    assert first is not None
    assert first.run_after is not None
    assert first.run_after > now()


def test_parsing_imports_nothing_heavy_and_needs_no_environment(tmp_path: Path) -> None:
    """In a separate process, without Variables, credentials or a network."""
    program = (
        "import socket, sys, json\n"
        "def refuse(*arguments): raise OSError('parsing talks to the network')\n"
        "socket.socket.connect = refuse\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        f"bag = DagBag({str(ROOT / 'dags')!r})\n"
        "print('\\n' + json.dumps([sorted(bag.dags), bag.import_errors, sorted(name for name in sys.modules)]))\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    dags, errors, modules = json.loads(done.stdout.strip().splitlines()[-1])
    assert errors == {}
    assert set(dags) == set().union(*DECLARED.values())
    assert HEAVY.isdisjoint(modules)
    assert not any(name.startswith("jobs.") or name == "include.jobs" for name in modules)
