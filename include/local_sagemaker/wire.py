"""The WSGI front: SageMaker's JSON protocol and this server's own pages; all else is another AWS service.

A module registers what it answers with `@operation("CreateTrainingJob")` (JSON operations) or `@route("GET", pattern)`
(plain HTTP, such as InvokeEndpoint). `server` imports the modules, which is all that registration needs.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from include.local_sagemaker import api
from include.local_sagemaker.errors import (
    InternalFailure,
    SerializationException,
    ServiceError,
    UnknownOperationException,
)
from include.local_sagemaker.service import Region, Service
from include.local_sagemaker.store import Json

log = logging.getLogger(__name__)

Operation = Callable[[Region, Json], Json | None]
Handler = Callable[..., Response]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_SCOPE = re.compile(r"Credential=[^/,]+/\d+/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request")


@dataclass(frozen=True)
class _Route:
    method: str
    path: re.Pattern[str]
    signed_for: str | None
    handler: Handler


_OPERATIONS: dict[str, Operation] = {}
_ROUTES: list[_Route] = []


def operation(name: str) -> Callable[[Operation], Operation]:
    """Registers `f(region, request) -> response or None` for one operation of the API.

    The request has been validated; the response may hold more than the operation's output has (a stored document,
    say): what the API does not know is left out.
    """
    api.operation_model(name)  # a misspelt name fails on import

    def register(function: Operation) -> Operation:
        _OPERATIONS[name] = function
        return function

    return register


def route(method: str, path: str, *, signed_for: str | None = None) -> Callable[[Handler], Handler]:
    """Registers `f(service, request, **groups) -> werkzeug Response` for a path (a regular expression matched whole);
    with `signed_for` only for requests signed for that AWS service, so that S3 keeps its buckets' names."""

    def register(function: Handler) -> Handler:
        _ROUTES.append(_Route(method, re.compile(path), signed_for, function))
        return function

    return register


def operation_names() -> list[str]:
    return sorted(_OPERATIONS)


def scope(environ: dict[str, Any]) -> tuple[str, str]:
    """(region, service) from the credential scope of a request, or ("us-east-1", "") where it is unsigned."""
    match = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (match["region"], match["service"]) if match else ("us-east-1", "")


class Front:
    """The WSGI application."""

    def __init__(self, service: Service, others: WsgiApp) -> None:
        self._service = service
        self._others = others

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        region, signed_for = scope(environ)
        try:
            self._service.access.check(environ, region, signed_for)
        except ServiceError as error:
            return denial(environ, signed_for, error)(environ, start_response)
        if target.startswith("SageMaker."):
            request = Request(environ)
            response = self._call(region, target.removeprefix("SageMaker."), request.get_data())
            return response(environ, start_response)
        for candidate in _ROUTES:
            if candidate.method == environ["REQUEST_METHOD"] and candidate.signed_for in {None, signed_for}:
                match = candidate.path.fullmatch(environ.get("PATH_INFO", ""))
                if match:
                    return self._handle(candidate.handler, Request(environ), match)(environ, start_response)
        return self._others(environ, start_response)

    def _call(self, region: str, name: str, body: bytes) -> Response:
        try:
            function = _find_operation(name)
            request = api.parse_request(name, _read_json(body))
            answer = function(self._service.region(region), request) or {}
            return _json_response(200, api.render_response(name, answer))
        except ServiceError as error:
            return error_response(error)
        except Exception:  # the border: whatever went wrong, the client gets JSON and we get the traceback
            log.exception("%s failed", name)
            return error_response(InternalFailure(f"{name} failed inside the local SageMaker; its log says why."))

    def _handle(self, handler: Handler, request: Request, match: re.Match[str]) -> Response:
        try:
            return handler(self._service, request, **match.groupdict())
        except ServiceError as error:
            return error_response(error)
        except Exception:  # the border, as above
            log.exception("%s %s failed", request.method, request.path)
            return error_response(InternalFailure(f"{request.path} failed inside the local SageMaker; see its log."))


def _find_operation(name: str) -> Operation:
    if name not in _OPERATIONS:
        raise UnknownOperationException(f"The local SageMaker does not have the operation {name}.")
    return _OPERATIONS[name]


def error_response(error: ServiceError) -> Response:
    response = _json_response(error.status, {"__type": error.code, "message": error.message})
    response.headers["x-amzn-ErrorType"] = error.code
    return response


def denial(environ: dict[str, Any], service: str, error: ServiceError) -> Response:
    """An error before a request was read, in the protocol of its service."""
    xml = service in ("s3", "sts", "iam", "sns") and "HTTP_X_AMZ_TARGET" not in environ
    if not xml:
        return error_response(error)
    code, status = ("AccessDenied", 403) if error.code == "AccessDeniedException" else (error.code, error.status)
    content = f"<Error><Code>{code}</Code><Message>{escape(error.message)}</Message></Error>"
    body = content if service == "s3" else f"<ErrorResponse>{content}</ErrorResponse>"
    return Response(body, status=status, content_type="text/xml")


def _read_json(body: bytes) -> Json:
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:  # bad JSON and bad UTF-8 both
        raise SerializationException(f"The request body is not JSON: {error}") from error
    except RecursionError as error:
        raise SerializationException("The request body is nested too deeply") from error
    if not isinstance(document, dict):
        raise SerializationException("The request body is not a JSON object")
    return document


def _json_response(status: int, body: Json) -> Response:
    response = Response(json.dumps(body), status=status, content_type="application/x-amz-json-1.1")
    response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return response
