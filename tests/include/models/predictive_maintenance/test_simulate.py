"""The simulated fleet has the real data's schema, is reproducible, and its tables are consistent."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from include.models.config import load_model
from include.models.predictive_maintenance.features import COMPONENTS
from include.models.predictive_maintenance.simulate import main, simulate


def test_a_simulated_fleet_has_the_schema_and_is_the_same_every_time() -> None:
    tables = simulate(seed=3, machines=4, days=60)
    assert tables["telemetry"].height == 4 * (60 * 24 + 1)
    assert all(table.equals(simulate(seed=3, machines=4, days=60)[name]) for name, table in tables.items())
    assert not tables["telemetry"].equals(simulate(seed=4, machines=4, days=60)["telemetry"])


def test_every_simulated_failure_is_a_replacement_within_telemetry() -> None:
    tables = simulate(seed=5, machines=20, days=365)
    replaced = tables["maint"].rename({"comp": "failure"})
    assert tables["failures"].join(replaced, on=["datetime", "machineID", "failure"], how="anti").is_empty()
    first, last = tables["telemetry"]["datetime"].min(), tables["telemetry"]["datetime"].max()
    for name in ("errors", "failures"):
        assert tables[name]["datetime"].is_between(first, last).all()
    assert tables["maint"]["datetime"].max() <= last
    assert set(tables["failures"]["failure"]) == set(COMPONENTS)
    at_once = tables["failures"].group_by("machineID", "datetime").len().filter(pl.col("len") > 1)
    assert len(at_once) > 0


def test_the_program_writes_the_files_and_columns_of_model_yaml(tmp_path: Path) -> None:
    main(["--out", str(tmp_path), "--machines", "2", "--days", "30"])
    tables = load_model("predictive_maintenance").data.tables
    assert {path.name for path in tmp_path.iterdir()} == {table.file for table in tables.values()}
    for table in tables.values():
        assert (tmp_path / table.file).read_text().split("\n", 1)[0].split(",") == list(table.columns)


def test_the_program_refuses_an_empty_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), "--machines", "0"])
    assert "at least 1" in capsys.readouterr().err
