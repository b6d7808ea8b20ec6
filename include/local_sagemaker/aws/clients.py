"""boto3 clients of this very server that call it in process."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from werkzeug.test import EnvironBuilder, run_wsgi_app

from include.local_sagemaker.http.routing import WsgiApp


def client_factory(app: WsgiApp, endpoint_url: str) -> Callable[[str, str, Mapping[str, str]], Any]:
    """Makes boto3 clients that call `app` in process: no socket, no thread of the server is taken."""
    config = Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )

    def send(request: Any, **_: Any) -> AWSResponse:
        body = request.body
        if hasattr(body, "read"):
            body = body.read()
        if isinstance(body, str):
            body = body.encode()
        url = request.url.removeprefix(endpoint_url)
        path, _, query = url.partition("?")
        headers = [
            (key, value.decode() if isinstance(value, bytes) else value) for key, value in request.headers.items()
        ]
        builder = EnvironBuilder(
            path=path, query_string=query, method=request.method, headers=headers, data=body, base_url=endpoint_url
        )
        chunks, status, response_headers = run_wsgi_app(app, builder.get_environ(), buffered=True)
        return AWSResponse(request.url, int(status.split()[0]), dict(response_headers), _Raw(b"".join(chunks)))

    def make(service: str, region: str, credentials: Mapping[str, str]) -> Any:
        session = boto3.session.Session(
            **{key.lower(): value for key, value in credentials.items()}, region_name=region
        )
        client = session.client(service, endpoint_url=endpoint_url, config=config)
        client.meta.events.register("before-send", send)
        return client

    return make


class _Raw(io.BytesIO):
    """A response body as urllib3 presents it to botocore."""

    def stream(self, amount: int = 65536, **_: Any) -> Iterator[bytes]:
        while chunk := self.read(amount):
            yield chunk
