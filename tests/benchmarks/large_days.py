"""Days with the given number of rows, and a small model for each, for ``bench_large_day.py``.

    python -m tests.benchmarks.large_days MODEL FOLDER ROWS

Writes ``<folder>/artifact`` and the raw files, ``<folder>/day/<table's file>``. Predictive maintenance's files look
like those that Azure published: quoted header and texts, CRLF, fifteen-digit numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import save_artifact
from include.models.config import load_model
from include.models.interface import Tables
from include.models.loader import estimator, feature_builder
from include.models.predictive_maintenance import simulate as fleet
from include.models.tabular_classifier import simulate as milling

AT_ONCE = 1_000_000  # rows per part
MACHINES = 1000
DAY = ("2015-01-02", "2015-01-03")
Parts = Iterator[Tables]


def milled_pieces(rows: int) -> Parts:
    """The simulated pieces, repeated with new ids."""
    one = milling.simulate(seed=5)
    for start in range(0, rows, AT_ONCE):
        part = one.sample(min(AT_ONCE, rows - start), with_replacement=True, seed=start)
        yield {"rows": part.with_columns(UDI=pl.int_range(start + 1, start + 1 + len(part)))}


def readings_of_a_fleet(rows: int) -> Parts:
    """A thousand simulated machines repeated with increasing ids; each has 24 readings a day."""
    tables = fleet.simulate(seed=5, machines=MACHINES, days=3)
    start, end = (pl.lit(day).str.to_datetime() for day in DAY)
    of_day = {
        name: table.filter(pl.col("datetime").is_between(start, end, closed="left"))
        for name, table in tables.items()
        if name in ("telemetry", "errors")
    }
    of_day["maint"] = tables["maint"].filter(pl.col("datetime") < end)
    of_day["machines"] = tables["machines"]
    of_day = {
        name: table.with_columns(pl.col(pl.Datetime).dt.strftime("%Y-%m-%d %H:%M:%S")) for name, table in of_day.items()
    }
    for block in range(math.ceil(rows / len(of_day["telemetry"]))):
        yield {name: table.with_columns(pl.col("machineID") + block * MACHINES) for name, table in of_day.items()}


DAYS: dict[str, Callable[[int], Parts]] = {
    "tabular_classifier": milled_pieces,
    "predictive_maintenance": readings_of_a_fleet,
}
LEARNED_FROM: dict[str, Callable[[], Tables]] = {
    "tabular_classifier": lambda: {"rows": milling.simulate(seed=5)},
    "predictive_maintenance": lambda: fleet.simulate(seed=5, machines=20, days=120),
}


def write_day(model: str, parts: Parts, folder: Path) -> None:
    """The raw files, under the names that model.yaml has for them."""
    folder.mkdir(parents=True)
    tables = load_model(model).data.tables
    as_published = model == "predictive_maintenance"
    for number, part in enumerate(parts):
        for name, rows in part.items():
            with (folder / tables[name].file).open("ab") as file:
                text = rows.write_csv(
                    include_header=False,
                    quote_style="non_numeric" if as_published and name != "telemetry" else "necessary",
                    line_terminator="\r\n" if as_published else "\n",
                )
                if not number:
                    header = [f'"{column}"' if as_published else column for column in rows.columns]
                    file.write((",".join(header) + ("\r\n" if as_published else "\n")).encode())
                file.write(text.encode())


def write_model(model: str, tables: Tables, folder: Path) -> None:
    """A briefly trained version."""
    config = load_model(model)
    table = feature_builder(model).build_features(tables)
    train, validation = examples(config, table), examples(config, table.gather_every(5))
    chosen = {**config.training.hyperparameters, "num_boost_round": 50}
    fitted = estimator(model).fit(train, validation, chosen)
    save_artifact(folder, config, fitted, train, validation, {"hyperparameters": chosen})


if __name__ == "__main__":
    name, into, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    write_model(name, LEARNED_FROM[name](), into / "artifact")
    write_day(name, DAYS[name](count), into / "day")
