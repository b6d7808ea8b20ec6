"""Routes requests: a module registers with `@operation("CreateTrainingJob")` (JSON operations) or
`@route("GET", pattern)` (plain HTTP, such as InvokeEndpoint). `server` imports the modules, which is all that
registration needs; `application` looks up here what to call.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.wrappers import Response

from include.local_sagemaker.core.errors import UnknownOperationException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.http import api_model

Operation = Callable[[Region, Json], Json | None]
Handler = Callable[..., Response]
WsgiApp = WSGIApplication

PAGES = "/_local/"  # pages for people are below this path: a GET of one changes nothing

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

    The request has been validated; the response may have more than the operation's output (it may be a stored
    document): fields unknown to the API are dropped.
    """
    api_model.operation_model(name)  # a misspelt name fails at import

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


def scope(environ: WSGIEnvironment) -> tuple[str, str]:
    """(region, service) from the credential scope of a request, or ("us-east-1", "") if it is unsigned."""
    match = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return (match["region"], match["service"]) if match else ("us-east-1", "")


def find_operation(name: str) -> Operation:
    if name not in _OPERATIONS:
        raise UnknownOperationException(f"The local SageMaker does not have the operation {name}.")
    return _OPERATIONS[name]


def find_route(method: str, path: str, signed_for: str) -> tuple[Handler, re.Match[str]] | None:
    """The handler of this request, and the groups of its path; None if another AWS service answers it."""
    for candidate in _ROUTES:
        if candidate.method == method and candidate.signed_for in {None, signed_for}:
            match = candidate.path.fullmatch(path)
            if match:
                return candidate.handler, match
    return None
