"""A version's model.tar.gz, as SageMaker packs it. Separate from ``artifact``, which needs the model's libraries."""

from __future__ import annotations

import tarfile
from pathlib import Path

from include.models.config.files import MODEL_ARCHIVE
from include.models.errors import JobError


def unpack(folder: Path, into: Path, name: str = MODEL_ARCHIVE) -> Path:
    """Unpacks the folder's model.tar.gz, or another archive.

    Raises:
        JobError: it is missing or corrupt.
    """
    archive = folder / name
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(into, filter="data")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise JobError(
            f"{archive} cannot be unpacked ({error}). It is written by train_model: look at that job."
        ) from error
    return into
