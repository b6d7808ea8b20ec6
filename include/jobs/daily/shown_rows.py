"""The rows of a day that the console shows, the highest risk first: small enough to be read whole, by what reads no
Parquet."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import polars as pl

from include.jobs.serving.reasons import REASONS, risks_of
from include.models.config.files import SHOWN_ROWS
from include.models.quoting import quotes_values

MOST = 20_000
EXPLAINED = 50  # of them, the first
RISK = "__risk"


class ShownRows(TypedDict):
    """``key``: the columns that begin each row; its answer and its risk follow. ``reasons`` are those of the first
    rows, in their order, None of a row without. ``of``: how many rows the day has. ``entity``: the columns of the key
    that stay the same from day to day."""

    key: list[str]
    entity: list[str]
    of: int
    rows: list[list[str | float]]
    reasons: list[list[dict[str, str | float | None]] | None]


def write_shown(scores: Path, key: Sequence[str], columns: Sequence[str], prediction: str) -> dict[str, str] | None:
    """Write the rows beside the day's files of scores; the file's name and SHA-256, None if there are no rows, or
    values may not be shown.

    Args:
        key: the columns that tell rows apart.
        columns: as ``risks_of``.
        prediction: the column of the answers.
    """
    if not quotes_values():
        return None
    highest: pl.DataFrame | None = None
    total, entity = 0, list(key)
    for part in sorted(scores.glob("*.parquet")):
        frame = pl.read_parquet(part)
        total += len(frame)
        entity = [name for name in key if not frame[name].dtype.is_temporal()]
        named = [name for name in (*key, prediction, REASONS) if name in frame.columns]
        risks = frame.select(*named, pl.Series(RISK, risks_of(frame, columns)))
        both = risks if highest is None else pl.concat([highest, risks])
        highest = both.sort([RISK, *key], descending=[True, *(False for _ in key)]).head(MOST)
    if highest is None:
        return None
    content: ShownRows = {"key": list(key), "entity": entity, "of": total, "rows": [], "reasons": []}
    texts = highest.select(*(_as_text(highest[name]) for name in (*key, prediction)), pl.col(RISK).round(6))
    content["rows"] = [list(row) for row in texts.iter_rows()]
    if REASONS in highest.columns:
        content["reasons"] = [json.loads(one) if one else None for one in highest[REASONS].head(EXPLAINED)]
    packed = gzip.compress(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
    (scores / SHOWN_ROWS).write_bytes(packed)
    return {"name": SHOWN_ROWS, "sha256": hashlib.sha256(packed).hexdigest()}


def _as_text(values: pl.Series) -> pl.Series:
    if values.dtype == pl.Datetime:
        return values.dt.to_string("%Y-%m-%d %H:%M:%S")
    return values.cast(pl.String).fill_null("")
