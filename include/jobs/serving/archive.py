"""A version's model.tar.gz, as SageMaker packs it. Apart from ``artifact``, which needs the model's libraries."""

from __future__ import annotations

import tarfile
from pathlib import Path

from include.models.config.files import MODEL_ARCHIVE
from include.models.errors import JobError


def unpack(folder: Path, into: Path) -> Path:
    """Unpack the folder's model.tar.gz.

    Raises:
        JobError: it is missing or damaged.
    """
    archive = folder / MODEL_ARCHIVE
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(into, filter="data")
    except (OSError, EOFError, tarfile.TarError) as error:
        raise JobError(
            f"{archive} cannot be unpacked ({error}). It is written by train_model: look at that job."
        ) from error
    return into
