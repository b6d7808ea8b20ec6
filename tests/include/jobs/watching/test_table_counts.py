"""The counts of a day's raw tables do not depend on chunks, nor on other days in the same job."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from include.jobs.evaluation.resampling import resampled
from include.jobs.features import feature_table
from include.jobs.features.drift_profile import count_rows, drift_profile
from include.jobs.features.feature_table import blocks, evenly_spaced, part_file, read_split, scan_split
from include.jobs.watching.answer_bins import BINS, add_answers, bins_of, count_probabilities, count_values
from include.jobs.watching.reference import (
    BLOCKS,
    answer_design,
    count_windows,
    days_of,
    design,
    segments_of,
    windows_of,
)
from include.jobs.watching.table_counts import add_tables, count_day, count_days
from include.models.config import LINE, RandomSplit, load_model
from include.models.config.estimating import estimated
from include.models.predictive_maintenance.simulate import simulate

CONFIG = load_model("predictive_maintenance")
TABLES = simulate(seed=5, machines=6)
DAY = str(TABLES["telemetry"]["datetime"].dt.date().unique().sort()[40])


def test_a_day_is_counted_as_it_is_among_others() -> None:
    day = count_day(CONFIG, TABLES, DAY)
    assert list(day) == CONFIG.daily_scoring.tables
    frame = TABLES["telemetry"]
    among = count_days(CONFIG, CONFIG.data.tables["telemetry"], frame, frame["datetime"].dt.date())
    assert among[DAY] == day["telemetry"]
    assert (day["telemetry"]["rows"], sum(day["telemetry"]["hours"])) == (6 * 24, 6 * 24)
    mine = frame.filter(pl.col("datetime").dt.date() == date.fromisoformat(DAY))
    assert day["telemetry"]["numbers"]["volt"][0] == len(mine)
    assert day["telemetry"]["numbers"]["volt"][4] == pytest.approx(mine["volt"].max())
    assert day["machines"]["total"] == 6
    assert day["maint"]["total"] == len(TABLES["maint"]) > day["maint"]["rows"], "it has the whole history"


def test_chunks_add_up_to_the_day() -> None:
    whole = count_day(CONFIG, TABLES, DAY)
    total: Any = {}
    for some in ([1, 2, 3], [4, 5, 6]):
        chunk = {name: table.filter(pl.col("machineID").is_in(some)) for name, table in TABLES.items()}
        total = add_tables(total, count_day(CONFIG, chunk, DAY))
    for name, counts in whole.items():
        for column, sums in counts["numbers"].items():
            assert total[name]["numbers"][column] == pytest.approx(sums)
        without = {key: value for key, value in counts.items() if key != "numbers"}
        assert {key: total[name][key] for key in without} == without


def test_the_digest_knows_rows_in_any_order_and_at_any_time() -> None:
    later = TABLES["telemetry"].with_columns(pl.col("datetime").dt.offset_by("1d"))
    next_day = str(date.fromordinal(date.fromisoformat(DAY).toordinal() + 1))
    again = count_day(CONFIG, {"telemetry": later.sample(fraction=1, shuffle=True, seed=1)}, next_day)
    assert again["telemetry"]["digest"] == count_day(CONFIG, TABLES, DAY)["telemetry"]["digest"]
    other = TABLES["telemetry"].with_columns(pl.col("volt") + 1)
    assert count_day(CONFIG, {"telemetry": other}, DAY)["telemetry"]["digest"] != again["telemetry"]["digest"]


def test_names_in_the_key_are_counted_and_days_with_few_rows_do_not_widen_what_is_usual() -> None:
    config = load_model("machine_downtime")
    start, numbers = datetime.fromisoformat("2026-01-01"), config.data.tables["readings"].kinds
    names = [name for name, kind in numbers.items() if kind.is_quantity]
    rows = [(day, f"m{machine}", 10.0 + row) for day in range(25) for machine in (1, 2) for row in range(8)]
    rows += [(day, "m1", 1000.0) for day in range(25, 30)]
    frame = pl.DataFrame(rows, schema=["day", "machine_id", "value"], orient="row").with_columns(
        assembly_line=pl.lit("L1"), downtime=pl.lit(""), date=pl.lit(start) + pl.duration(days=pl.col("day"))
    )
    frame = frame.with_columns(pl.col("value").alias(name) for name in names).drop("day", "value")
    days = days_of(config, {"readings": frame}, None)
    counted = days["2026-01-02"]["readings"]
    assert counted["values"] == {"machine_id": {"m1": 8, "m2": 8}, "assembly_line": {"L1": 16}}
    found = segments_of(days, "readings")
    assert found
    assert found["numbers"]["torque_nm"]["mean"] == (13.5, 13.5, 13.5)


def test_the_ends_of_a_day_are_counted_of_columns_whose_rows_agree() -> None:
    start, times = datetime.fromisoformat("2026-01-01"), []
    times = [start + timedelta(hours=6 * number) for number in range(8) for _ in range(2)]
    frame = pl.DataFrame({"datetime": times, "machineID": [1, 2] * 8}).with_columns(
        volt=pl.col("datetime").dt.hour().cast(pl.Float64), rotate=pl.col("machineID").cast(pl.Float64), pressure=1.0
    )
    rows = frame.with_columns(vibration=pl.lit(None, pl.Float64))
    counted = count_days(CONFIG, CONFIG.data.tables["telemetry"], rows, rows["datetime"].dt.date())
    assert [one["ends"] for one in counted.values()] == [{"volt": [0.0, 18.0]}] * 2


def test_answers_are_counted_and_estimated() -> None:
    probabilities = pl.DataFrame({"a": [0.9, 0.8, 0.2, 0.6], "b": [0.1, 0.2, 0.8, 0.4]}).to_numpy()
    counted = count_probabilities(probabilities, probabilities.argmax(axis=1))
    assert [sum(one[0]) for one in counted] == [3, 1]
    truth = [[0.0] * BINS, [0.0] * BINS]
    for code in (0, 1):
        for row in probabilities:  # as probable as predicted
            truth[code][int(bins_of(row[code]))] = float(row[code])
    calibration: Any = {"metric": "f1", "truth": truth, "metrics": {}, "windows": []}
    found = estimated(calibration, counted)
    assert round(found["accuracy"], 6) == round((0.9 + 0.8 + 0.8 + 0.6) / 4, 6)
    assert add_answers(counted, counted)[0][0] == [2 * rows for rows in counted[0][0]]
    assert estimated(calibration, []) == {}
    values: Any = {"metric": "mse", "errors": [1.0, 2.0], "squares": [1.0, 5.0], "metrics": {}, "windows": []}
    assert estimated(values, count_values(pl.Series([1.0, 2.0, 9.0]).to_numpy(), [5.0])) == {"mse": 7 / 3, "mae": 4 / 3}


def test_windows_are_weeks_or_blocks_of_rows() -> None:
    weeks = windows_of(CONFIG, TABLES["telemetry"].lazy(), 7)
    *before, newest = np.unique(weeks[weeks >= 0], return_counts=True)[1]
    assert set(before) <= {6 * 24 * 7, 6 * 24 * 7 - 36}
    assert 6 * 24 * 6 < newest <= 6 * 24 * 7, "its last day may be incomplete"
    times = TABLES["telemetry"]["datetime"].to_numpy()
    assert weeks[times.argmax()] == weeks.max(), "the newest rows belong to a window"
    assert weeks[times.argmin()] == -1
    blocks = windows_of(load_model("tabular_classifier"), pl.DataFrame({"x": range(1000)}).lazy(), 7)
    assert np.unique(blocks, return_counts=True)[1].tolist() == [1000 // BLOCKS] * BLOCKS


def test_blocks_of_rows_without_a_time_are_in_the_order_of_the_file() -> None:
    config = load_model("abalone_age")
    lengths = [number / 100 for number in range(100)]  # as they came, from small to large
    sizes = dict.fromkeys(
        ("diameter", "height", "whole_weight", "shucked_weight", "viscera_weight", "shell_weight"), 1.0
    )
    frame = pl.DataFrame({LINE: range(100), "length": lengths}).with_columns(
        sex=pl.lit("M"),
        specimen=pl.col(LINE).hash().cast(pl.String),
        rings=pl.lit(9),
        **{k: pl.lit(v) for k, v in sizes.items()},
    )
    days = days_of(config, {"abalone": frame.sort("specimen")}, None)
    ends = [tuple(one["abalone"]["numbers"]["length"][3:5]) for one in days.values()]
    assert ends == [(lengths[start], lengths[start + 4]) for start in range(0, 100, 5)]
    without = days_of(config, {"abalone": frame.drop(LINE)}, None)
    assert without == days, "a row's line does not count as one of its values"


def test_rows_of_a_group_that_are_alike_scatter_further() -> None:
    group = np.repeat(np.arange(300), 6)
    rng = np.random.default_rng(2)
    frame = pl.DataFrame({"id": group, "alike": rng.normal(size=300)[group], "own": rng.normal(size=1800)})
    how = RandomSplit(kind="random", test_share=0.2, validation_share=0.1, group_by=["id"])
    config, profile = CONFIG.model_copy(update={"split": how}), drift_profile(frame.drop("id"))
    found = design(config, frame.lazy(), profile)
    assert 4 < found["alike"] < 8, "six rows count like one"
    assert found["own"] < 1.3
    assert design(CONFIG, frame.lazy(), profile) == {}, "a split by time has the same groups in each window"


def test_answers_that_come_together_scatter_further() -> None:
    machines, hours = 40, 7 * 24
    start = datetime.fromisoformat("2026-01-01")
    rows = pl.DataFrame({"machineID": np.repeat(np.arange(machines), hours)}).with_columns(
        datetime=pl.Series([start + timedelta(hours=hour) for _ in range(machines) for hour in range(hours)])
    )
    labels = np.zeros((machines, hours), dtype=int)
    labels[:6, 48:72] = 1  # a day's hours of six machines
    labels[:, 100] = 2
    failing, everywhere = answer_design(labels.ravel(), 3, resampled(CONFIG, rows))[1:]
    assert 15 < failing < 25, "24 rows are as good as one"
    assert everywhere == 1.0


def test_a_split_in_parts_and_blocks_is_counted_as_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = TABLES["telemetry"].with_columns(volt=pl.when(pl.col("volt") < 190).then(pl.col("volt")))
    profile = drift_profile(rows.select("volt", "rotate"))
    for number, start in enumerate(range(0, len(rows), 9_000)):
        rows[start : start + 9_000].write_parquet(part_file(tmp_path, f"{number:05}"), row_group_size=4_000)
    monkeypatch.setattr(feature_table, "BLOCK", 7_001)
    split = scan_split(tmp_path)
    number = windows_of(CONFIG, split, 7)
    expected = [rows.filter(number == window) for window in np.unique(number[number >= 0])]
    assert count_windows(split, windows_of(CONFIG, split, 7), profile) == [
        {"rows": len(one), "features": count_rows(one, profile)} for one in expected
    ]
    assert pl.concat(blocks(split)).equals(rows)
    assert read_split(tmp_path).equals(rows)
    assert read_split(tmp_path).n_chunks() == 1
    for most in (len(rows), 10_000, 7):
        assert evenly_spaced(split, most).equals(rows.gather_every(-(-len(rows) // most)))
