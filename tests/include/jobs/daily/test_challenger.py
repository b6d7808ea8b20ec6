"""A candidate's scores for a day, compared with production's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from include.jobs.daily.challenger import compared, joined, paired, write_beside
from include.models.config import ModelConfig, load_model
from include.models.config.columns import key_columns, probability_columns

NOON = datetime.fromisoformat("2015-06-01 12:00")


def scores(config: ModelConfig, *likely: float) -> pl.DataFrame:
    """A row per hour for PdM's machine 1: comp1 with the given probability, otherwise none."""
    columns = list(probability_columns(config.data.classes or []).values())
    return pl.DataFrame(
        {
            "machineID": [1] * len(likely),
            "datetime": [NOON + timedelta(hours=number) for number in range(len(likely))],
            "prediction": ["comp1" if one > 0.5 else "none" for one in likely],
            columns[0]: [1 - one for one in likely],
            columns[1]: list(likely),
        }
    ).with_columns(pl.lit(0.0).alias(name) for name in columns[2:])


def test_agreement_and_the_rows_that_change_the_most(tmp_path: Path) -> None:
    config = load_model("predictive_maintenance")
    for name, one in (("ours", scores(config, 0.1, 0.9, 0.2, 0.3)), ("theirs", scores(config, 0.1, 0.1, 0.3, 0.6))):
        (tmp_path / name).mkdir()
        one.write_parquet(tmp_path / name / "part.parquet")
    found = write_beside(config, tmp_path / "ours", tmp_path / "theirs", tmp_path / "into")
    assert (found["rows"], found["agreed"], found["apart"]) == (4, 0.5, pytest.approx((0.8 + 0.1 + 0.3) / 4))
    assert [one["production"] for one in found["changes"]] == ["comp1 (0.90)", "none (0.70)", "none (0.80)"]
    assert found["changes"][0] == {
        "key": "machineID=1, datetime=2015-06-01 13:00:00",
        "production": "comp1 (0.90)",
        "challenger": "none (0.90)",
    }
    assert sorted(file.name for file in (tmp_path / "into").iterdir()) == ["challenger.json", "challenger.parquet"]


def test_keys_of_people_are_not_quoted() -> None:
    config = load_model("predictive_maintenance").model_copy(update={"personal_data": True})
    rows = joined(config, scores(config, 0.1), scores(config, 0.9))
    assert compared(config, rows)["changes"] == []


def test_labels_tell_which_of_the_two_costs_less() -> None:
    config = load_model("predictive_maintenance")
    rows = joined(config, scores(config, 0.1, 0.1, 0.9), scores(config, 0.9, 0.1, 0.1))
    truth = rows.select("machineID", "datetime").with_columns(failure=pl.Series(["comp1", "none", "none"]))
    # one of the two rows is a failure that production missed, at a cost of 10
    costs = {"rows": 2, "measure": "cost_per_1000", "production": 5000, "challenger": 0}
    assert paired(config, rows, truth.head(2)) == costs
    right = {"rows": 3, "measure": "accuracy", "production": pytest.approx(1 / 3), "challenger": 1.0}
    assert paired(config.model_copy(update={"decision": None}), rows, truth) == right
    assert paired(config, rows, truth.head(0))["rows"] == 0


def test_values_are_compared_by_their_error() -> None:
    config = load_model("abalone_age")
    (name,), (column,) = config.data.key, key_columns(config.data.key).values()
    ours, theirs = (pl.DataFrame({column: [1, 2], "prediction": values}) for values in ([9.0, 10.0], [9.5, 10.0]))
    rows = joined(config, ours, theirs)
    found = compared(config, rows)
    assert (found["agreed"], found["apart"], len(found["changes"])) == (None, 0.25, 1)
    truth = pl.DataFrame({name: [1, 2], "rings": [10, 10]})
    assert paired(config, rows, truth) == {"rows": 2, "measure": "mse", "production": 0.5, "challenger": 0.125}
