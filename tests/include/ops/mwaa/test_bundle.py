"""The upload to MWAA is complete, has nothing superfluous, and is the same bytes for the same sources."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import zipfile
from pathlib import Path

import pytest

from include.models.config import model_names
from include.ops.local_stack.settings import ROOT
from include.ops.mwaa import AIRFLOW_VERSION
from include.ops.mwaa.bundle import Bundle, build
from include.platform.code_bundle import code_hash


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(ROOT, tmp_path_factory.mktemp("built") / "dist")


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every file and folder."""
    return {
        path.relative_to(folder).as_posix(): (
            stat.S_IMODE(path.stat().st_mode),
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def clone(target: Path, *, umask: int) -> Path:
    """A checkout of these sources with another umask and at another time."""
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    before = os.umask(umask)
    try:
        for name in names:
            if (
                name.startswith(("dags/", "include/", "plugins/", "requirements", "constraints"))
                and (ROOT / name).is_file()
            ):
                copy = target / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes((ROOT / name).read_bytes())
                os.utime(copy, (1_000_000_000 + umask, 1_000_000_000 + umask))
        subprocess.run(["git", "init", "-q", str(target)], check=True)
    finally:
        os.umask(before)
    return target


def test_two_clones_built_apart_give_the_same_bytes_and_modes(tmp_path: Path) -> None:
    first = build(clone(tmp_path / "first", umask=0o022))
    before = os.umask(0o077)
    try:
        second = build(clone(tmp_path / "elsewhere" / "second", umask=0o077))
    finally:
        os.umask(before)
    assert snapshot(first.folder) == snapshot(second.folder)
    assert len(snapshot(first.folder)) > 50


def test_without_the_internet_packages_are_shipped_with_the_plugins(tmp_path: Path, bundle: Bundle) -> None:
    wheel = tmp_path / "a_package-1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    shipped = build(ROOT, tmp_path / "dist", [wheel])
    with zipfile.ZipFile(shipped.path("plugins")) as archive:
        assert archive.read(wheel.name) == b"a wheel"  # at the root, where pip is configured to look
    before, after = (one.path("requirements").read_text() for one in (bundle, shipped))
    assert after == f"--find-links /usr/local/airflow/plugins\n--no-index\n{before}"
    changed = {kind for kind in bundle.manifest["artifacts"] if bundle.sha256(kind) != shipped.sha256(kind)}
    assert changed == {"plugins", "requirements"}


def test_a_changed_file_changes_its_artifact_s_name_and_no_other(tmp_path: Path) -> None:
    root = clone(tmp_path / "clone", umask=0o022)
    before = build(root)
    (root / "plugins" / "sagemaker_jobs" / "names.py").write_text("NEW = 1\n")
    after = build(root)
    changed = {kind for kind in before.manifest["artifacts"] if before.path(kind).name != after.path(kind).name}
    assert changed == {"plugins"}
    assert not before.path("plugins").exists(), "what an earlier build left is gone"


def test_other_constraints_are_other_requirements(tmp_path: Path) -> None:
    """Otherwise an environment would keep the old packages until one of its machines is replaced."""
    root = clone(tmp_path / "clone", umask=0o022)
    before = build(root)
    with (root / "constraints.txt").open("a") as file:
        file.write("another==1.0\n")
    after = build(root)
    changed = {kind for kind in before.manifest["artifacts"] if before.path(kind).name != after.path(kind).name}
    assert changed == {"dags", "requirements"}


def test_names_tell_the_content(bundle: Bundle) -> None:
    for kind in ("dags", "plugins", "startup"):
        assert bundle.sha256(kind)[:12] in bundle.path(kind).name
    assert bundle.code_hash == code_hash(ROOT) == code_hash(bundle.path("code"))
    assert json.loads((bundle.folder / "manifest.json").read_text()) == bundle.manifest


def test_the_dag_folder_holds_what_dags_import_and_nothing_of_other_places(bundle: Bundle) -> None:
    files = set(bundle.dag_files)
    on_disk = {
        path.relative_to(bundle.path("dags")).as_posix() for path in bundle.path("dags").rglob("*") if path.is_file()
    }
    assert files == on_disk
    assert {"train.py", ".airflowignore", "constraints.txt", "include/train/dag.py"} <= files
    assert {"include/platform/environment.py", "include/models/page.html.jinja", "include/models/page.css"} <= files
    assert {f"include/models/{model}/model.yaml" for model in model_names()} <= files
    for elsewhere in (
        "include/jobs",
        "include/ops/local_stack",
        "include/local_sagemaker",
        "include/ops/mwaa",
        "include/ops/infra",
        "tests",
    ):
        assert not [name for name in files if name.startswith(elsewhere)]
    assert not [name for name in files if name.endswith(("estimator.py", "simulate.py", "interface.py", ".pyc"))]


def test_plugins_zip_has_the_plugins_folder_as_its_root(bundle: Bundle) -> None:
    names = zipfile.ZipFile(bundle.path("plugins")).namelist()
    assert {".airflowignore", "sagemaker_jobs/__init__.py", "sagemaker_jobs/triggers.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.startswith("plugins/")]


def test_the_constraints_are_those_of_the_target_version() -> None:
    assert f"constraints-{AIRFLOW_VERSION}/constraints-3.12.txt" in (ROOT / "constraints.txt").read_text()


def test_the_startup_script_runs_and_its_exports_reach_what_follows() -> None:
    script = f'source "{ROOT}/include/ops/mwaa/startup.sh" && env'
    done = subprocess.run(
        ["bash", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "AWS_RETRY_MODE=standard" in done.stdout
