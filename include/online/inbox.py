"""Files that just arrive: an object below ``inbox/<model>/`` becomes scores below ``outbox/<model>/<file>/``.

What ``score_file`` writes lies there, ``manifest.json`` last, with the object that it is of as ``source``. Whatever is
delivered twice, in another order or to two at a time, each version of an object is told of once, and an older one never
replaces a newer one's scores. A file that cannot be used has a manifest that says why, and no scores.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from include.models.config import model_names
from include.online.backends import Backend
from include.online.score_file import score_file
from include.online.shape import Shape
from include.platform.objects import read_versioned, write_if_unchanged
from include.platform.storage import inbox_object, outbox_prefix

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

LARGEST = 256 * 2**20  # bytes of a file, packed or not; larger ones are for make score, or a day's partition
GONE = ("NoSuchKey", "NoSuchVersion", "404", "PreconditionFailed", "412")
Outcome = Literal["scored", "refused", "done before", "overtaken", "gone", "ignored"]


@dataclass(frozen=True)
class Arrived:
    """An object as its event names it."""

    bucket: str
    key: str
    etag: str


@dataclass(frozen=True)
class Source:
    """The object that scores are of."""

    key: str
    etag: str
    modified: str


Answering = tuple[Shape, Backend]
Answerer = Callable[[str], Answering]  # of a model's name


def take(s3: S3Client, arrived: Arrived, answerer: Answerer) -> Outcome:
    """Score what has arrived, unless it is done.

    Raises:
        JobError: nobody answered; the event should be delivered again.
        botocore.exceptions.ClientError: S3 refused, as where the file is encrypted with a key that may not be used.
    """
    place = inbox_object(arrived.key)
    if place is None or place[0] not in model_names():
        return "ignored"
    model, name = place
    outbox = outbox_prefix(model, name)
    try:
        found = s3.get_object(Bucket=arrived.bucket, Key=arrived.key, IfMatch=arrived.etag)
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE:  # removed or replaced; what replaced it has its own event
            return "gone"
        raise
    source = Source(arrived.key, arrived.etag, found["LastModified"].isoformat())
    manifest_uri = f"s3://{arrived.bucket}/{outbox}manifest.json"
    kept, tag = read_versioned(s3, manifest_uri)
    before = json.loads(kept) if kept else None
    if before and before["source"]["etag"] == source.etag:
        return "done before"
    if before and datetime.fromisoformat(before["source"]["modified"]) > found["LastModified"]:
        return "overtaken"
    manifest = _score(s3, arrived.bucket, outbox, found, name, lambda: answerer(model))
    body = json.dumps({**manifest, "source": asdict(source)}, indent=1).encode()
    if not write_if_unchanged(s3, manifest_uri, body, tag):
        return "done before"  # by another one, at the same time
    return "scored" if manifest["passed"] else "refused"


def _score(
    s3: S3Client, bucket: str, outbox: str, found: GetObjectOutputTypeDef, name: str, answerer: Callable[[], Answering]
) -> dict[str, Any]:
    """Score the object's content and put what comes of it into the outbox, except for the manifest."""
    if found["ContentLength"] > LARGEST:
        said = f"{name} has {found['ContentLength']:,} bytes; at most {LARGEST:,} are taken here. Use make score."
        return {"passed": False, "summary": said}
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, name), Path(folder, "out")
        out.mkdir()
        with file.open("wb") as into:
            for block in found["Body"].iter_chunks(1 << 20):
                into.write(block)
        shape, backend = answerer()
        manifest = score_file(shape, file, backend, out)
        for path in sorted(path for path in out.rglob("*") if path.is_file() and path.name != "manifest.json"):
            s3.put_object(Bucket=bucket, Key=outbox + path.relative_to(out).as_posix(), Body=path.read_bytes())
    return dict(manifest)
