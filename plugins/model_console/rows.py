"""Single rows of scored days: the highest risks of one day, and one row's answers over many. Pure: from the days'
``rows.json.gz``, as include/jobs/daily/shown_rows.py writes it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagemaker_jobs.kinds import Json

TOP = 20
MOST_HELD = 500  # rows of a history


@dataclass(frozen=True)
class Row:
    """``entity``: the part of its key that stays from day to day. ``reasons``: the largest contributions, in words."""

    day: str
    version: int
    key: Mapping[str, str]
    entity: Mapping[str, str]
    answer: str
    risk: float
    reasons: Sequence[str]


@dataclass(frozen=True)
class History:
    """``rows``, newest first. ``partial``: days of which only the highest risks are kept, so that the row may be
    missing though it was scored."""

    columns: Sequence[str]
    asked: Mapping[str, str]
    rows: Sequence[Row]
    days: int
    partial: Sequence[str]


def unpack(content: bytes) -> Json:
    found: Json = json.loads(gzip.decompress(content))
    return found


def top(shown: Json, day: str, version: int) -> list[Row]:
    """The rows of the highest risk."""
    return [_row(shown, place, day, version) for place in range(min(TOP, len(shown["rows"])))]


def history(days: Sequence[tuple[str, int, Json]], asked: Mapping[str, str]) -> History:
    """A row's answers.

    Args:
        days: day, version and shown rows, newest first.
        asked: what its key must be; columns that no key has are ignored.
    """
    columns = list(dict.fromkeys(name for _, _, shown in days for name in shown["entity"]))
    wanted = {name: asked[name].strip() for name in columns if asked.get(name, "").strip()}
    rows: list[Row] = []
    for day, version, shown in days if wanted else ():
        places = {name: shown["key"].index(name) for name in wanted if name in shown["key"]}
        if places.keys() != wanted.keys():
            continue
        rows += [
            _row(shown, number, day, version)
            for number, row in enumerate(shown["rows"])
            if all(row[place] == wanted[name] for name, place in places.items())
        ]
    partial = [day for day, _, shown in days if shown["of"] > len(shown["rows"])]
    in_order = sorted(rows, key=lambda row: (row.day, *row.key.values()), reverse=True)
    return History(columns, wanted, in_order[:MOST_HELD], len(days), partial)


def _row(shown: Json, place: int, day: str, version: int) -> Row:
    *key, answer, risk = shown["rows"][place]
    named = dict(zip(shown["key"], key, strict=True))
    why = shown["reasons"][place] if place < len(shown["reasons"]) else None
    return Row(
        day,
        version,
        named,
        {name: named[name] for name in shown["entity"]},
        str(answer),
        float(risk),
        [_in_words(reason) for reason in why or ()],
    )


def _in_words(reason: Json) -> str:
    value = "" if reason["value"] is None else f" {reason['value']}"
    return f"{reason['feature']}{value} ({reason['contribution']:+.3g})"
