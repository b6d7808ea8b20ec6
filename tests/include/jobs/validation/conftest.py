"""A small simulated fleet, and the raw-data job run on a damaged copy of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs import validate_raw_data
from include.models.predictive_maintenance.simulate import simulate

MODEL = "predictive_maintenance"
FILES = {name: f"PdM_{name}.csv" for name in ("telemetry", "errors", "maint", "failures", "machines")}
Findings = list[dict[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """The job's output."""

    folder: Path
    printed: str

    @property
    def report(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "report/validation.json").read_text())
        return content

    @property
    def page(self) -> str:
        return (self.folder / "report/validation.html").read_text()

    def findings(self, severity: str) -> Findings:
        return [finding for finding in self.report["findings"] if finding["severity"] == severity]

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"validated/{name}.parquet")

    def quarantine(self, name: str) -> pl.DataFrame:
        file = self.folder / f"report/quarantine/{name}.csv"
        return pl.read_csv(file, infer_schema=False) if file.exists() else pl.DataFrame()


@pytest.fixture(scope="session")
def fleet() -> dict[str, str]:
    """The five files' text by table: ten machines, 120 days."""
    return as_csv(simulate(seed=11, machines=10, days=120))


@pytest.fixture(scope="session")
def small_fleet() -> dict[str, str]:
    """Three machines, 40 days: enough for every kind of damage, too little to learn from."""
    return as_csv(simulate(seed=12, machines=3, days=40))


def as_csv(tables: dict[str, pl.DataFrame]) -> dict[str, str]:
    return {name: table.write_csv(datetime_format="%Y-%m-%d %H:%M:%S") for name, table in tables.items()}


@pytest.fixture
def raw(fleet: dict[str, str], tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, text in fleet.items():
        (folder / FILES[name]).write_text(text)
    return folder


@pytest.fixture
def validate(raw: Path, tmp_path: Path) -> Callable[..., Verdict]:
    """Run the job on ``raw``; whatever the verdict, the input must be unchanged and no row lost."""

    def run(*arguments: str) -> Verdict:
        before = checksums(raw)
        verdict = run_job(raw, tmp_path / "out", *arguments)
        assert checksums(raw) == before
        assert_nothing_lost(verdict)
        return verdict

    return run


def run_job(raw: Path, out: Path, *arguments: str) -> Verdict:
    printed = io.StringIO()
    folders = ["--raw", raw, "--validated", out / "validated", "--report", out / "report"]
    with contextlib.redirect_stdout(printed):
        validate_raw_data.main(["--model", MODEL, *map(str, folders), *arguments])
    return Verdict(out, printed.getvalue().strip())


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def assert_nothing_lost(verdict: Verdict) -> None:
    report = verdict.report
    for name, table in report["tables"].items():
        assert table["accepted"] + table["rejected"] + table["outside_window"] == table["rows"]
        assert verdict.quarantine(name).height == table["rejected"]
        file = verdict.folder / f"validated/{name}.parquet"
        assert file.exists() == report["passed"]
        if report["passed"]:
            assert verdict.table(name).height == table["accepted"]
    assert report["passed"] == (not verdict.findings("critical"))
    assert verdict.printed == report["summary"]
    assert len(report["summary"]) <= 900


def shared_data() -> Path | None:
    """The folder of real data, if it exists."""
    given = os.environ.get("SHARED_DATA")
    folder = Path(given) if given else Path(__file__).resolve().parents[5] / "shared/data"
    return folder if folder.is_dir() else None
