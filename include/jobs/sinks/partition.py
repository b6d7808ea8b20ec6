"""A published day of scores, for sending."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from include.models.config.files import SCORES_MANIFEST
from include.models.errors import JobError


@dataclass(frozen=True)
class Partition:
    """A published day of scores. Equal files from the same model package have the same ``version``. ``published_at`` is
    None if the manifest does not say."""

    folder: Path
    date: str
    rows: int
    files: list[str]
    model_package_arn: str
    version: str
    published_at: datetime | None = None

    @classmethod
    def read(cls, folder: Path) -> Partition:
        """The partition that the folder's manifest describes, with every file's checksum verified.

        Raises:
            JobError: there is no manifest, or the files do not match it.
        """
        try:
            content = json.loads((folder / SCORES_MANIFEST).read_text(encoding="utf-8"))
            files = {Path(file["key"]).name: str(file["sha256"]) for file in content["files"]}
            date, rows, package = str(content["date"]), int(content["rows"]), str(content["model_package_arn"])
            published = datetime.fromisoformat(content["published_at"]) if "published_at" in content else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise JobError(f"{folder / SCORES_MANIFEST} is invalid ({error!r}): publish_scores writes it.") from error
        for name, expected in files.items():
            found = _sha256(folder / name)
            if found != expected:
                raise JobError(
                    f"{name} is not the file in the manifest of {date}: its sha256 is {found}, not {expected}."
                )
        whole = json.dumps([sorted(files.items()), package]).encode()
        version = hashlib.sha256(whole).hexdigest()[:16]
        return cls(folder, date, rows, sorted(files), package, version, published)


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise JobError(f"{file.name}, which the manifest names, cannot be read: {error}.") from error
