"""Generated pages: a page that is stale is named, and one that cannot be made says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.ops import reference


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    return tmp_path


def test_a_stale_page_is_named_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check", "make"]) == 1
    assert "stale: make" in capsys.readouterr().err
    assert reference.main(["make"]) == 0
    assert "| `make run` |" in (folder / "make.md").read_text()
    assert reference.main(["--check", "make"]) == 0


def test_an_unknown_page_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        reference.main(["makes"])
    assert "there are dags, make, storage" in capsys.readouterr().err


def test_every_section_of_model_yaml_has_its_keys_types_and_defaults(folder: Path) -> None:
    text = reference.model_yaml()
    assert "| `min_positives` | integer | `10` | at least 1, at most 1000000 |" in text
    assert "| `gates` | list of [Gate](#gate) | **required** |" in text
    assert "## Gate\n" in text


def test_dag_files_with_errors_make_no_page(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path_factory.mktemp("checkout")
    (root / "dags").mkdir()
    (root / "dags" / "broken.py").write_text("from airflow.sdk import DAG\nraise RuntimeError('no')\n")
    monkeypatch.setattr(reference, "ROOT", root)
    assert reference.main(["dags"]) == 1
    assert "has errors" in capsys.readouterr().err
    assert not (folder / "dags.md").exists()
