"""The short form of ``make bundle-test``, which must find what would break on MWAA."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from include.models.config import model_names
from include.ops.local_stack.settings import ROOT
from include.ops.mwaa.bundle import build
from include.ops.mwaa.check import (
    check_configuration,
    load_plugins,
    parse_dags,
    quick_findings,
    resolve_requirements,
    scan_imports,
    start_up,
)
from include.ops.mwaa.home import MwaaHome
from include.ops.mwaa.proof import BrokenPromiseError


@pytest.fixture
def home(tmp_path: Path) -> MwaaHome:
    folder = tmp_path / "it's a, test #1 (50 %) ü"
    folder.mkdir()
    made = MwaaHome(folder / "home", airflow_port=8179, sagemaker_port=4679, bundle=build(ROOT, folder / "dist"))
    made.home.mkdir()
    made.unpack()
    return made


def test_the_bundle_of_this_checkout_holds_every_quick_promise(home: MwaaHome) -> None:
    findings = list(quick_findings(home))
    assert [finding for finding in findings if not finding.kept] == []
    dags = next(finding.found for finding in findings if finding.promise.startswith("Dags parse"))
    assert {f"train_{model}" for model in model_names()} <= set(dags.split(", "))


def test_dags_that_would_break_on_mwaa_are_found(home: MwaaHome) -> None:
    dags = home.airflow_home / "dags"
    (dags / "reaches_out.py").write_text("# an airflow dag\nimport include.ops.local_stack.settings\n")
    with pytest.raises(BrokenPromiseError, match=r"(?s)reaches_out\.py.*No module named 'include\.ops'"):
        parse_dags(home)
    (dags / "reaches_out.py").write_text("def task():\n    import pandas\n    from airflow.models import DagRun\n")
    with pytest.raises(BrokenPromiseError, match=r"reaches_out\.py:2 imports pandas\n.*:3 imports airflow\.models"):
        scan_imports(home)


def test_plugins_that_need_the_dag_folder_are_found(home: MwaaHome) -> None:
    (home.airflow_home / "plugins" / "sagemaker_jobs" / "needs_dags.py").write_text(
        "import include.platform.environment\n"
    )
    with pytest.raises(BrokenPromiseError, match=r"(?s)needs_dags.*No module named 'include'"):
        load_plugins(home)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("apache-airflow-providers-amazon\n", "no --constraint line"),
        ("--constraint /usr/local/airflow/dags/constraints.txt\nsqlalchemy==1.4.0\n", "pip refuses"),
    ],
)
def test_requirements_that_pip_would_refuse_are_found(home: MwaaHome, text: str, problem: str) -> None:
    (home.airflow_home / "requirements" / "requirements.txt").write_text(text)
    with pytest.raises(BrokenPromiseError, match=problem):
        resolve_requirements(home)


def test_a_startup_script_that_fails_is_found(home: MwaaHome, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(home.bundle.folder, tmp_path / "broken"))
    (broken / home.bundle.path("startup").name).write_text("set -e\necho 'no such thing' >&2\nfalse\n")
    with pytest.raises(BrokenPromiseError, match="ended with 1: no such thing"):
        start_up(replace(home, bundle=replace(home.bundle, folder=broken)))


def test_configuration_options_have_mwaa_s_shape() -> None:
    assert check_configuration({"core.dagbag_import_timeout": "30"}) == "1 options"
    for key in ("no_section", "a." + "b" * 63):
        with pytest.raises(BrokenPromiseError, match="64 characters"):
            check_configuration({key: "x"})
