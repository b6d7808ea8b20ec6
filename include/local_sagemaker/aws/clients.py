"""boto3 clients that call this server in process."""

from __future__ import annotations

import io
from collections.abc import Buffer, Callable, Iterable, Iterator, Mapping
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from werkzeug.test import EnvironBuilder, run_wsgi_app

from include.local_sagemaker.http.routing import WsgiApp


def client_factory(app: WsgiApp, endpoint_url: str) -> Callable[[str, str, Mapping[str, str]], Any]:
    """Makes boto3 clients that call `app` in process: this takes neither a socket nor a server thread."""
    config = Config(
        # a temporary fault, such as a full disk, must not fail a job or an endpoint permanently
        retries={"mode": "standard", "total_max_attempts": 4},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )

    def send(request: Any, **_: object) -> AWSResponse:
        url = request.url.removeprefix(endpoint_url)
        path, _, query = url.partition("?")
        headers = [
            (key, value.decode() if isinstance(value, bytes) else value) for key, value in request.headers.items()
        ]
        builder = EnvironBuilder(
            path=path, query_string=query, method=request.method, headers=headers, base_url=endpoint_url
        )
        body = request.body
        # an object's body may be a large file: it is streamed, never read whole
        builder.input_stream = body if hasattr(body, "read") else io.BytesIO(_encoded(body or b""))
        chunks, status, response_headers = run_wsgi_app(app, builder.get_environ())
        answered = dict(response_headers)
        return AWSResponse(request.url, int(status.split()[0]), answered, _Raw(chunks))  # type: ignore[arg-type] # any mapping does

    def make(service: str, region: str, credentials: Mapping[str, str]) -> Any:
        session = boto3.session.Session(
            **{key.lower(): value for key, value in credentials.items()}, region_name=region
        )
        client = session.client(service, endpoint_url=endpoint_url, config=config)
        client.meta.events.register("before-send", send)
        return client

    return make


def _encoded(body: str | bytes | bytearray) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


class _Raw(io.RawIOBase):
    """A response body as urllib3 presents it to botocore, read from the application piece by piece."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return super().read(-1 if size is None else size) or b""

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        size = min(len(view), len(self._rest))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def stream(self, amount: int = 65536, **_: object) -> Iterator[bytes]:
        while chunk := self.read(amount):
            yield chunk
