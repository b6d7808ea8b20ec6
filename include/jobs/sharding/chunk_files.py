"""A chunk of raw tables as one object, so that instances that share chunks get whole ones."""

from __future__ import annotations

import pickle
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from include.jobs.daily.chunks import cut_table, is_cut_by, read_cut
from include.jobs.validation.findings import Finding, UnusableFileError
from include.jobs.validation.reading import RawTable, read_table
from include.models.config import Table
from include.models.config.files import stored_names
from include.models.errors import JobError

FACTS = "cut.pickle"  # written and read by the same code in the same image
Facts = dict[str, RawTable | list[Finding]]  # of each partitioned table, or why it is unusable


@dataclass(frozen=True)
class RawChunk:
    """An unpacked chunk: all rows of some keys, of every table that has the key; other tables whole."""

    folder: Path
    facts: Facts

    def read(self, name: str, table: Table) -> RawTable:
        """Raises UnusableFileError: the table is unusable as a whole."""
        cut = self.facts.get(name)
        if isinstance(cut, list):
            raise UnusableFileError(cut)
        return read_table(self.folder, name, table) if cut is None else read_cut(self.folder, cut)


def cut_tables(raw: Path, tables: Mapping[str, Table], by: str, folders: list[Path]) -> None:
    """Scatters the rows of raw tables over chunk folders, holding one block in memory."""
    facts: Facts = {}
    for name, table in tables.items():
        if not is_cut_by(table, by):
            for file in stored_names(table.file):
                if (raw / file).is_file():
                    for folder in folders:
                        folder.mkdir(parents=True, exist_ok=True)
                        shutil.copy(raw / file, folder / file)
            continue
        cut = cut_table(raw, name, table, by, folders, may_be_empty=False)
        facts[name] = cut.findings if isinstance(cut, UnusableFileError) else cut
    for folder in folders:
        (folder / FACTS).write_bytes(pickle.dumps(facts))


def pack(folder: Path, into: Path) -> None:
    """Packs the chunk into ``<folder's name>.tar``, and deletes the folder."""
    with tarfile.open(into / f"{folder.name}.tar", "w") as packed:
        for path in sorted(folder.iterdir()):
            packed.add(path, arcname=path.name)
    shutil.rmtree(folder)


def unpack(file: Path, folder: Path) -> RawChunk:
    """Raises JobError: the chunk is corrupt."""
    try:
        with tarfile.open(file) as packed:
            packed.extractall(folder, filter="data")
        return RawChunk(folder, pickle.loads((folder / FACTS).read_bytes()))  # noqa: S301 - the run's own
    except (tarfile.TarError, OSError, pickle.UnpicklingError) as error:
        raise JobError(f"{file} cannot be read ({error}). It is written by cut_data: look at that job.") from error
