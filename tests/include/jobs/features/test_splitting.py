"""How rows are split: by time with windows and earlier ends, or at random with groups kept together."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from include.jobs.features.splitting import rolling_splits, split, split_at_random, split_by_time
from include.jobs.validate_features import apart, validate_features
from include.models.config import ModelConfig, RandomSplit, TimeSplit, load_model

HOURS = pl.DataFrame({"t": [datetime.fromisoformat("2020-01-01") + timedelta(hours=hour) for hour in range(24 * 100)]})


def config_of(how: RandomSplit, problem: str = "binary") -> ModelConfig:
    base = load_model("predictive_maintenance")
    classes = None if problem == "regression" else ["no", "yes"]
    data = base.data.model_copy(update={"key": ["machine", "day"], "time": None, "label": "y", "classes": classes})
    return base.model_copy(update={"data": data, "split": how, "problem": problem})


def rows(number: int, seed: int = 3) -> pl.DataFrame:
    """Rows in groups of one to eight by machine and day; a fifth of them are positive."""
    rng = np.random.default_rng(seed)
    days = np.sort(rng.integers(0, number // 12, number))
    return pl.DataFrame(
        {"machine": rng.integers(0, 3, number), "day": days, "x": rng.normal(size=number)}
    ).with_columns(pl.Series("y", np.where(rng.random(number) < 0.2, "yes", "no")))


def how(**given: Any) -> RandomSplit:
    return RandomSplit(kind="random", test_share=0.2, validation_share=0.15, **given)


def test_only_the_window_is_learned_from() -> None:
    parts = split_by_time(HOURS, "t", TimeSplit(test_days=10, validation_days=5, gap_hours=6, train_days=20))
    assert [len(part) for part in parts.values()] == [24 * 20, 24 * 5, 24 * 10]
    assert parts["validation"]["t"].min() - parts["train"]["t"].max() == timedelta(hours=7)


def machines(days: int = 40, number: int = 20) -> pl.DataFrame:
    hours = HOURS.head(24 * days).rename({"t": "datetime"})
    return hours.join(pl.DataFrame({"machineID": range(number)}), how="cross").with_columns(failure=pl.lit("none"))


def test_a_share_of_the_machines_is_held_out_and_the_newest_hour_of_the_others_learned() -> None:
    base, frame = load_model("predictive_maintenance"), machines()
    config = base.model_copy(update={"split": base.split.held_out(20, 10, 0.2)})
    parts, end = split(config, frame), frame["datetime"].max()
    assert parts["train"]["datetime"].max() == parts["validation"]["datetime"].max() == parts["test"]["datetime"].max()
    held = {name: set(parts[name]["machineID"]) for name in ("validation", "test")}
    assert [len(some) for some in held.values()] == [4, 4]
    assert not held["validation"] & held["test"]
    for name, days in (("test", 20), ("validation", 10)):
        assert len(parts[name]) == 4 * 24 * days
        before = parts["train"].filter(pl.col("machineID").is_in(held[name]))["datetime"].max()
        assert before == end - timedelta(days=days, hours=24), "the label's horizon separates them"
    assert split(config, machines(number=21))["test"]["machineID"].unique().len() == 4
    assert not apart(config, parts)
    late = {**parts, "train": pl.concat([parts["train"], parts["test"].tail(1)])}
    assert [one.expectation for one in apart(config, late)] == ["splits_are_apart"]
    mixed = {**parts, "validation": pl.concat([parts["validation"], parts["test"].tail(1)])}
    assert [one.table for one in apart(config, mixed)] == ["test"]


def test_earlier_ends_of_the_data_are_a_test_split_apart_and_never_look_ahead() -> None:
    time_split = TimeSplit(test_days=10, validation_days=5, train_days=20, rolling_origins=3)
    first = split_by_time(HOURS, "t", time_split)
    earlier = rolling_splits(HOURS, "t", time_split)
    assert len(earlier) == 3
    for later, parts in zip([first, *earlier], earlier, strict=False):
        assert later["test"]["t"].min() - parts["test"]["t"].max() == timedelta(hours=1)
        assert parts["train"]["t"].max() < parts["validation"]["t"].min() < parts["test"]["t"].min()


@pytest.mark.parametrize("stratify", [True, False])
def test_groups_stay_together_and_no_row_is_lost(stratify: bool) -> None:
    frame = rows(3000)
    parts = split(config_of(how(group_by=["machine", "day"], stratify=stratify)), frame)
    assert pl.concat(parts.values()).sort(frame.columns).equals(frame.sort(frame.columns))
    groups = [set(part.select("machine", "day").iter_rows()) for part in parts.values()]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    shares = [len(part) / len(frame) for part in parts.values()]
    assert shares == pytest.approx([0.65, 0.15, 0.2], abs=0.02 if stratify else 0.05)


def test_each_part_has_the_wholes_share_of_every_class() -> None:
    frame = rows(4000).with_columns(day=pl.int_range(4000))
    parts = split(config_of(how(stratify=True)), frame)
    whole = frame["y"].eq("yes").mean()
    for part in parts.values():
        assert part["y"].eq("yes").mean() == pytest.approx(whole, abs=0.002)


def test_a_regressions_parts_have_the_same_spread() -> None:
    frame = rows(2000).with_columns(day=pl.int_range(2000), y=pl.Series(np.random.default_rng(1).exponential(3, 2000)))
    parts = split(config_of(how(stratify=True), "regression"), frame)
    for part in parts.values():
        assert part["y"].mean() == pytest.approx(frame["y"].mean(), rel=0.04)


def test_the_same_rows_whatever_their_order_and_other_rows_for_another_seed() -> None:
    frame = rows(1000)
    config = config_of(how(group_by=["machine", "day"], seed=5))
    test = set(split(config, frame)["test"]["x"])
    assert set(split(config, frame.sample(fraction=1, shuffle=True, seed=1))["test"]["x"]) == test
    assert set(split(config_of(how(group_by=["machine", "day"], seed=6)), frame)["test"]["x"]) != test


def test_rows_stay_in_their_part_as_more_come() -> None:
    frame = rows(6000)
    config = config_of(how(group_by=["machine", "day"], stratify=True))
    before = split(config, frame.head(5000))
    after = split(config, frame)
    stayed = len(set(before["test"]["x"]) & set(after["test"]["x"]))
    assert stayed / len(before["test"]) > 0.95


def test_groups_torn_apart_are_found() -> None:
    frame = rows(1000)
    config = config_of(how(group_by=["machine", "day"]))
    parts = split_at_random(config, frame, how(group_by=["machine", "day"]))
    assert validate_features(config, parts, []).passed
    torn = {**parts, "test": pl.concat([parts["test"], parts["train"].head(1)])}
    (finding,) = validate_features(config, torn, []).findings
    assert (finding.expectation, finding.severity) == ("splits_are_apart", "critical")
    assert "machine, day is also in train" in finding.found
