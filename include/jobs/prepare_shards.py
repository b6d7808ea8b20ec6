"""From chunks of raw tables to validated tables and features, chunk by chunk; ``merge_shards`` judges the whole.

    python -m include.jobs.prepare_shards --model M --chunks DIR --shards DIR [--data-from ISO] [--data-to ISO]

Reads the ``chunk-<n>.tar`` that this instance was given; writes for each ``<shards>/shard-<n>/``: the clean tables,
``features.parquet`` of its keys, rejected rows, and unjudged findings.
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import polars as pl

from include.jobs.cli import arguments_of, run_program
from include.jobs.sharding.chunk_files import RawChunk, unpack
from include.jobs.sharding.shard import ShardFacts, facts_file
from include.jobs.validate_raw_data import Suites, add_window, load_suites, to_store, validate_tables, window_of
from include.jobs.validation.cleaning import Window
from include.models.config import LINE, MODELS_FOLDER, ModelConfig, load_model
from include.models.config.files import FEATURE_TABLE, QUARANTINE
from include.models.errors import JobError
from include.models.loader import feature_builder


def prepare_chunk(config: ModelConfig, chunk: RawChunk, suites: Suites, window: Window, shard: Path) -> int:
    """Writes a chunk's shard; returns its number of labelled rows."""
    shard.mkdir(parents=True, exist_ok=True)
    tables = config.data.tables
    parts, accepted = validate_tables(tables, config.data.time, suites, window, shard / QUARANTINE, chunk.read)
    for name, frame in to_store(config, accepted).items():
        frame.write_parquet(shard / f"{name}.parquet")
    clean = {name: frame.drop(LINE) for name, frame in accepted.items()}
    facts = ShardFacts(parts, {name: frame.height for name, frame in clean.items()})
    frame = pl.DataFrame()
    if clean.keys() == tables.keys() and any(not clean[name].is_empty() for name in chunk.facts):
        try:
            frame = feature_builder(config.name).build_features(clean)
        except JobError as error:  # judged with the whole: the raw data may be the cause
            facts.cannot_be_built = str(error)
    if not frame.is_empty():
        frame.write_parquet(shard / FEATURE_TABLE)
    facts_file(shard).write_bytes(pickle.dumps(facts))
    return frame.height


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, chunks="folder of chunk-<n>.tar", shards="where to write the shards")
    add_window(parser)
    arguments = parser.parse_args(argv)
    config, window = load_model(arguments.model), window_of(arguments)
    suites = load_suites(config, MODELS_FOLDER / config.name / "expectations")
    for file in sorted(arguments.chunks.glob("chunk-*.tar")):
        number = file.stem.removeprefix("chunk-")
        with tempfile.TemporaryDirectory() as scratch:
            chunk = unpack(file, Path(scratch))
            rows = prepare_chunk(config, chunk, suites, window, arguments.shards / f"shard-{number}")
        print(f"chunk {number}: {rows} labelled rows", flush=True)


if __name__ == "__main__":
    run_program(main)
