"""Requests that an endpoint kept in a day, counted as a scored day is: by the bins of the version's own training.

    python -m include.jobs.count_captures --model M --captured DIR --artifact DIR --day ISO --since MOMENT --counted DIR

Reads the files of data capture in ``--captured`` and, from the version's model.tar.gz in ``--artifact``, what its
features and answers are; the model is not loaded. Writes ``<counted>/captured.json``: how features and answers lie
(``profile``), how many requests there were, and how many were refused, by reason (``captured``). Requests before
``--since`` were answered by an earlier version, and are not in the profile. For each version that was the endpoint's
shadow that day, ``version=<n>/shadow.json`` compares its answers with production's, and ``shadow.parquet`` has both.

Some thousand requests a minute and core; a line is in memory at a time, and the rows of a few hundred requests.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path

from include.jobs.cli import arguments_of, run_program
from include.jobs.serving.archive import unpack
from include.jobs.watching.captured import TrafficCounter, records_in
from include.jobs.watching.shadowed import by_variant, write_shadow
from include.models.config import load_model
from include.models.config.files import CAPTURED


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        captured="folder of files of data capture",
        artifact="folder of the version's model.tar.gz",
        counted="where to write",
    )
    parser.add_argument("--day", required=True, help="the day to count, as 2015-06-01")
    parser.add_argument("--since", required=True, help="when the version came into production, with its time zone")
    given = parser.parse_args(argv)
    own, shadows = by_variant(sorted(given.captured.rglob("*.jsonl")))
    since = datetime.fromisoformat(given.since)
    with tempfile.TemporaryDirectory() as folder:
        artifact = unpack(given.artifact, Path(folder))
        counter = TrafficCounter.of(artifact, given.day, since)
        readers = {version: TrafficCounter.of(artifact, given.day, since) for version in shadows}
    counter.count(records_in(own))
    captured = counter.captured
    given.counted.mkdir(parents=True, exist_ok=True)
    content = {"profile": counter.profile, "captured": captured}
    (given.counted / CAPTURED).write_text(json.dumps(content), encoding="utf-8")
    for version, theirs in shadows.items():
        rows = write_shadow(load_model(given.model), readers[version], own, theirs, version, given.counted)
        print(f"{given.day}: {rows:,} rows answered by both production and its shadow, version {version}")
    print(
        f"{given.day}: {captured['requests']:,} requests, {counter.distribution.rows:,} rows answered, "
        f"{sum(captured['refused'].values()):,} requests refused, {captured['unread']:,} not understood"
    )


if __name__ == "__main__":
    run_program(main)
