"""What an endpoint's shadow variant answered in a day: compared with production on requests of which both answers were
kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from include.jobs.daily.challenger import FEATURE, REQUEST, THEIRS, write_compared, write_failed
from include.jobs.watching.captured import AT_ONCE, UNREADABLE, Record, TrafficCounter, records_in
from include.models.config import ModelConfig
from include.models.config.files import SHADOW, SHADOW_ROWS, SHADOW_VARIANT, VERSION

MOST = 100_000  # requests of a day that are compared: the first ones

Asked = tuple[str, str, pl.DataFrame, pl.DataFrame]  # a request's digest and name, its features, its answers


def by_variant(files: Iterable[Path]) -> tuple[list[Path], dict[int, list[Path]]]:
    """Files of data capture of production, and of each version that was its shadow."""
    own: list[Path] = []
    shadows: dict[int, list[Path]] = {}
    for file in files:
        names = [part.removeprefix(SHADOW_VARIANT) for part in file.parts if part.startswith(SHADOW_VARIANT)]
        (shadows.setdefault(int(names[-1]), []) if names else own).append(file)
    return own, shadows


def write_shadow(
    config: ModelConfig, reader: TrafficCounter, own: Iterable[Path], theirs: Iterable[Path], version: int, into: Path
) -> int:
    """Compares what production and a shadow answered; returns on how many rows.

    Args:
        reader: of the day, and used for nothing else.
        into: gets ``version=<version>/shadow.json`` and ``shadow.parquet``.
    """
    folder = into / f"{VERSION}{version}"
    answered = {digest: answers for digest, _, _, answers in asked(reader, records_in(theirs))}
    rows = [*_pairs(asked(reader, records_in(own)), answered)]
    if not rows:
        what = f"{len(answered):,} of its answers were kept, to none of the requests that production's were kept of"
        write_failed(what if answered else "it answered no request that was kept", folder / SHADOW)
        return 0
    return write_compared(config, pl.concat(rows), folder / SHADOW, folder / SHADOW_ROWS)["rows"]


def asked(reader: TrafficCounter, records: Iterable[Record | None]) -> Iterator[Asked]:
    """The requests of the reader's day that were answered; of those that cannot be read, none."""
    found = 0
    for record in records:
        if found == MOST:
            return
        try:
            pair = reader.rows_of(record)
        except UNREADABLE:
            continue
        if record is not None and pair is not None:
            about, given = record["eventMetadata"], record["captureData"]["endpointInput"]
            digest = hashlib.sha256(f"{given.get('observedContentType')} {given['data']}".encode()).hexdigest()
            found += 1
            yield digest, str(about.get("inferenceId") or about["inferenceTime"]), *pair


def _pairs(requests: Iterable[Asked], answered: dict[str, pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Rows that both answered, some hundred requests at a time."""
    waiting: list[pl.DataFrame] = []
    for digest, name, features, answers in requests:
        theirs = answered.get(digest)
        if theirs is None or len(theirs) != len(answers):
            continue
        names = pl.Series(
            REQUEST, [name] if len(answers) == 1 else [f"{name}, row {n + 1}" for n in range(len(answers))]
        )
        both = (features.rename(lambda one: FEATURE + one), answers, theirs.rename(lambda one: THEIRS + one))
        waiting.append(pl.concat([names.to_frame(), *both], how="horizontal"))
        if len(waiting) == AT_ONCE:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)
