"""What breaks in a feed, for bench_watch: each model's raw tables as in a day's partition, and ways to break them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta

import polars as pl

from bench_quality import raw_tables
from include.jobs.split_days import BATCHES
from include.models.config import LINE, load_model
from include.models.interface import Tables


def of_day(tables: Tables, day: str) -> dict[str, pl.DataFrame]:
    """Raw tables of predictive_maintenance as in a day's partition."""
    start = datetime.fromisoformat(day)
    inside = pl.col("datetime").is_between(start, start + timedelta(days=1), closed="left")
    before = pl.col("datetime") < start + timedelta(days=1)
    how = {"telemetry": inside, "errors": inside, "maint": before, "machines": pl.lit(value=True)}
    return {name: tables[name].filter(rows) for name, rows in how.items()}


Break = Callable[[dict[str, pl.DataFrame], dict[str, pl.DataFrame]], dict[str, pl.DataFrame]]


def broken_fleet() -> dict[str, tuple[str, Break]]:
    """By name, the table and what happens to a day's tables; the preceding day is given too."""

    def telemetry(change: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[str, Break]:
        return "telemetry", lambda day, _: {**day, "telemetry": change(day["telemetry"])}

    def errors(change: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[str, Break]:
        return "errors", lambda day, _: {**day, "errors": change(day["errors"])}

    def times(number: int) -> tuple[str, Break]:
        def more(rows: pl.DataFrame) -> pl.DataFrame:
            copies = [
                rows.with_columns(machineID=(pl.col("machineID") + 7 * copy - 1) % 100 + 1) for copy in range(number)
            ]
            return pl.concat(copies).sort("machineID", "datetime")

        return errors(more)

    def on(machines: int, value: pl.Expr) -> tuple[str, Break]:
        changed = pl.when(pl.col("machineID") <= machines).then(value).otherwise("volt").alias("volt")
        return telemetry(lambda rows: rows.with_columns(changed))

    def again(day: dict[str, pl.DataFrame], before: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        return {**day, "telemetry": before["telemetry"].with_columns(pl.col("datetime") + timedelta(days=1))}

    def later(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("datetime") + timedelta(hours=5))

    swapped = {"volt": "rotate", "rotate": "volt"}
    return {
        "a dead errors table": errors(pl.DataFrame.clear),
        "errors x3": times(3),
        "errors x5": times(5),
        **{f"volt null on {number} machines": on(number, pl.lit(None, pl.Float64)) for number in (1, 3, 10)},
        **{f"volt stuck on {number} machines": on(number, pl.lit(170.0)) for number in (1, 3, 10)},
        "volt stuck on 3 machines but for noise": on(3, 170 + pl.int_range(pl.len()) % 2 / 100),
        "volt -999 in a row of twenty": telemetry(lambda rows: coded(rows, "volt", -999, 20)),
        "rotate 0 in a row of ten": telemetry(lambda rows: coded(rows, "rotate", 0, 10)),
        "rotate with the opposite sign": telemetry(lambda rows: rows.with_columns(-pl.col("rotate"))),
        "pressure in kPa": telemetry(lambda rows: rows.with_columns(pl.col("pressure") * 6.895)),
        "a clock shifted by five hours": telemetry(later),
        "a clock of errors alone shifted by five hours": errors(later),
        "a day delivered twice": ("telemetry", again),
        "volt and rotate swapped": telemetry(lambda rows: rows.rename(swapped).select(rows.columns)),
        "a truncated file": telemetry(lambda rows: rows.head(len(rows) * 6 // 10)),
        "a new error": errors(lambda rows: rows.with_columns(errorID=pl.lit("error6"))),
    }


def of_market(tables: Tables, day: str) -> dict[str, pl.DataFrame]:
    """electricity's raw table as in a day's partition."""
    start = datetime.fromisoformat(day)
    inside = pl.col("half_hour").is_between(start, start + timedelta(days=1), closed="left")
    return {"market": tables["market"].filter(inside)}


def broken_market() -> dict[str, tuple[str, Break]]:
    """As ``broken_fleet``, of electricity."""

    def market(change: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[str, Break]:
        return "market", lambda day, _: {"market": change(day["market"])}

    def again(_: dict[str, pl.DataFrame], before: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
        return {"market": before["market"].with_columns(pl.col("half_hour") + timedelta(days=1))}

    def later(rows: pl.DataFrame) -> pl.DataFrame:  # its times are made of the rows' positions
        return pl.concat([rows[2:], rows[:2]]).with_columns(rows["half_hour"])

    price, demand = pl.col("nswprice"), pl.col("nswdemand")
    return {
        "a dead feed": market(pl.DataFrame.clear),
        "prices times 1,000": market(lambda rows: rows.with_columns(price * 1000)),
        "a tenth of prices": market(lambda rows: rows.with_columns(price / 10)),
        "prices with the opposite sign": market(lambda rows: rows.with_columns(-price)),
        "price and demand swapped": market(
            lambda rows: rows.with_columns(demand.alias("nswprice"), price.alias("nswdemand"))
        ),
        "demand stuck": market(lambda rows: rows.with_columns(demand.first())),
        "transfer stuck": market(lambda rows: rows.with_columns(pl.col("transfer").first())),
        "price -999 in a row of ten": market(lambda rows: coded(rows, "nswprice", -999, 10)),
        "no price in a row of ten": market(lambda rows: coded(rows, "nswprice", None, 10)),
        "a clock shifted by an hour": market(lambda rows: rows.with_columns(pl.col("half_hour") + timedelta(hours=1))),
        "a file that begins an hour late": market(later),
        "a file in reverse": market(lambda rows: rows.reverse().with_columns(rows["half_hour"])),
        "half a file": market(lambda rows: rows.head(len(rows) // 2)),
        "a day delivered twice": ("market", again),
    }


def of_machines(tables: Tables, day: str) -> dict[str, pl.DataFrame]:
    """machine_downtime's raw table as in a day's partition."""
    return {"readings": tables["readings"].filter(pl.col("date").dt.date() == date.fromisoformat(day))}


def broken_machines() -> dict[str, tuple[str, Break]]:
    """As ``broken_fleet``, of machine_downtime."""

    def readings(change: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[str, Break]:
        return "readings", lambda day, _: {"readings": change(day["readings"])}

    machine, line = pl.col("machine_id"), pl.col("assembly_line")
    one, oil = machine == "Makino-L1-Unit1-2013", pl.col("hydraulic_pressure_bar")

    def on_one(column: pl.Expr, value: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
        return lambda rows: rows.with_columns(
            pl.when(one).then(value).otherwise(column).alias(column.meta.output_name())
        )

    return {
        "a dead feed": readings(pl.DataFrame.clear),
        "a silent machine": readings(lambda rows: rows.filter(~one)),
        "a machine of another name": readings(on_one(machine, pl.lit("M1"))),
        "names in small letters": readings(lambda rows: rows.with_columns(machine.str.to_lowercase())),
        "a line without rows": readings(lambda rows: rows.filter(line != "Shopfloor-L3")),
        "pressure in psi on one machine": readings(on_one(oil, oil * 14.504)),
    }


def delivered(name: str) -> Tables:
    """Raw tables; if rows have no time, in the order of the file."""
    if load_model(name).data.time:
        return raw_tables(name)
    return {table: rows.sort(LINE).drop(LINE) for table, rows in raw_tables(name, lines=True).items()}


def of_file(tables: Tables, day: str) -> dict[str, pl.DataFrame]:
    """A day's part of a table without times, as split_days makes them."""
    number = date.fromisoformat(day).toordinal() % BATCHES
    ends = {name: [len(rows) * place // BATCHES for place in (number, number + 1)] for name, rows in tables.items()}
    return {name: rows[slice(*ends[name])] for name, rows in tables.items()}


def broken_rows_of_file() -> dict[str, tuple[str, Break]]:
    """As ``broken_fleet``, of tabular_classifier."""

    def rows_of(change: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[str, Break]:
        return "rows", lambda day, _: {"rows": change(day["rows"])}

    kind, product, torque = pl.col("Type"), pl.col("Product ID"), pl.col("Torque [Nm]")
    swapped = product.alias("Type"), kind.alias("Product ID")
    return {
        "a type for each row": rows_of(lambda rows: rows.with_columns(product.alias("Type"))),
        "type and product swapped": rows_of(lambda rows: rows.with_columns(*swapped)),
        "logarithms of torque": rows_of(lambda rows: rows.with_columns(torque.log())),
        "a file delivered twice": ("rows", lambda _, before: before),
    }


def coded(rows: pl.DataFrame, column: str, value: float | None, every: int) -> pl.DataFrame:
    """With a value in the place of one in ``every`` rows'."""
    here = pl.int_range(pl.len()) % every == 0
    return rows.with_columns(pl.when(here).then(pl.lit(value, pl.Float64)).otherwise(column).alias(column))
