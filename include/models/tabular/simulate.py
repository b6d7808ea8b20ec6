"""Raw data for a model folder without a simulate.py, generated from the profile that ``make new-model`` wrote there.

    python -m include.models.tabular.simulate --model M --out DIR [--seed N] [--rows N]

Within a class (or a tenth of the target's range) each column is drawn separately: classes differ as they should, but
correlations within a class are missing. So a model can be good on it, but its metrics say nothing about the real
data.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TypedDict

import numpy as np
import polars as pl

from include.models.config import MODELS_FOLDER, Kind, ModelConfig, Table, load_model, model_names
from include.models.config.kinds import kind_of
from include.models.errors import JobError
from include.models.raw.kinds import reading_of
from include.models.raw.reading import Distribution
from include.models.raw.writer import write_raw
from include.models.tabular.column_profile import ColumnFacts, Group

FILE = "profile.json"
LEAST_ROWS, MOST_ROWS = 600, 5000
LEAST_PER_GROUP = 30


class StoredProfile(TypedDict):
    """The used part of profile.json, which ``make new-model`` wrote."""

    rows: int
    columns: dict[str, ColumnFacts]
    groups: list[Group]


def simulate(config: ModelConfig, profile: StoredProfile, seed: int = 7, rows: int | None = None) -> pl.DataFrame:
    """Rows with the table's columns, in the order of their time; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    wanted = rows or min(max(int(profile["rows"]), LEAST_ROWS), MOST_ROWS)
    counts = [max(round(group["share"] * wanted), LEAST_PER_GROUP) for group in profile["groups"]]
    columns = _table(config).read_columns

    def drawn(name: str, group: Group, count: int) -> pl.Series:
        if name in group["columns"]:
            return _draw(rng, kind_of(profile["columns"][name]["kind"]), group["columns"][name], count)
        return reading_of(columns[name].kind).invent(rng, count)

    parts = [
        pl.DataFrame({name: drawn(name, group, count) for name in columns})
        for group, count in zip(profile["groups"], counts, strict=True)
    ]
    frame = pl.concat(parts, how="vertical_relaxed")
    frame = frame[rng.permutation(len(frame))]
    if config.data.time:
        frame = frame.sort(config.data.time)
    numbers = pl.int_range(1, len(frame) + 1)
    ids = [
        reading_of(columns[name].kind).number(name, numbers)
        for name in config.data.key
        if name in columns and columns[name].kind.tells_rows_apart
    ]
    return frame.with_columns(ids)


def _draw(rng: np.random.Generator, kind: Kind, lie: Distribution, count: int) -> pl.Series:
    """Values of one column in one group, with the same share missing."""
    if lie.keys() == {"missing"}:
        values = pl.Series([None] * count, dtype=pl.String)
    else:
        values = reading_of(kind).draw(rng, lie, count)
    return values.set(pl.Series(rng.random(count) < lie["missing"]), None)


def _table(config: ModelConfig) -> Table:
    return next(iter(config.data.tables.values()))


def write(config: ModelConfig, frame: pl.DataFrame, folder: Path) -> None:
    """Writes the table's CSV in its file's format: the columns' own headers and timestamp formats."""
    table = _table(config)
    texts = [
        reading_of(column.kind).to_text(pl.col(name), column).alias(name) for name, column in table.columns.items()
    ]
    parts = []
    if moment := table.moment:
        parts = [pl.col(moment.column).dt.strftime(form).alias(name) for name, form in moment.of.items()]
    write_raw(frame.with_columns(texts).with_columns(parts), table, folder)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, choices=model_names())
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV file")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, help="default: as many as the profile counted, within bounds")
    arguments = parser.parse_args(argv)
    config = load_model(arguments.model)
    file = MODELS_FOLDER / arguments.model / FILE
    try:
        profile = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise JobError(
            f"models/{arguments.model} has neither simulate.py nor {FILE}: nothing to make data from."
        ) from None
    write(config, simulate(config, profile, arguments.seed, arguments.rows), arguments.out)


if __name__ == "__main__":
    main()
