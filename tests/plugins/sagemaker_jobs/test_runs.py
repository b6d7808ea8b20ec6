"""Starting runs of another Dag without Airflow's database layer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import DagRunTriggerException

from sagemaker_jobs import runs

ROOT = Path(__file__).resolve().parents[3]


def operator(**given: Any) -> runs.TriggerRunOperator:
    return runs.TriggerRunOperator(task_id="t", trigger_dag_id="score_x", trigger_run_id="late__1", **given)


@pytest.mark.parametrize(("conf", "sent"), [({"day": "2026-01-05"}, {"day": "2026-01-05"}), (None, {})])
def test_asks_once_for_a_run_of_no_date(conf: dict[str, str] | None, sent: dict[str, str]) -> None:
    with pytest.raises(DagRunTriggerException) as asked:
        operator(conf=conf).execute({})
    found = asked.value
    assert (found.trigger_dag_id, found.dag_run_id, found.conf) == ("score_x", "late__1", sent)
    assert (found.logical_date, found.skip_when_already_exists, found.reset_dag_run) == (None, True, False)
    assert (found.wait_for_completion, found.deferrable) == (False, False)


@pytest.mark.parametrize(("run_id", "page"), [("late__1", "dags/score_x/runs/late__1"), (None, "")])
def test_a_button_leads_to_the_run(monkeypatch: pytest.MonkeyPatch, run_id: str | None, page: str) -> None:
    monkeypatch.setattr(runs, "BaseXCom", SimpleNamespace(get_value=lambda ti_key, key: run_id))
    (link,) = runs.TriggerRunOperator.operator_extra_links
    found = link.get_link(operator(), ti_key="key")
    assert found.endswith(page)
    assert bool(found) == bool(run_id)


def test_the_database_layer_is_not_imported(tmp_path: Path) -> None:
    program = "import sys, sagemaker_jobs.runs; print('airflow.models.dag' in sys.modules)"
    environment = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
