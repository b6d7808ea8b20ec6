"""A half-hour's features use only earlier data; a file with a gap is refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from include.models.config import load_model
from include.models.electricity.evaluation import baselines, evaluate
from include.models.electricity.features import LOOK_BACK_DAYS, build_features
from include.models.electricity.simulate import simulate
from include.models.errors import JobError

START = datetime.fromisoformat("1996-05-07")
DAY = 48


@pytest.fixture(scope="module")
def market() -> pl.DataFrame:
    table = simulate(seed=1, days=30)
    return table.with_columns(half_hour=pl.Series([START + timedelta(minutes=30 * row) for row in range(len(table))]))


def test_no_feature_changes_when_its_own_half_hour_or_a_later_one_does(market: pl.DataFrame) -> None:
    moment = START + timedelta(days=20, hours=9)
    later = pl.col("half_hour") >= moment
    changed = market.with_columns(
        *(pl.when(later).then(1 - pl.col(name)).otherwise(name).alias(name) for name in ("nswprice", "nswdemand")),
        *(pl.when(later).then(0.9).otherwise(name).alias(name) for name in ("vicprice", "vicdemand", "transfer")),
        pl.when(later).then(1 - pl.col("price_is_up")).otherwise("price_is_up").alias("price_is_up"),
    )
    known = pl.col("half_hour") <= moment
    before, after = (build_features({"market": table}, False).filter(known) for table in (market, changed))
    assert before.equals(after)
    assert not build_features({"market": market}, False).equals(build_features({"market": changed}, False))


def test_a_day_with_its_look_back_is_the_same_as_all_of_it(market: pl.DataFrame) -> None:
    day = START + timedelta(days=20)
    wanted = pl.col("half_hour").is_between(day, day + timedelta(days=1), closed="left")
    some = market.filter(pl.col("half_hour") >= day - timedelta(days=LOOK_BACK_DAYS))
    alone = build_features({"market": some}, False).filter(wanted)
    whole = build_features({"market": market}, False).filter(wanted)
    assert len(alone) == DAY
    assert alone.equals(whole)
    scoring = load_model("electricity").scoring
    assert scoring is not None
    assert scoring.look_back_hours == 24 * LOOK_BACK_DAYS


def test_a_missing_half_hour_is_seen_in_all_that_follow(market: pl.DataFrame) -> None:
    short = market.drop("half_hour").with_row_index().filter(pl.col("index") != 100).drop("index")
    times = market["half_hour"].head(len(short))
    with pytest.raises(JobError, match=r"do not have their half-hour's period, the first at 1996-05-09 02:00"):
        build_features({"market": short.with_columns(half_hour=times)})


def test_same_as_last_is_the_label_before(market: pl.DataFrame) -> None:
    test = build_features({"market": market}).tail(3 * DAY)
    (rule,) = baselines(test, {"market": market}).values()
    assert rule.cast(pl.Int64).to_list()[1:] == test["price_is_up"].to_list()[:-1]
    found = evaluate(test.with_columns(predicted=rule), {"market": market})
    assert found.metrics == {}
    assert "as good as the rule" in found.notes[0]
    assert "vicprice is constant for the first 528 half-hours, until 1996-05-18 00:00:00" in found.notes[1]
