"""Raw data for a model folder without a simulate.py, made up from the profile that ``make new-model`` left in it.

    python -m include.models.tabular.simulate --model M --out DIR [--seed N] [--rows N]

Within a class (or a tenth of the target's range) each column is drawn by itself: what tells the classes apart is there,
how columns hang together within a class is not. So a model can be good on it, and its numbers say nothing of the real
data.
"""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from include.models.config import MODELS_FOLDER, ModelConfig, Table, load_model, model_names
from include.models.errors import JobError
from include.models.tabular.column_profile import QUANTILES

FILE = "profile.json"
LEAST_ROWS, MOST_ROWS = 600, 5000
LEAST_PER_GROUP = 30
DAY = 24 * 3600


def simulate(config: ModelConfig, profile: dict[str, Any], seed: int = 7, rows: int | None = None) -> pl.DataFrame:
    """Rows with the table's columns, in the order of their time; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    wanted = rows or min(max(int(profile["rows"]), LEAST_ROWS), MOST_ROWS)
    counts = [max(round(group["share"] * wanted), LEAST_PER_GROUP) for group in profile["groups"]]
    table = _table(config)
    kinds = {name: column.kind for name, column in table.columns.items()}
    parts = [
        pl.DataFrame({name: _draw(rng, kind, group["columns"].get(name), count) for name, kind in kinds.items()})
        for group, count in zip(profile["groups"], counts, strict=True)
    ]
    frame = pl.concat(parts, how="vertical_relaxed")
    frame = frame[rng.permutation(len(frame))]
    if config.data.time:
        frame = frame.sort(config.data.time)
    numbers = pl.int_range(1, len(frame) + 1)
    ids = [
        numbers.alias(name) if kinds[name] == "integer" else pl.format("{}-{}", pl.lit(name), numbers).alias(name)
        for name in config.data.key
        if name in kinds and kinds[name] in ("integer", "string")
    ]
    return frame.with_columns(ids)


def _draw(rng: np.random.Generator, kind: str, facts: dict[str, Any] | None, count: int) -> pl.Series:
    """Values of one column in one group; a text that is not described is told from others by a number."""
    if facts is None:
        values = rng.integers(1, 10**9, count)
        return pl.Series([f"text-{value}" for value in values]) if kind == "string" else pl.Series(values)
    if "range" in facts:
        first, last = (datetime.fromisoformat(text) for text in facts["range"])
        seconds = rng.uniform(0, (last - first).total_seconds(), count)
        step = DAY if (last - first).total_seconds() > 0 and first.time() == last.time() else 1
        values = pl.Series((seconds // step * step * 1e6).astype(np.int64)).cast(pl.Duration("us")) + first
    elif "shares" in facts:
        shares = np.array(list(facts["shares"].values()))
        values = pl.Series(rng.choice(np.array(list(facts["shares"]), dtype=object), count, p=shares / shares.sum()))
        values = values.cast(pl.Int64) if kind == "integer" else values.cast(pl.String)
    elif "quantiles" in facts:
        drawn = np.interp(rng.random(count), QUANTILES, facts["quantiles"])
        values = pl.Series(np.round(drawn).astype(np.int64) if kind == "integer" else np.round(drawn, 6))
    else:
        values = pl.Series([None] * count, dtype=pl.String)
    return values.set(pl.Series(rng.random(count) < facts["missing"]), None)


def _table(config: ModelConfig) -> Table:
    return next(iter(config.data.tables.values()))


def write(config: ModelConfig, frame: pl.DataFrame, folder: Path) -> None:
    """The table's CSV, as its file would be written: the columns' own headers and timestamp formats."""
    table = _table(config)
    texts = [
        pl.col(name).dt.strftime(column.format or "%Y-%m-%d %H:%M:%S").alias(name)
        for name, column in table.columns.items()
        if column.kind == "timestamp"
    ]
    folder.mkdir(parents=True, exist_ok=True)
    frame.select(list(table.columns)).with_columns(texts).rename(table.headers).write_csv(
        folder / table.file, include_header=table.header
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, choices=model_names())
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV file")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, help="as many as the profile counted, within bounds, unless given")
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
