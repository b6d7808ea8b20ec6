"""The outcome of each file of the inbox, and of which of its versions: shared by everything that scores them.

Each version of an object has its own folder, so that two scored at once do not mix. ``manifest.json`` beside these,
written last, names the version that counts, and its files. Even if a file is delivered twice, out of order or to two
readers at once, each version is reported once, and an older one never replaces a newer one's scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

from botocore.exceptions import ClientError

from include.platform.objects import parsed, read_versioned, write_if_unchanged
from include.platform.storage import outbox_prefix

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

GONE = ("NoSuchKey", "NoSuchVersion", "404", "PreconditionFailed", "412")
REFUSED = (
    "AccessDenied",
    "403",
    "400",
    "InvalidRequest",
    "KMS.DisabledException",
    "KMS.NotFoundException",
)
Standing = Literal["new", "done before", "overtaken"]


class Source(TypedDict):
    """The version of an object that was scored; ``modified`` is ISO 8601."""

    key: str
    etag: str
    modified: str


class Outcome(TypedDict):
    """``manifest.json``: whether the file has scores and why, in a sentence; the model version, and what predicted; the
    number of scored rows; rejected rows by table; the sha256 of each file that was read. ``scores`` and ``quarantine``
    are keys. ``run_id``: Airflow's."""

    model: str
    passed: bool
    summary: str
    version: str | None
    answered_by: str
    rows: int
    rejected: dict[str, int]
    files: dict[str, str]
    scores: list[str]
    quarantine: list[str]
    source: Source
    run_id: NotRequired[str]


def unscored(model: str, source: Source, why: str) -> Outcome:
    """The outcome of a file that has no scores."""
    return {
        "model": model,
        "passed": False,
        "summary": why,
        "version": None,
        "answered_by": "",
        "rows": 0,
        "rejected": {},
        "files": {},
        "scores": [],
        "quarantine": [],
        "source": source,
    }


@dataclass(frozen=True)
class Outbox:
    """The outbox of one file of the inbox."""

    bucket: str
    model: str
    file: str

    @property
    def manifest(self) -> str:
        """S3 URI of the file's manifest."""
        return f"s3://{self.bucket}/{outbox_prefix(self.model, self.file)}manifest.json"

    def folder(self, etag: str) -> str:
        """Key prefix of one version's results, with a trailing slash."""
        return f"{outbox_prefix(self.model, self.file)}{version_of(etag)}/"

    def standing(self, s3: S3Client, source: Source) -> tuple[Standing, Outcome | None, str | None]:
        """Whether a version must be scored; the current manifest and its ETag, for ``publish``."""
        content, tag = read_versioned(s3, self.manifest)
        kept: Outcome | None = parsed(self.manifest, content) if content else None
        if kept is None:
            return "new", None, tag
        if kept["source"]["etag"] == source["etag"]:
            return "done before", kept, tag
        newer = datetime.fromisoformat(kept["source"]["modified"]) > datetime.fromisoformat(source["modified"])
        return ("overtaken" if newer else "new"), kept, tag

    def publish(self, s3: S3Client, outcome: Outcome, tag: str | None) -> bool:
        """Writes a version's outcome; False if the manifest has changed since ``standing``."""
        return write_if_unchanged(s3, self.manifest, json.dumps(outcome, indent=1).encode(), tag)


def version_of(etag: str) -> str:
    """Eight hex digits for an ETag."""
    return hashlib.sha256(etag.strip('"').encode()).hexdigest()[:8]


def score_names(parts: Sequence[object]) -> list[str]:
    """The file names of the parts of scores, beside the manifest; a single one is ``scores.parquet``."""
    return ["scores.parquet"] if len(parts) == 1 else [f"scores-{number:05}.parquet" for number in range(len(parts))]


def unreadable(error: ClientError) -> str | None:
    """Why an object cannot be read, in a sentence; None if a retry may help."""
    code = error.response["Error"]["Code"]
    if code not in REFUSED:
        return None
    return (
        f"S3 denies reading it ({code}): it may be encrypted with a key that this role may not use, or one that "
        "only its owner has. Upload it again with the bucket's default encryption."
    )
