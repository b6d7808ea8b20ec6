"""Features use nothing after hour t; windows are spans of time; the label is the first failure in (t, t+24h]."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.models.errors import JobError
from include.models.predictive_maintenance import features
from include.models.predictive_maintenance.features import COMPONENTS, ERRORS, NO_FAILURE, SENSORS, build_features

START = datetime.fromisoformat("2015-01-01T06:00")
HOURS = 24 * 6
TIMED = ("telemetry", "errors", "maint", "failures")
Tables = dict[str, pl.DataFrame]


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def world(seed: int, machines: int = 3, gaps: float = 0.15, empty: float = 0.1) -> Tables:
    """A few machines for six days, with many events, missing hours and missing values."""
    rng = np.random.default_rng(seed)
    rows = [(hour(h), m) for m in range(1, machines + 1) for h in range(HOURS + 1)]
    telemetry = pl.DataFrame(rows, schema={"datetime": pl.Datetime("us"), "machineID": pl.Int64}, orient="row")
    for sensor in SENSORS:
        values = rng.normal(100, 10, len(rows))
        values[rng.random(len(rows)) < empty] = np.nan
        telemetry = telemetry.with_columns(pl.Series(sensor, values).fill_nan(None))

    def events(name: str, kinds: tuple[str, ...], count: int, earliest: int) -> pl.DataFrame:
        found = {
            "datetime": [hour(int(h)) for h in rng.integers(earliest, HOURS, count)],
            "machineID": rng.integers(1, machines + 1, count),
            name: rng.choice(kinds, count),
        }
        return pl.DataFrame(found, schema_overrides={"datetime": pl.Datetime("us")})

    return {
        "telemetry": telemetry.filter(pl.Series(rng.random(len(rows)) >= gaps)),
        "errors": events("errorID", ERRORS, 40, 0),
        "maint": events("comp", COMPONENTS, 20, -500),
        "failures": events("failure", COMPONENTS, 8, 0),
        "machines": pl.DataFrame(
            {"machineID": range(1, machines + 1), "model": rng.choice(features.MACHINE_MODELS, machines), "age": 3}
        ),
    }


def until(frame: pl.DataFrame, moment: datetime) -> pl.DataFrame:
    return frame.filter(pl.col("datetime") <= moment)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    cut=st.integers(3, HOURS - 1),
    table=st.sampled_from(TIMED),
    change=st.sampled_from(["disappear", "change", "appear", "swap machines"]),
)
def test_no_feature_at_t_changes_when_rows_after_t_do(seed: int, cut: int, table: str, change: str) -> None:
    tables, other, moment = world(seed), world(seed + 1), hour(cut)
    past, future = until(tables[table], moment), tables[table].filter(pl.col("datetime") > moment)
    others_future = other[table].filter(pl.col("datetime") > moment)
    after = {
        "disappear": future.clear(),
        "change": others_future,
        "appear": pl.concat([future, others_future]).unique(["machineID", "datetime"], maintain_order=True),
        "swap machines": future.with_columns((4 - pl.col("machineID")).alias("machineID")),
    }[change]
    if table == "telemetry" and past.is_empty():
        return
    before = until(build_features(tables, with_label=False), moment)
    changed = until(build_features({**tables, table: pl.concat([past, after])}, with_label=False), moment)
    assert before.equals(changed)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_number_is_what_its_definition_says(seed: int) -> None:
    """Computed row by row, only from the raw tables and the definitions."""
    tables = world(seed)
    table = build_features(tables)
    rng = np.random.default_rng(seed)
    for row in table[rng.integers(0, len(table), 12).tolist()].iter_rows(named=True):
        machine, t = row["machineID"], row["datetime"]
        mine = {name: tables[name].filter(pl.col("machineID") == machine) for name in TIMED}
        for hours in (3, 24):
            span = pl.col("datetime").is_between(t - timedelta(hours=hours), t, closed="right")
            window = mine["telemetry"].filter(span)
            for sensor in SENSORS:
                assert row[f"{sensor}_mean_{hours}h"] == pytest.approx(window[sensor].mean(), abs=1e-9)
                assert row[f"{sensor}_std_{hours}h"] == pytest.approx(window[sensor].std(), abs=1e-9)
        day = mine["errors"].filter(pl.col("datetime").is_between(t - timedelta(hours=24), t, closed="right"))
        for error in ERRORS:
            assert row[f"{error}_count_24h"] == day.filter(pl.col("errorID") == error).height
        for component in COMPONENTS:
            replaced = until(mine["maint"], t).filter(pl.col("comp") == component)["datetime"].max()
            age = None if replaced is None else (t - replaced) / timedelta(days=1)
            assert row[f"{component}_age_days"] == (None if age is None else pytest.approx(age, abs=1e-12))
        coming = mine["failures"].filter(pl.col("datetime").is_between(t, t + timedelta(hours=24), closed="right"))
        first = coming.sort("datetime", "failure")["failure"]
        assert row["failure"] == (first[0] if len(first) else NO_FAILURE)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rows_stand_at_the_3_hour_marks_that_have_fresh_telemetry(seed: int) -> None:
    tables = world(seed, gaps=0.6)
    marks = tables["telemetry"].select(
        "machineID",
        datetime=pl.col("datetime").dt.offset_by("2h59m59s").dt.truncate("3h"),
    )
    expected = marks.unique().sort("machineID", "datetime")
    assert build_features(tables, with_label=False).select("machineID", "datetime").equals(expected)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_order_of_rows_and_number_of_machines_do_not_matter(seed: int) -> None:
    tables = world(seed)
    whole = build_features(tables)
    shuffled = {name: table.sample(fraction=1.0, shuffle=True, seed=seed) for name, table in tables.items()}
    assert build_features(shuffled).equals(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "MACHINES_AT_ONCE", 1)
        assert build_features(tables).equals(whole)


@given(seed=st.integers(0, 10**6), day=st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_a_day_with_its_look_back_gives_the_same_bits_as_the_whole(seed: int, day: int) -> None:
    tables = world(seed)
    begin, end = hour(24 * day), hour(24 * (day + 1))
    look_back = begin - timedelta(hours=features.LOOK_BACK_HOURS)
    recent = {
        name: tables[name].filter(pl.col("datetime").is_between(look_back, end, closed="right"))
        for name in ("telemetry", "errors")
    }
    inside = pl.col("datetime").is_between(begin, end, closed="right")
    whole = build_features(tables, with_label=False).filter(inside)
    assert build_features({**tables, **recent}, with_label=False).filter(inside).equals(whole)


def test_the_failure_hour_is_not_in_its_own_label_and_the_last_day_is_dropped() -> None:
    tables = world(1, machines=1, gaps=0, empty=0)
    tables["failures"] = pl.DataFrame(
        {"datetime": [hour(48)], "machineID": [1], "failure": ["comp2"]},
        schema_overrides={"datetime": pl.Datetime("us")},
    )
    labels = build_features(tables).select("datetime", "failure")
    failing = labels.filter(pl.col("failure") == "comp2")["datetime"]
    assert (failing.min(), failing.max(), len(failing)) == (hour(24), hour(45), 8)
    assert labels["datetime"].max() == hour(HOURS - 24)
    assert build_features(tables, with_label=False)["datetime"].max() == hour(HOURS)


def test_of_two_failures_the_sooner_is_the_label_and_at_once_the_first_by_name() -> None:
    tables = world(2, machines=1, gaps=0, empty=0)
    failures = {"datetime": [hour(60), hour(48), hour(48)], "machineID": 1, "failure": ["comp1", "comp4", "comp3"]}
    tables["failures"] = pl.DataFrame(failures, schema_overrides={"datetime": pl.Datetime("us")})
    labels = dict(build_features(tables).select("datetime", "failure").iter_rows())
    assert {labels[hour(h)] for h in range(24, 48, 3)} == {"comp3"}
    assert {labels[hour(h)] for h in range(48, 60, 3)} == {"comp1"}


def test_a_reading_between_two_hours_counts_from_the_next_hour_on() -> None:
    tables = world(3, machines=1, gaps=0, empty=0)
    late = pl.col("datetime") + pl.duration(minutes=17)
    moved = {**tables, "telemetry": tables["telemetry"].filter(pl.col("datetime") < hour(24)).with_columns(late)}
    first = build_features(moved, with_label=False).row(0, named=True)
    assert first["datetime"] == START + timedelta(hours=3)
    assert first["volt_mean_3h"] == pytest.approx(tables["telemetry"]["volt"].head(3).mean())


def test_machines_unknown_to_the_machines_table_keep_their_rows() -> None:
    tables = world(4)
    tables["machines"] = tables["machines"].filter(pl.col("machineID") != 2)
    row = build_features(tables).filter(pl.col("machineID") == 2).row(0, named=True)
    assert row["age"] is None
    assert row["model1"] is None


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("errors", "errorID", "error9"),
        ("maint", "comp", "comp9"),
        ("failures", "failure", "x"),
        ("machines", "model", "m"),
    ],
)
def test_values_that_features_do_not_know_are_refused(table: str, column: str, value: str) -> None:
    tables = world(5)
    tables[table] = tables[table].with_columns(pl.lit(value).alias(column))
    with pytest.raises(JobError, match=f"{table}: {column} has '{value}'; known are"):
        build_features(tables)


def test_two_rows_in_one_hour_are_refused() -> None:
    tables = world(6, gaps=0)
    tables["telemetry"] = pl.concat([tables["telemetry"], tables["telemetry"][30:31]])
    with pytest.raises(JobError, match=r"machineID 1 has 2 rows in the hour up to 2015-01-02 12:00:00"):
        build_features(tables)


def test_an_empty_table_and_an_absurd_span_are_refused() -> None:
    tables = world(7)
    with pytest.raises(JobError, match="telemetry: the table is empty"):
        build_features({**tables, "telemetry": tables["telemetry"].clear()})
    astray = tables["telemetry"][:1].with_columns(
        pl.lit(datetime.fromisoformat("1970-01-01")).cast(pl.Datetime("us")).alias("datetime")
    )
    with pytest.raises(JobError, match="more than 30 years"):
        build_features({**tables, "telemetry": pl.concat([tables["telemetry"], astray])})
