"""What became of the files of the inbox, and which of their versions: shared by all that score them.

Each version of an object has its own folder, so that two that are scored at once do not mix; ``manifest.json``
beside these, written last, names the version that counts, and its files. Whatever is delivered twice, in another order
or to two at a time, each version is told of once, and an older one never replaces a newer one's scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict

from botocore.exceptions import ClientError

from include.platform.objects import read_versioned, write_if_unchanged
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
    """The version of an object that scores are of; ``modified`` is ISO 8601."""

    key: str
    etag: str
    modified: str


class Outcome(TypedDict):
    """``manifest.json``: whether the file has scores, in a sentence why; the version of the model and what answered;
    rows with a score, rows set aside by table, the sha256 of each file that was read. ``scores`` and ``quarantine`` are
    keys. ``run_id``: of Airflow."""

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
    """What is known of a file of the inbox."""

    bucket: str
    model: str
    file: str

    @property
    def manifest(self) -> str:
        """S3 URI of the object that says what became of it."""
        return f"s3://{self.bucket}/{outbox_prefix(self.model, self.file)}manifest.json"

    def folder(self, etag: str) -> str:
        """Key prefix of what was made of one version, with its slash."""
        return f"{outbox_prefix(self.model, self.file)}{version_of(etag)}/"

    def standing(self, s3: S3Client, source: Source) -> tuple[Standing, Outcome | None, str | None]:
        """Whether a version has to be scored; what the manifest says now, and its ETag, for ``publish``."""
        content, tag = read_versioned(s3, self.manifest)
        kept: Outcome | None = json.loads(content) if content else None
        if kept is None:
            return "new", None, tag
        if kept["source"]["etag"] == source["etag"]:
            return "done before", kept, tag
        newer = datetime.fromisoformat(kept["source"]["modified"]) > datetime.fromisoformat(source["modified"])
        return ("overtaken" if newer else "new"), kept, tag

    def publish(self, s3: S3Client, outcome: Outcome, tag: str | None) -> bool:
        """Say what became of a version; False where somebody else has said something since ``standing``."""
        return write_if_unchanged(s3, self.manifest, json.dumps(outcome, indent=1).encode(), tag)


def version_of(etag: str) -> str:
    """Eight hex digits for an ETag."""
    return hashlib.sha256(etag.strip('"').encode()).hexdigest()[:8]


def score_names(parts: Sequence[object]) -> list[str]:
    """What parts of scores are called beside the manifest: one is ``scores.parquet``."""
    return ["scores.parquet"] if len(parts) == 1 else [f"scores-{number:05}.parquet" for number in range(len(parts))]


def unreadable(error: ClientError) -> str | None:
    """Why an object may not be read, in a sentence; None of an error that another try may get over."""
    code = error.response["Error"]["Code"]
    if code not in REFUSED:
        return None
    return (
        f"S3 does not let it be read ({code}): it may be encrypted with a key that this role may not use, or one that "
        "only its owner has. Upload it again with the bucket's own encryption."
    )
