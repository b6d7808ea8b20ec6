"""The market to the feature table: one row per half-hour, from what was known before it began.

Every feature of half-hour t uses t-1 or earlier, except t's own position in the day and the week, which the clock
tells; nobody knows the price and the demand of t itself yet. Look-back: ``LOOK_BACK_DAYS`` of half-hours before the
first one that is requested; the label needs none. A row is the same to the bit whatever else is in the table.

The label says whether t's price is above the mean of its last 24 hours. Labels follow each other: "same as last" is
right in about 85 % of the half-hours, and so ``was_up_1`` is a feature like the others. ``<column>_1`` is the market at
t-1; all others are its course (the estimator's ``history``).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from include.models.errors import JobError

MARKET = ("nswprice", "nswdemand", "vicprice", "vicdemand", "transfer")
DAY, WEEK = 48, 7 * 48  # half-hours
LOOK_BACK_DAYS = 7
PLACE = ("period", "weekday")
STATE = tuple(f"{column}_1" for column in MARKET)


def build_features(tables: Mapping[str, pl.DataFrame], with_label: bool = True) -> pl.DataFrame:
    """``half_hour``, the features as Float64 (null where the past is unknown), and with ``with_label`` the Int64
    ``price_is_up``, without unlabelled half-hours and the first day.

    A rejected half-hour is missing in the pasts of later ones, and shifts nothing.

    Raises:
        JobError: a half-hour is missing or doubled, so that the rows no longer tell the time of day.
    """
    there = tables["market"].sort("half_hour")
    _require_whole_days(there)
    market = there.upsample("half_hour", every="30m")
    price, demand = pl.col("nswprice").shift(1), pl.col("nswdemand").shift(1)
    frame = market.select(
        "half_hour",
        pl.col("period").cast(pl.Float64),
        pl.col("half_hour").dt.weekday().cast(pl.Float64).alias("weekday"),
        *(pl.col(column).shift(1).alias(f"{column}_1") for column in MARKET),
        *(pl.col("nswprice").shift(ago).alias(f"nswprice_{ago}") for ago in (2, 3, DAY, WEEK)),
        *(pl.col("nswdemand").shift(ago).alias(f"nswdemand_{ago}") for ago in (2, DAY, WEEK)),
        *(pl.col("price_is_up").shift(ago).cast(pl.Float64).alias(f"was_up_{ago}") for ago in (1, 2, DAY, WEEK)),
        (price - last_day("nswprice").list.mean()).alias("price_over_day_mean"),
        last_day("nswprice").list.std().alias("price_deviation_day"),
        (price - price.shift(1)).alias("price_step"),
        (demand - demand.shift(1)).alias("demand_step"),
        (pl.col("nswdemand").shift(DAY) - pl.col("nswdemand").shift(DAY + 1)).alias("demand_step_yesterday"),
        (pl.col("nswprice").shift(DAY) - pl.col("nswprice").shift(DAY + 1)).alias("price_step_yesterday"),
        last_day("price_is_up").list.mean().alias("was_up_share_day"),
        *(["price_is_up"] if with_label else []),
    )
    if with_label:
        return frame.slice(DAY).filter(pl.col("price_is_up").is_not_null())
    return frame.join(there, on="half_hour", how="semi", maintain_order="left")


def last_day(column: str) -> pl.Expr:
    """The known values of the 24 hours before each half-hour, as a list. (A rolling mean would accumulate rounding
    errors.)"""
    return pl.concat_list(pl.col(column).shift(ago) for ago in range(1, DAY + 1)).list.drop_nulls()


def _require_whole_days(market: pl.DataFrame) -> None:
    """The file's only time is the period of the day: it must match the clock that the rows were given."""
    time = pl.col("half_hour")
    expected = (time.dt.hour().cast(pl.Int64) * 2 + time.dt.minute().cast(pl.Int64) // 30) / (DAY - 1)
    wrong = market.filter((pl.col("period") - expected).abs() > 0.5 / DAY)
    if len(wrong):
        when, period = wrong["half_hour"][0], wrong["period"][0]
        raise JobError(
            f"market: {len(wrong)} rows do not have their half-hour's period, the first at {when} with period "
            f"{period}. A half-hour is missing or doubled before it, or model.yaml's clock.start is not the file's "
            "first half-hour. Complete the file."
        )
