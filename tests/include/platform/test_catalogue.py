"""A broken model.yaml is reported, and does not affect the Dags of other models."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from include.models import config
from include.platform.broken_dag import broken_dag
from include.platform.catalogue import broken_models, require_all_models, usable_models

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three models: one good, one with an unknown key, one with an impossible schedule."""
    text = (ROOT / "include" / "models" / "predictive_maintenance" / "model.yaml").read_text()
    for name in ("good", "misspelt", "untimely"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.yaml").write_text(
            text.replace("name: predictive_maintenance", f"name: {name}")
        )
    path = tmp_path / "models" / "misspelt" / "model.yaml"
    path.write_text(path.read_text() + "\nshedule: {}\n")
    path = tmp_path / "models" / "untimely" / "model.yaml"
    path.write_text(path.read_text().replace('"0 3 * * 1"', '"99 3 * * 1"'))
    return tmp_path / "models"


def test_the_good_one_stays(folder: Path) -> None:
    assert [model.name for model in usable_models(folder)] == ["good"]


def test_a_tasks_process_reads_its_own_model_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder / "other" / "model.yaml"
    other.parent.mkdir()
    other.write_text((folder / "good" / "model.yaml").read_text().replace("name: good", "name: other"))
    assert [model.name for model in usable_models(folder)] == ["good", "other"]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "train_other")  # as Airflow's task runner sets it
    assert [model.name for model in usable_models(folder)] == ["other"]
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "rollback")
    assert [model.name for model in usable_models(folder)] == ["good", "other"], "a Dag for all models"


def test_every_problem_is_named_at_once(folder: Path) -> None:
    with pytest.raises(config.ConfigError) as problems:
        require_all_models(folder)
    message = str(problems.value)
    assert "misspelt/model.yaml" in message
    assert "shedule: unknown key. Did you mean 'schedule'?" in message
    assert "untimely/model.yaml:14: schedule.train: a cron expression's minute is 0 to 59, not 99" in message


def test_airflow_shows_the_problem_and_keeps_the_other_dags(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dags = Path(shutil.copytree(ROOT / "dags", tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__")))
    catalogue = sys.modules["include.platform.catalogue"]
    monkeypatch.setattr(catalogue.usable_models, "__defaults__", (folder,))
    monkeypatch.setattr(catalogue.require_all_models, "__defaults__", (folder,))
    monkeypatch.setattr(catalogue.broken_models, "__defaults__", (folder,))
    bag = DagBag(dags)
    assert "train_good" in bag.dags
    marked = {"broken_misspelt", "broken_untimely"}
    assert marked < set(bag.dags)
    of_models = {dag_id for dag_id in bag.dags if dag_id.startswith(("train_", "score_", "deploy_", "monitor_"))}
    assert {dag_id.partition("_")[2] for dag_id in of_models - {"score_file"}} == {"good"}
    assert bag.dags["rollback"].params.get_param("model").schema["enum"] == ["good"]
    ((file, error),) = bag.import_errors.items()
    assert file.endswith("broken_models.py"), "a file with an import error has none of its Dags scheduled"
    assert "Did you mean 'schedule'?" in error


def test_a_moment_that_never_comes_is_not_a_schedule(folder: Path) -> None:
    path = folder / "good" / "model.yaml"
    path.write_text(path.read_text().replace('"0 3 * * 1"', '"0 3 30 2 *"'))
    reasons = {model.name: model.reason for model in broken_models(folder)}
    assert "schedule.train: is '0 3 30 2 *', which is not a cron expression or never fires" in reasons["good"]


def test_a_broken_model_has_a_dag_that_says_why(folder: Path) -> None:
    broken = {model.name: model for model in broken_models(folder)}
    assert set(broken) == {"misspelt", "untimely"}
    dag = broken_dag(broken["misspelt"])
    assert dag.dag_id == "broken_misspelt"
    assert dag.tags == {"broken", "Misspelt"}
    for shown in (dag.description, dag.doc_md):
        assert "misspelt/model.yaml:" in (shown or "")
        assert "Did you mean 'schedule'?" in (shown or "")
    (task,) = dag.tasks
    with pytest.raises(AirflowFailException, match="Did you mean 'schedule'"):
        task.python_callable()
    again = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
    assert again.dag_id == dag.dag_id
