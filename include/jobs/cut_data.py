"""Partitions raw tables that are too large for one machine by key, into chunks for ``prepare_shards``.

    python -m include.jobs.cut_data --model M --raw DIR --chunks DIR

Reads ``<raw>/<file>`` (plain, packed or Parquet) of every table once, in blocks; writes ``<chunks>/chunk-<n>.tar`` of
about ``processing.chunk_mb`` of raw text, each with all rows of some keys. Nothing is validated here: the validation of
each chunk reports what makes a file unusable.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.chunks import shard_column
from include.jobs.sharding.chunk_files import cut_tables, pack
from include.models.config import ModelConfig, load_model
from include.models.config.files import text_bytes
from include.models.errors import JobError


def cut(config: ModelConfig, raw: Path, chunks: Path, chunk_mb: float) -> int:
    """Partitions the tables; returns the number of chunks.

    Raises:
        JobError: the model's rows are identified by time alone.
    """
    tables = config.data.tables
    by = shard_column(config, list(tables))
    if by is None:
        raise JobError(
            f"{config.name} identifies rows by time alone, so its data cannot be cut by key. In its model.yaml set "
            "processing.one_job_mb to 0 (no limit), and choose a large enough instance."
        )
    files = [file for file in raw.iterdir() if file.is_file()]
    size = sum(text_bytes(file.name, file.stat().st_size) for file in files)
    count = max(1, math.ceil(size / (chunk_mb * 2**20)))
    chunks.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch) / f"chunk-{number:05}" for number in range(count)]
        cut_tables(raw, tables, by, folders)
        for folder in folders:
            pack(folder, chunks)
    return count


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, raw="folder of raw files", chunks="where to write the chunks")
    arguments = parser.parse_args(argv)
    config = load_model(arguments.model)
    count = cut(config, arguments.raw, arguments.chunks, config.processing.chunk_mb)
    print(f"{count} chunk{'' if count == 1 else 's'}")


if __name__ == "__main__":
    run_program(main)
