"""The local S3 in a browser: buckets, folders, raw objects, and previews of tables and JSON.

Unsigned requests for an object itself are refused, as AWS refuses them; so these pages have their own addresses.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.http.routing import route
from include.local_sagemaker.pages.kinds import KINDS
from include.local_sagemaker.pages.previews import PreviewError, can_preview, preview
from include.local_sagemaker.pages.rendering import not_found, page, s3_page

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from types_boto3_s3.client import S3Client
    from types_boto3_s3.type_defs import ListObjectsV2RequestTypeDef

_CHUNK = 2**20
_KEYS = 200  # of a folder's page
# a job's files are shown, but may not run scripts or load anything
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; sandbox"


@route("GET", "/_local/s3/?")
def show_buckets(service: Service, request: Request) -> Response:
    buckets = _s3(service, request).list_buckets()["Buckets"]
    entries = [{"name": one["Name"], "uri": f"s3://{one['Name']}/"} for one in buckets]
    return page("folder.html", kinds=KINDS.values(), title="S3", folders=entries, files=[], after=None)


@route("GET", "/_local/s3/(?P<bucket>[^/]+)/(?P<key>.*)")
def show_object(service: Service, request: Request, bucket: str, key: str) -> Response:
    s3 = _s3(service, request)
    try:
        if not key or key.endswith("/"):
            return _folder(s3, bucket, key, request.args.get("after", ""))
        return _preview(s3, bucket, key) if "preview" in request.args else _object(s3, bucket, key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchKey" and s3.list_objects_v2(Bucket=bucket, Prefix=f"{key}/", MaxKeys=1)["KeyCount"]:
            return redirect(s3_page(f"s3://{bucket}/{key}/"))
        return not_found(f"There is no s3://{bucket}/{key} ({code}).")


def _s3(service: Service, request: Request) -> S3Client:
    s3: S3Client = service.region(request.args.get("region", "us-east-1")).client("s3")
    return s3


def _folder(s3: S3Client, bucket: str, prefix: str, after: str) -> Response:
    """One page of a folder; ``after`` is the previous page's token."""
    asked: ListObjectsV2RequestTypeDef = {"Bucket": bucket, "Prefix": prefix, "Delimiter": "/", "MaxKeys": _KEYS}
    if after:
        asked["ContinuationToken"] = after
    found = s3.list_objects_v2(**asked)
    folders = [
        {"name": one["Prefix"].removeprefix(prefix), "uri": f"s3://{bucket}/{one['Prefix']}"}
        for one in found.get("CommonPrefixes", ())
    ]
    files = [
        {
            "name": one["Key"].removeprefix(prefix),
            "uri": f"s3://{bucket}/{one['Key']}",
            "size": one["Size"],
            "modified": one["LastModified"].timestamp(),
            "preview": can_preview(one["Key"]),
        }
        for one in found.get("Contents", ())
    ]
    return page(
        "folder.html",
        kinds=KINDS.values(),
        title=f"s3://{bucket}/{prefix}",
        folders=folders,
        files=files,
        after=found.get("NextContinuationToken"),
    )


def _preview(s3: S3Client, bucket: str, key: str) -> Response:
    uri = f"s3://{bucket}/{key}"
    size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    shown, reason = None, ""
    try:
        shown = preview(key, body, size)
    except PreviewError as error:
        reason = str(error)
    return page("preview.html", kinds=KINDS.values(), uri=uri, size=size, shown=shown, reason=reason)


def _object(s3: S3Client, bucket: str, key: str) -> Response:
    found = s3.get_object(Bucket=bucket, Key=key)
    guessed, _ = mimetypes.guess_type(key)
    content_type = guessed or "application/octet-stream"
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    headers = {"Content-Length": str(found["ContentLength"]), "Content-Security-Policy": _POLICY}
    return Response(_chunks(found["Body"]), content_type=content_type, headers=headers, direct_passthrough=True)


def _chunks(body: StreamingBody) -> Iterator[bytes]:
    while chunk := body.read(_CHUNK):
        yield chunk
