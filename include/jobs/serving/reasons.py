"""The reasons for a prediction: its largest contributions, in endpoints' answers and in published scores.

In CSV they are one cell without commas and quotes, so that joining lines leaves it intact:
``feature=value:contribution&...``, names and values escaped as in a URL's query. Published scores have them as a JSON
list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TypedDict
from urllib.parse import quote, unquote

import numpy as np
import polars as pl

from include.models.interface import Array, Contributions

REASONS = "reasons"
DTYPE = pl.List(pl.Struct({"feature": pl.String, "value": pl.String, "contribution": pl.Float64}))


class Reason(TypedDict):
    """``value``: the feature's, None if missing. ``contribution``: to the prediction's score."""

    feature: str
    value: str | None
    contribution: float


def most_risky(risks: Array, most: int, above: float | None = None) -> Array:
    """Which rows are explained (rows,): at most ``most``, those with the highest risks. Of equal risks that do not all
    fit, none is, so that the order of rows and the number of requests do not matter."""
    chosen: Array = np.ones(len(risks), dtype=bool) if above is None else risks >= above
    if np.count_nonzero(chosen) > most:
        chosen = chosen & (risks > limit(risks, most))
    return chosen


def limit(risks: Array, most: int) -> float:
    """The risk that a row must be above to be among the ``most`` highest; -inf where there are no more."""
    return float(np.partition(risks, -most - 1)[-most - 1]) if len(risks) > most else -math.inf


def risks_of(answered: pl.DataFrame, columns: Sequence[str]) -> Array:
    """The risk of each row: the probability of any class but the first, or the value if there are no classes.

    Args:
        columns: the probabilities' columns in order, or only the value's.
    """
    parts = [answered[name].to_numpy() for name in (columns[1:] or columns)]
    total = parts[0]
    for part in parts[1:]:  # one by one, so that the sum is the same everywhere
        total = total + part
    return np.asarray(total)


def reasons(found: Contributions, texts: pl.DataFrame, most: int) -> list[list[Reason]]:
    """Each row's largest contributions, the largest first.

    Args:
        texts: the rows' features, for the values of those that are not numbers.
    """
    order = np.argsort(-np.abs(found.values[:, :-1]), axis=1, kind="stable")[:, :most]
    own = {name: texts[name].to_list() for name in found.names if texts.schema.get(name) == pl.String}

    def value(row: int, place: int) -> str | None:
        name = found.names[place]
        if name in own:
            text: str | None = own[name][row]
            return text
        number = found.inputs[row, place]
        return None if np.isnan(number) else f"{number:.6g}"

    return [
        [
            {
                "feature": found.names[place],
                "value": value(row, place),
                "contribution": float(f"{found.values[row, place]:.6g}"),
            }
            for place in places
        ]
        for row, places in enumerate(order.tolist())
    ]


def as_cells(column: pl.Series) -> pl.Series:
    """As CSV cells; empty if a row is not explained."""
    return pl.Series(REASONS, ["" if one is None else "&".join(map(_as_text, one)) for one in column.to_list()])


def from_cells(cells: Iterable[str | None]) -> pl.Series:
    """As published: JSON texts; null if a row is not explained.

    Raises:
        ValueError: a cell is not in ``as_cells``' format.
    """
    texts = (json.dumps([_from_text(one) for one in cell.split("&")]) if cell else None for cell in cells)
    return pl.Series(REASONS, list(texts), dtype=pl.String)


def _as_text(reason: Reason) -> str:
    value = "" if reason["value"] is None else f"={quote(reason['value'], safe='')}"
    return f"{quote(reason['feature'], safe='')}{value}:{reason['contribution']!r}"


def _from_text(text: str) -> Reason:
    named, contribution = text.rsplit(":", 1)
    feature, there, value = named.partition("=")
    return {
        "feature": unquote(feature),
        "value": unquote(value) if there else None,
        "contribution": float(contribution),
    }
