"""Clean raw tables, counted by day: the basis on which ``include.models.config.faults`` judges a feed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import polars as pl

from include.models.config import ModelConfig, Table
from include.models.config.watching import Sums, TableCounts, add_sums
from include.models.interface import Tables

MOST_VALUES = 50  # of a text column; one with more is a name or a comment, not a category
MOST_SEGMENTS = 2000  # keys that are watched individually
HOURS = 24
DAY, ROWS = "_day", "_rows"


def count_day(config: ModelConfig, tables: Tables, day: str) -> dict[str, TableCounts]:
    """The day's rows in each given table.

    Args:
        tables: clean, perhaps with rows of other days.
    """
    start = datetime.fromisoformat(day)
    counted: dict[str, TableCounts] = {}
    for name in config.daily_scoring.tables:
        if name not in tables:
            continue
        table, frame = config.data.tables[name], tables[name]
        time = time_of(config, table)
        within = (
            pl.col(time).is_between(start, start + timedelta(days=1), closed="left") if time else pl.lit(value=True)
        )
        own = frame.filter(within)
        found = count_days(config, table, own, pl.repeat(day, len(own), eager=True))
        counted[name] = found.get(day) or no_rows(config, table)
        if table.history or time is None:
            counted[name]["total"] = len(frame)
    return counted


def count_days(config: ModelConfig, table: Table, frame: pl.DataFrame, days: pl.Series) -> dict[str, TableCounts]:
    """A table's rows by day.

    Args:
        days: each row's day, or its block if rows have no time.
    """
    numbers, texts, time = _numbers(config, table), _texts(config, table), time_of(config, table)
    times = [name for name, kind in table.kinds.items() if kind.is_time]
    untimed = frame.drop(times, strict=False)
    # a day's sum always fits into 64 bits
    digest = untimed.hash_rows(seed=0) // 2**24 if untimed.width else pl.repeat(0, len(frame), eager=True)
    rows = frame.with_columns(days.cast(pl.String).alias(DAY), digest.alias("_digest"))
    missing = [pl.col(name).null_count().alias(f"_missing {name}") for name in (*numbers, *texts)]
    every = rows.group_by(DAY).agg(pl.len().alias(ROWS), pl.col("_digest").sum(), *missing, *_as_sums(numbers))
    counted: dict[str, TableCounts] = {}
    for row in every.iter_rows(named=True):
        counts = no_rows(config, table)
        counts["rows"] = counts["total"] = row[ROWS]
        counts["digest"] = row["_digest"]
        counts["missing"] = {name: row[f"_missing {name}"] for name in (*numbers, *texts)}
        counts["numbers"] = {name: _known(row[name]) for name in numbers}
        counted[row[DAY]] = counts
    if time:
        for day, hour, count in rows.group_by(DAY, pl.col(time).dt.hour()).len().iter_rows():
            counted[day]["hours"][hour] = count
        _count_ends(rows, time, numbers, counted)
    for name in texts:
        _count_values(rows, name, counted)
    if (segment := segment_of(config, table)) and len(rows):
        _count_segments(rows, segment, numbers, counted)
    return counted


def no_rows(config: ModelConfig, table: Table) -> TableCounts:
    numbers, texts = _numbers(config, table), _texts(config, table)
    return {
        "rows": 0,
        "total": 0,
        "digest": 0,
        "hours": [0] * HOURS if time_of(config, table) else [],
        "missing": dict.fromkeys((*numbers, *texts), 0),
        "numbers": {name: [0.0] * 7 for name in numbers},
        "values": {name: {} for name in texts},
        "segment": segment_of(config, table),
        "segments": {},
        "ends": {},
    }


def _count_values(rows: pl.DataFrame, name: str, counted: dict[str, TableCounts]) -> None:
    found = rows.filter(pl.col(name).is_not_null()).group_by(DAY, pl.col(name).cast(pl.String).alias("_")).len()
    if len(found) and found.group_by(DAY).len()["len"].max() > MOST_VALUES:  # type: ignore[operator] # counts
        for counts in counted.values():
            del counts["values"][name]
        return
    for day, value, count in found.sort("_").iter_rows():
        counted[day]["values"][name][value] = count


def _count_segments(rows: pl.DataFrame, segment: str, numbers: list[str], counted: dict[str, TableCounts]) -> None:
    if rows[segment].n_unique() > min(MOST_SEGMENTS, len(rows) / 2):  # it identifies rows, not machines
        return
    found = rows.group_by(DAY, segment).agg(pl.len().alias(ROWS), *_as_sums(numbers))
    for row in found.sort(segment).iter_rows(named=True):
        sums = {name: _known(row[name]) for name in numbers}
        counted[row[DAY]]["segments"][str(row[segment])] = {"rows": row[ROWS], "numbers": sums}


def _count_ends(rows: pl.DataFrame, time: str, numbers: list[str], counted: dict[str, TableCounts]) -> None:
    moment, values = pl.col(time), {name: pl.col(name).cast(pl.Float64).fill_nan(None) for name in numbers}
    at_ends = rows.filter((moment == moment.min().over(DAY)) | (moment == moment.max().over(DAY)))
    same = [pl.when(one.min() == one.max()).then(one.min()).alias(name) for name, one in values.items()]
    for (day,), ends in at_ends.group_by(DAY, time).agg(*same).sort(time).partition_by(DAY, as_dict=True).items():
        pairs = {name: ends[name].to_list() for name in numbers}
        counted[day]["ends"] = {name: pair for name, pair in pairs.items() if None not in pair and len({*pair}) == 2}


def add_tables(total: dict[str, TableCounts], more: Mapping[str, TableCounts]) -> dict[str, TableCounts]:
    """The sum of both; no segment is in two chunks of a day."""
    return total | {name: _add(total[name], one) if name in total else one for name, one in more.items()}


def time_of(config: ModelConfig, table: Table) -> str | None:
    """The table's column of the model's time."""
    return config.data.time if config.data.time in table.kinds else None


def segment_of(config: ModelConfig, table: Table) -> str | None:
    """The column whose values are watched individually: the one that rows are clustered by, or the key's first."""
    candidates = [*config.split.cluster, *config.data.key]
    return next((name for name in candidates if name in table.columns and not table.kinds[name].is_time), None)


def _numbers(config: ModelConfig, table: Table) -> list[str]:
    return [name for name in _watched(config, table) if table.kinds[name].is_quantity]


def _texts(config: ModelConfig, table: Table) -> list[str]:
    return [name for name in _watched(config, table) if not table.kinds[name].is_quantity]


def _watched(config: ModelConfig, table: Table) -> list[str]:
    """Measurements, and keys that are texts of the file, such as a machine's name; neither times nor the label."""
    keys = {name for name in config.data.key if name not in table.columns or table.kinds[name].is_quantity}
    others = {config.data.label, *keys, *config.features.exclude}
    return [name for name, kind in table.kinds.items() if name not in others and not kind.is_time]


def _as_sums(columns: list[str]) -> Iterator[pl.Expr]:
    for name in columns:
        value = pl.col(name).cast(pl.Float64).fill_nan(None)
        ends = ((value == end).sum().cast(pl.Float64) for end in (value.min(), value.max()))
        every = (value.count().cast(pl.Float64), value.sum(), (value**2).sum(), value.min(), value.max(), *ends)
        yield pl.concat_list(every).alias(name)


def _known(sums: list[float | None]) -> Sums:
    # with this many digits a sum does not depend on the order of rows, which differs from run to run
    return [float(f"{value or 0.0:.12g}") for value in sums]


def _add(one: TableCounts, other: TableCounts) -> TableCounts:
    values = {
        name: {value: a.get(value, 0) + b.get(value, 0) for value in sorted(a.keys() | b.keys())}
        for name in one["values"].keys() & other["values"].keys()
        for a, b in [(one["values"][name], other["values"][name])]
    }
    added: TableCounts = {
        "rows": one["rows"] + other["rows"],
        "total": one["total"] + other["total"],
        "digest": one["digest"] + other["digest"],
        "hours": [a + b for a, b in zip(one["hours"], other["hours"], strict=True)],
        "missing": {name: count + other["missing"][name] for name, count in one["missing"].items()},
        "numbers": {name: add_sums(sums, other["numbers"][name]) for name, sums in one["numbers"].items()},
        "values": {name: count for name, count in values.items() if len(count) <= MOST_VALUES},
    }
    ends, others = one.get("ends", {}), other.get("ends", {})
    added["ends"] = {name: pair for name, pair in ends.items() if others.get(name) == pair}
    added["segment"] = one.get("segment")
    added["segments"] = {**one.get("segments", {}), **other.get("segments", {})}
    return added
