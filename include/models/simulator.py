"""The command line of simulators with one raw table: ``python -m include.models.<name>.simulate --out DIR``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import polars as pl

from include.models.config import load_model


def write_table(
    model: str,
    simulate: Callable[[int, int], pl.DataFrame],
    argv: list[str] | None,
    *,
    description: str | None,
    size: tuple[str, int],
    least: int = 1,
) -> None:
    """Writes the model's only table to its file, under model.yaml's headers.

    Args:
        simulate: called with the seed and the size; returns the table under model.yaml's names.
        description: the program's, for ``--help``.
        size: the option for the size, and its default; at least ``least``.
    """
    option, default = size
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV file")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(f"--{option}", dest="size", metavar=option.upper(), type=int, default=default)
    arguments = parser.parse_args(argv)
    if arguments.size < least:
        parser.error(f"--{option} must be at least {least}")
    (table,) = load_model(model).data.tables.values()
    arguments.out.mkdir(parents=True, exist_ok=True)
    written = simulate(arguments.seed, arguments.size).rename(table.headers)
    written.write_csv(arguments.out / table.file, include_header=table.header)
