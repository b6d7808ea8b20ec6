"""The triggerer and the API server of MWAA have plugins on their path, and no Dag folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_triggers_and_operators_import_without_the_dag_folder(tmp_path: Path) -> None:
    program = (
        "import importlib, sys\n"
        "from sagemaker_jobs.triggers import JobTrigger\n"
        "path, arguments = JobTrigger(kind='training', job='j', since=1, deadline=2, aws_conn_id=None).serialize()\n"
        "module, _, name = path.rpartition('.')\n"
        "assert getattr(importlib.import_module(module), name) is JobTrigger\n"
        "import sagemaker_jobs.processing, sagemaker_jobs.registry, sagemaker_jobs.training\n"
        "assert not any(name == 'include' or name.startswith('include.') for name in sys.modules)\n"
    )
    environment = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_airflow_loads_no_file_of_the_packages_as_a_plugin(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from airflow import plugins_manager\n"
        "print(plugins_manager.get_import_errors())\n"
        "assert not {'operators', 'triggers', 'names', 'kinds', 'links', 'failures', 'waiting'} & set(sys.modules)\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("{}")
