"""Compared with "same as last": a price above its day's mean stays above. A useful model must beat this."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from include.models.interface import DomainFindings, Tables

RULE = "same_as_last"


def evaluate(scored: pl.DataFrame, tables: Tables) -> DomainFindings:
    truth = scored["price_is_up"].cast(pl.String)
    right = float(np.mean((scored["predicted"] == truth).to_numpy()))
    rule = float(np.mean((_same_as_last(scored, tables) == truth).to_numpy()))
    verdict = "better than" if right > rule else "as good as" if right == rule else "worse than"
    notes = [
        f'The rule "same as last", which needs no training, is right in {rule:.1%} of the half-hours: strong, '
        f"because labels follow each other. The model is right in {right:.1%}: {verdict} the rule, by "
        f"{100 * abs(right - rule):.2f} points.",
        *_constant_columns(tables),
    ]
    return DomainFindings(notes=notes)


def baselines(test: pl.DataFrame, tables: Tables) -> dict[str, pl.Series]:
    return {RULE: _same_as_last(test, tables)}


def _same_as_last(rows: pl.DataFrame, tables: Tables) -> pl.Series:
    labels = tables["market"].sort("half_hour").select("half_hour", pl.col("price_is_up").shift(1).alias("last"))
    joined = rows.select("half_hour").join(labels, on="half_hour", how="left", maintain_order="left")
    return joined["last"].cast(pl.String).fill_null("0")


def _constant_columns(tables: Tables) -> list[str]:
    """Notes on columns that are constant from the start: an abrupt drift when they start to move."""
    market = tables["market"].sort("half_hour")
    notes = []
    for column in [name for name, kind in market.schema.items() if kind.is_numeric()]:
        moves = market.filter(pl.col(column) != market[column][0])
        first: datetime | None = moves["half_hour"].min() if len(moves) else None  # type: ignore[assignment]
        rows = market.filter(pl.col("half_hour") < first).height if first else market.height
        if rows > market.height / 10:
            notes.append(
                f"{column} is constant for the first {rows:,} half-hours"
                + (f", until {first}: an abrupt drift of the input." if first else ": it says nothing.")
            )
    return notes
