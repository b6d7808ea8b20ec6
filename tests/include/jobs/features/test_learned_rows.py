"""Rows that a model was trained on are recognised in any file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.jobs.features.learned_rows import learned, write_learned_rows
from include.jobs.features.splitting import split
from include.models.config import ModelConfig, load_model


@pytest.fixture
def config() -> ModelConfig:
    """A model with a key that only counts the rows of a file."""
    config = load_model("abalone_age")
    table = config.data.tables["abalone"].model_copy(update={"content_key": None, "row_number": "specimen"})
    return config.model_copy(update={"data": config.data.model_copy(update={"tables": {"abalone": table}})})


def shells(rows: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    sizes = {name: rng.random(rows) for name in ("length", "diameter", "height", "whole_weight")}
    return pl.DataFrame(
        {
            "specimen": range(1, rows + 1),
            "sex": rng.choice(["M", "F", "I"], rows),
            **sizes,
            "rings": rng.integers(1, 20, rows),
        }
    )


def one_more_at_the_top(frame: pl.DataFrame) -> pl.DataFrame:
    shifted = frame.with_columns(pl.col("specimen") + 1)
    return pl.concat([shells(1, seed=1).cast(dict(shifted.schema)), shifted])


def test_a_row_at_the_top_moves_no_other_row_to_another_part(config: ModelConfig) -> None:
    before = split(config, shells(2000))
    after = split(config, one_more_at_the_top(shells(2000)))
    sizes = ["length", "diameter", "height"]
    moved = after["test"].join(before["train"], on=sizes, how="semi")
    assert len(moved) <= 2, "except for rows at the parts' borders"


def test_what_was_learned_from_is_found_in_another_file(config: ModelConfig, tmp_path: Path) -> None:
    parts = split(config, shells(500))
    about = write_learned_rows(tmp_path, config, [parts["train"], parts["validation"]])
    assert about["rows"] == len(parts["train"]) + len(parts["validation"])
    found = learned(tmp_path, about, one_more_at_the_top(shells(500)))
    assert found is not None
    assert found.sum() == about["rows"]
    assert not learned(tmp_path, about, parts["test"]).any()  # type: ignore[union-attr]


def test_a_period_is_kept_where_rows_have_a_time(tmp_path: Path) -> None:
    config = load_model("electricity")
    times = pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 3), "12h", eager=True)
    rows = pl.DataFrame({"half_hour": times, "price_is_up": ["0"] * len(times)})
    about = write_learned_rows(tmp_path, config, [rows[:2], rows[2:]])
    assert (about["first"], about["last"]) == ("2026-01-01 00:00:00", "2026-01-03 00:00:00")
    assert list(about["by"]) == ["half_hour"]
    assert learned(tmp_path, about, rows.with_columns(pl.col("half_hour").dt.offset_by("1d"))).sum() == 3  # type: ignore[union-attr]


def test_older_artifacts_and_other_columns_are_not_known(config: ModelConfig, tmp_path: Path) -> None:
    rows = shells(50)
    about = write_learned_rows(tmp_path, config, [rows])
    assert learned(tmp_path / "older", None, rows) is None
    assert learned(tmp_path, about, rows.drop("height")) is None
    assert learned(tmp_path, about, rows.with_columns(pl.col("height").cast(pl.String))) is None
