"""Every simulator makes the real data's columns, the same every time, with rows that pass validation and can be
split."""

from __future__ import annotations

import importlib
from pathlib import Path

import polars as pl
import pytest

from include.jobs.build_features import split_features
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.config import LINE, load_model
from include.models.loader import feature_builder

SMALL = {"machine_downtime": ["--days", "60"], "abalone_age": ["--rows", "600"], "electricity": ["--days", "560"]}


@pytest.fixture(params=sorted(SMALL))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tables_of(name: str, folder: Path) -> dict[str, pl.DataFrame]:
    config = load_model(name)
    tables = {}
    for table, declared in config.data.tables.items():
        clean = clean_table(read_table(folder, table, declared), declared, config.data.time, Window())
        assert [finding for finding in clean.findings if finding.severity != "info"] == []
        tables[table] = clean.frame.drop(LINE)
    return tables


def test_the_files_are_those_of_model_yaml_and_the_same_every_time(name: str, tmp_path: Path) -> None:
    simulator = importlib.import_module(f"include.models.{name}.simulate")
    for folder, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        simulator.main(["--out", str(tmp_path / folder), "--seed", seed, *SMALL[name]])
    for table in load_model(name).data.tables.values():
        first, again, other = ((tmp_path / folder / table.file).read_bytes() for folder in "abc")
        assert first == again != other


def test_features_need_no_label_and_have_none(name: str, tmp_path: Path) -> None:
    importlib.import_module(f"include.models.{name}.simulate").main(["--out", str(tmp_path), *SMALL[name]])
    config, tables = load_model(name), tables_of(name, tmp_path)
    labelled = feature_builder(name).build_features(tables)
    splits = split_features(config, labelled)
    assert sum(map(len, splits.values())) <= len(labelled)
    unlabelled = feature_builder(name).build_features(tables, with_label=False)
    assert config.data.label not in unlabelled.columns
    assert unlabelled.columns == [column for column in labelled.columns if column != config.data.label]
    same = unlabelled.join(labelled, on=config.data.key, how="semi", maintain_order="left")
    assert same.equals(labelled.drop(config.data.label))
    assert unlabelled.select(config.data.key).is_unique().all()
