"""From raw tables to checked splits in one process: its output, and the step at which it stops."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs import build_features, validate_features, validate_raw_data
from include.jobs.prepare_data import main
from include.models.config.files import SPLITS
from tests.include.jobs.job_programs import MODEL

FILES = {name: f"PdM_{name}.csv" for name in ("telemetry", "errors", "maint", "failures", "machines")}
FLAGS = ("validated", "features", "raw-report", "features-report", "preparation")


@dataclass(frozen=True)
class Prepared:
    folder: Path
    printed: str

    def verdict(self, report: str) -> Any:
        return json.loads((self.folder / report / "validation.json").read_text())


@pytest.fixture(scope="session")
def raw_files(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for name, table in tables.items():
        table.write_csv(folder / FILES[name], datetime_format="%Y-%m-%d %H:%M:%S")
    return folder


def prepare(raw: Path, out: Path, *arguments: str) -> Prepared:
    folders = [part for flag in FLAGS for part in (f"--{flag}", str(out / flag))]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        main(["--model", MODEL, "--raw", str(raw), *folders, *arguments])
    return Prepared(out, printed.getvalue())


@pytest.fixture(scope="session")
def prepared(raw_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(raw_files, tmp_path_factory.mktemp("prepared"))


def test_all_steps_run_and_each_says_how_long_it_took(prepared: Prepared) -> None:
    whole = prepared.verdict("preparation")
    assert whole["passed"]
    assert {"validate_raw_data", "build_features", "validate_features"} <= whole["facts"].keys()
    assert "stopped at" not in whole["facts"]
    for step in ("validate_raw_data", "build_features", "validate_features"):
        assert f"{step}: {whole['facts'][step]}" in prepared.printed
    assert whole["tables"].keys() == set(SPLITS)
    assert prepared.verdict("raw-report")["passed"]
    assert prepared.verdict("features-report")["passed"]


def test_it_leaves_what_the_steps_leave_one_by_one(prepared: Prepared, raw_files: Path, tmp_path: Path) -> None:
    model = ["--model", MODEL]
    validated, features = ["--validated", str(tmp_path / "validated")], ["--features", str(tmp_path / "features")]
    validate_raw_data.main([*model, "--raw", str(raw_files), *validated, "--report", str(tmp_path / "raw")])
    build_features.main([*model, *validated, *features])
    validate_features.main([*model, *features, "--report", str(tmp_path / "checked")])
    for name in SPLITS:
        file = f"features/{name}/features.parquet"
        assert pl.read_parquet(prepared.folder / file).equals(pl.read_parquet(tmp_path / file))
    assert json.loads((tmp_path / "raw/validation.json").read_text()) == prepared.verdict("raw-report")
    assert json.loads((tmp_path / "checked/validation.json").read_text()) == prepared.verdict("features-report")


def test_bad_raw_data_stops_it_at_once(raw_files: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for file in raw_files.iterdir():
        if file.name != FILES["errors"]:
            (raw / file.name).symlink_to(file)
    stopped = prepare(raw, tmp_path / "out")
    whole = stopped.verdict("preparation")
    assert not whole["passed"]
    assert whole["facts"]["stopped at"] == "validate_raw_data"
    assert "PdM_errors.csv" in whole["summary"]
    assert not stopped.verdict("raw-report")["passed"]
    assert not (stopped.folder / "features").exists()
    assert not (stopped.folder / "features-report").exists()


def test_features_that_cannot_be_made_are_a_verdict(raw_files: Path, tmp_path: Path) -> None:
    stopped = prepare(raw_files, tmp_path, "--data-to", "2015-01-20")
    assert stopped.verdict("raw-report")["passed"]
    assert stopped.verdict("preparation")["facts"]["stopped at"] == "build_features"
    verdict = stopped.verdict("features-report")
    assert not verdict["passed"]
    assert "the train split is empty" in verdict["summary"]


def test_features_that_are_wrong_stop_it_at_the_last_step(
    raw_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = build_features.split_features

    def leaking(*arguments: Any) -> dict[str, pl.DataFrame]:
        splits = split(*arguments)
        return splits | {"validation": splits["train"]}

    monkeypatch.setattr(build_features, "split_features", leaking)
    stopped = prepare(raw_files, tmp_path)
    assert stopped.verdict("preparation")["facts"]["stopped at"] == "validate_features"
    assert not stopped.verdict("features-report")["passed"]
