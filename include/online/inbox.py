"""Scores arriving files without Airflow: an object below ``inbox/<model>/`` becomes scores below
``outbox/<model>/<file>/``, once for each version of it, see ``platform.outbox``.

An invalid file gets a manifest with the reason, and no scores.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from include.models.config import model_names
from include.models.config.files import FILE_RESULT
from include.online.score_file import Champion, score_file
from include.platform.outbox import GONE, Outbox, Outcome, Source, unreadable, unscored
from include.platform.storage import inbox_object

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

LARGEST = 256 * 2**20  # bytes per file, packed or not; larger ones are for the Dag score_file
Became = Literal["scored", "refused", "done before", "overtaken", "gone", "ignored"]


@dataclass(frozen=True)
class Arrived:
    """An object as named by its event."""

    bucket: str
    key: str
    etag: str


Answerer = Callable[[str], Champion]  # of a model's name


def take(s3: S3Client, arrived: Arrived, answerer: Answerer) -> Became:
    """Scores an arrived file, unless it is done.

    Raises:
        JobError: the backend did not answer; the event should be delivered again.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    place = inbox_object(arrived.key)
    if place is None or place[0] not in model_names():
        return "ignored"
    outbox = Outbox(arrived.bucket, *place)
    found, why = None, None
    try:
        found = s3.get_object(Bucket=arrived.bucket, Key=arrived.key, IfMatch=arrived.etag)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:  # removed or replaced; its replacement has its own event
            return "gone"
        why = unreadable(error)
        if why is None:
            raise
    modified = found["LastModified"].isoformat() if found else "1970-01-01T00:00:00+00:00"
    source: Source = {"key": arrived.key, "etag": arrived.etag, "modified": modified}
    standing, _, tag = outbox.standing(s3, source)
    if standing != "new":
        return standing
    if found and found["ContentLength"] > LARGEST:
        why = f"{found['ContentLength']:,} bytes; at most {LARGEST:,} are taken here. The Dag score_file takes more."
    if why or not found:
        outcome = unscored(outbox.model, source, f"{arrived.key}: {why}")
    else:
        outcome = _score(s3, outbox, found, source, answerer(outbox.model))
    if not outbox.publish(s3, outcome, tag):
        return "done before"  # by another instance, at the same time
    return "scored" if outcome["passed"] else "refused"


def _score(s3: S3Client, outbox: Outbox, found: GetObjectOutputTypeDef, source: Source, champion: Champion) -> Outcome:
    """Scores the object's content into the version's folder."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, outbox.file), Path(folder, "out")
        out.mkdir()
        with file.open("wb") as into:
            for block in found["Body"].iter_chunks(1 << 20):
                into.write(block)
        result, keys = score_file(champion, file, out), []
        for path in sorted(path for path in out.rglob("*") if path.is_file() and path.name != FILE_RESULT):
            keys.append(outbox.folder(source["etag"]) + path.relative_to(out).as_posix())
            with path.open("rb") as body:
                s3.put_object(Bucket=outbox.bucket, Key=keys[-1], Body=body)
    return {
        **unscored(outbox.model, source, result["summary"]),
        "passed": result["passed"],
        "version": champion.version.name if result["passed"] else None,
        "answered_by": result["answered_by"],
        "rows": result["rows"],
        "rejected": {name: table["rejected"] for name, table in result["tables"].items()},
        "files": result["files"],
        "scores": [key for key in keys if key.endswith(".parquet")],
        "quarantine": [key for key in keys if key.endswith(".csv")],
    }
