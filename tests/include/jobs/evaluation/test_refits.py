"""The model refitted at earlier ends of the data: each refit knows what was known then, and no more."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from include.jobs.evaluation.measuring import Measured, mean_of
from include.jobs.evaluation.refits import refit
from include.models.config import ModelConfig, TimeSplit, load_model
from include.models.electricity.features import build_features
from include.models.electricity.simulate import simulate
from include.models.errors import JobError

START = datetime.fromisoformat("1996-05-07")
DAYS, ORIGINS, TEST_DAYS = 60, 3, 7
CONFIG: ModelConfig = load_model("electricity")
HYPERPARAMETERS = {**CONFIG.training.hyperparameters, "num_boost_round": 20}


@pytest.fixture(scope="module")
def whole() -> pl.DataFrame:
    market = simulate(seed=2, days=DAYS)
    times = [START + timedelta(minutes=30 * row) for row in range(len(market))]
    return build_features({"market": market.with_columns(half_hour=pl.Series(times))})


def config_of(origins: int = ORIGINS) -> ModelConfig:
    split = TimeSplit(test_days=TEST_DAYS, validation_days=5, train_days=14, rolling_origins=origins)
    return CONFIG.model_copy(update={"split": split})


def test_each_is_measured_on_the_days_before_those_of_the_one_before(whole: pl.DataFrame) -> None:
    end = whole["half_hour"].max()
    found = refit(config_of(), HYPERPARAMETERS, whole)
    assert len(found) == ORIGINS
    for number, one in enumerate(found, 1):
        assert one.test["half_hour"].max() == end - timedelta(days=number * TEST_DAYS)  # type: ignore[operator] # a datetime
        assert len(one.test) == TEST_DAYS * 48 == len(one.predictions)
        right = one.predictions.argmax(axis=1) == one.test["price_is_up"].to_numpy()
        assert right.mean() > 0.7


def test_nothing_after_an_end_is_learned(whole: pl.DataFrame) -> None:
    end: datetime = whole["half_hour"].max()  # type: ignore[assignment] # a datetime column
    label, later = pl.col("price_is_up"), pl.col("half_hour") > end - timedelta(days=2 * TEST_DAYS + 6)
    flipped = whole.with_columns(pl.when(later).then(1 - label).otherwise(label).alias("price_is_up"))
    honest, changed = (refit(config_of(), HYPERPARAMETERS, frame) for frame in (whole, flipped))
    assert not np.array_equal(honest[0].predictions, changed[0].predictions), "the last days it learns from"
    for before, after in zip(honest[1:], changed[1:], strict=True):
        assert np.array_equal(before.predictions, after.predictions)


def test_data_that_does_not_reach_back_so_far_is_said(whole: pl.DataFrame) -> None:
    with pytest.raises(JobError, match=r"does not reach back to earlier end 7 of the 9"):
        refit(config_of(9), HYPERPARAMETERS, whole)


def test_a_split_by_chance_has_no_earlier_ends(whole: pl.DataFrame) -> None:
    assert refit(load_model("abalone_age"), {}, whole) == []


def test_means_count_by_rows() -> None:
    each = [Measured({"accuracy": value}, {"accuracy": np.full(4, value)}) for value in (0.5, 0.9)]
    found = mean_of(each, [300, 100])
    assert found.values == {"rolling_accuracy": pytest.approx(0.6)}
    assert found.replicates["rolling_accuracy"] == pytest.approx(np.full(4, 0.6))
