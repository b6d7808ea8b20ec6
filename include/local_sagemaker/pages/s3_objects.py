"""Objects of the local S3 for a person's browser, as the S3 console shows them: reports, verdicts, rejected rows.

Unsigned requests for an object itself are refused, as AWS refuses them; so these pages have an address of their own.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError
from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.http.routing import route

_CHUNK = 2**20
# what a job wrote is shown, but may run no scripts and reach nothing
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; sandbox"


@route("GET", "/_local/s3/(?P<bucket>[^/]+)/(?P<key>.+)")
def show_object(service: Service, request: Request, bucket: str, key: str) -> Response:
    try:
        found = service.region(request.args.get("region", "us-east-1")).client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return Response(f"There is no s3://{bucket}/{key} ({code}).", status=404, content_type="text/plain")
    guessed, _ = mimetypes.guess_type(key)
    content_type = guessed or "application/octet-stream"
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    headers = {"Content-Length": str(found["ContentLength"]), "Content-Security-Policy": _POLICY}
    return Response(_chunks(found["Body"]), content_type=content_type, headers=headers, direct_passthrough=True)


def _chunks(body: Any) -> Iterator[bytes]:
    while chunk := body.read(_CHUNK):
        yield chunk
