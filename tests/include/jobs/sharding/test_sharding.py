"""Raw tables prepared in chunks by two machines, then merged, give the result of one machine."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs import merge_shards, prepare_data, prepare_shards
from include.jobs.build_features import read_tables
from include.jobs.cut_data import cut
from include.jobs.features.feature_table import read_split
from include.models.config import load_model
from include.models.config.files import SPLITS
from include.models.errors import JobError
from tests.include.jobs.job_programs import MODEL

CONFIG = load_model(MODEL)
CHUNK_MB = 4
OUTPUTS = ("validated", "features", "raw-report", "features-report", "preparation")


@pytest.fixture(scope="session")
def raw_files(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty machines' tables; a few telemetry rows are unusable, or contradict each other."""
    folder = tmp_path_factory.mktemp("raw")
    for name, table in tables.items():
        table.write_csv(folder / CONFIG.data.tables[name].file, datetime_format="%Y-%m-%d %H:%M:%S")
    return folder


def flags(out: Path) -> list[str]:
    return [part for name in OUTPUTS for part in (f"--{name}", str(out / name))]


def whole(raw: Path, out: Path) -> Path:
    with contextlib.redirect_stdout(io.StringIO()):
        prepare_data.main(["--model", MODEL, "--raw", str(raw), *flags(out)])
    return out


def in_shards(raw: Path, out: Path) -> Path:
    """Run the three jobs, the second on two machines, each with every other chunk."""
    chunks = cut(CONFIG, raw, out / "chunks", CHUNK_MB)
    assert chunks > 2
    files = sorted((out / "chunks").iterdir())
    with contextlib.redirect_stdout(io.StringIO()):
        for machine in range(2):
            mine = out / f"chunks-{machine}"
            mine.mkdir()
            for file in files[machine::2]:
                shutil.move(file, mine / file.name)
            prepare_shards.main(["--model", MODEL, "--chunks", str(mine), "--shards", str(out / "shards")])
        merge_shards.main(["--model", MODEL, "--shards", str(out / "shards"), *flags(out)])
    return out


@pytest.fixture(scope="session")
def both(raw_files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("both")
    return whole(raw_files, folder / "whole"), in_shards(raw_files, folder / "shards")


def verdict(out: Path, report: str) -> Any:
    return json.loads((out / report / "validation.json").read_text())


def test_features_and_labels_are_the_same_to_the_bit(both: tuple[Path, Path]) -> None:
    one, many = both
    for name in SPLITS:
        expected = read_split(one / "features" / name).sort(CONFIG.data.key)
        assert read_split(many / "features" / name).sort(CONFIG.data.key).equals(expected), name
    assert len(list((many / "features" / "train").iterdir())) > 1, "in parts"


def test_validated_tables_are_the_same(both: tuple[Path, Path]) -> None:
    one, many = (read_tables(CONFIG, out / "validated") for out in both)
    for name, table in CONFIG.data.tables.items():
        assert many[name].sort(table.key).equals(one[name].sort(table.key)), name


def test_verdicts_and_what_is_said_of_the_splits_are_the_same(both: tuple[Path, Path]) -> None:
    one, many = both
    for report in ("raw-report", "features-report"):
        ours, theirs = verdict(many, report), verdict(one, report)
        assert ours["tables"] == theirs["tables"]
        assert ours["summary"] == theirs["summary"]
        assert ours["findings"] == theirs["findings"]
    manifests = [json.loads((out / "features" / "manifest.json").read_text()) for out in both]
    assert manifests[0] == manifests[1]
    classes = [{k: v for k, v in verdict(out, "preparation")["facts"].items() if "classes" in k} for out in both]
    assert classes[0] == classes[1]


def damaged(raw_files: Path, into: Path) -> Path:
    raw = Path(shutil.copytree(raw_files, into))
    telemetry = raw / CONFIG.data.tables["telemetry"].file
    lines = telemetry.read_text().splitlines()
    lines[5] = lines[5].rsplit(",", 1)[0] + ",much"
    lines.append(lines[9])
    telemetry.write_text("\n".join(lines) + "\n")
    return raw


def test_bad_rows_are_judged_as_a_whole_and_put_aside_in_one_file(raw_files: Path, tmp_path: Path) -> None:
    raw = damaged(raw_files, tmp_path / "raw")
    one, many = whole(raw, tmp_path / "whole"), in_shards(raw, tmp_path / "shards")
    ours, theirs = verdict(many, "raw-report"), verdict(one, "raw-report")
    assert not ours["passed"]
    assert ours["findings"] == theirs["findings"]
    assert verdict(many, "preparation")["facts"]["stopped at"] == "validate_raw_data"
    quarantine = "raw-report/quarantine/telemetry.csv"
    assert (many / quarantine).read_text() == (one / quarantine).read_text()
    assert not (many / "features").exists()


def test_an_unusable_file_is_said_once(raw_files: Path, tmp_path: Path) -> None:
    raw = Path(shutil.copytree(raw_files, tmp_path / "raw"))
    telemetry = raw / CONFIG.data.tables["telemetry"].file
    telemetry.write_text(telemetry.read_text().replace("pressure", "presure", 1))
    many = in_shards(raw, tmp_path / "shards")
    summary = verdict(many, "raw-report")["summary"]
    assert summary.count("no such column") == 1
    assert "pressure" in summary


def test_rows_that_are_told_apart_by_time_alone_cannot_be_cut(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"identifies rows by time alone.*one_job_mb to 0"):
        cut(load_model("electricity"), tmp_path, tmp_path / "chunks", 1)
