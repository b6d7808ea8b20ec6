"""The WSGI application: SageMaker's JSON protocol and this server's own pages; everything else is another AWS
service."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.errors import InternalFailure, SerializationException, ServiceError
from include.local_sagemaker.core.service import Service
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.http import api_model, capabilities
from include.local_sagemaker.http.rates import Rates
from include.local_sagemaker.http.routing import PAGES, Handler, WsgiApp, find_operation, find_route, scope
from include.local_sagemaker.http.tags import check_tags

log = logging.getLogger(__name__)


class Application:
    """Answers what `routing` knows, and passes every other request on."""

    def __init__(self, service: Service, others: WsgiApp) -> None:
        self._service = service
        self._others = others
        self._rates = Rates(service.settings.rates)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
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
        if found := find_route(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), signed_for):
            handler, match = found
            return self._handle(handler, Request(environ), match)(environ, start_response)
        if environ.get("PATH_INFO", "").startswith(PAGES):
            return Response("There is no such page.", 404, content_type="text/plain")(environ, start_response)
        return self._others(environ, start_response)

    def _call(self, region: str, name: str, body: bytes) -> Response:
        try:
            function = find_operation(name)
            self._rates.take(region, name)
            request = api_model.parse_request(name, _read_json(body))
            capabilities.check(name, request)
            check_tags(request.get("Tags", []))
            answer = function(self._service.region(region), request) or {}
            return _json_response(200, api_model.render_response(name, answer))
        except ServiceError as error:
            return error_response(error)
        except Exception:  # the boundary: whatever went wrong, the client gets JSON and the log the traceback
            log.exception("%s failed", name)
            return error_response(InternalFailure(f"{name} failed inside the local SageMaker; its log says why."))

    def _handle(self, handler: Handler, request: Request, match: re.Match[str]) -> Response:
        try:
            return handler(self._service, request, **match.groupdict())
        except ServiceError as error:
            return error_response(error)
        except Exception:  # the boundary, as above
            log.exception("%s %s failed", request.method, request.path)
            return error_response(InternalFailure(f"{request.path} failed inside the local SageMaker; see its log."))


def error_response(error: ServiceError) -> Response:
    response = _json_response(error.status, {"__type": error.code, "message": error.message})
    response.headers["x-amzn-ErrorType"] = error.code
    return response


def denial(environ: WSGIEnvironment, service: str, error: ServiceError) -> Response:
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
        document = json.loads(body or b"{}", parse_constant=_refuse)
        json.dumps(document, ensure_ascii=False).encode()  # an escaped lone surrogate is valid JSON but not UTF-8
    except ValueError as error:  # bad JSON and bad UTF-8 both
        raise SerializationException(f"The request body is not JSON: {error}") from error
    except RecursionError as error:
        raise SerializationException("The request body is nested too deeply") from error
    if not isinstance(document, dict):
        raise SerializationException("The request body is not a JSON object")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _json_response(status: int, body: Json) -> Response:
    response = Response(json.dumps(body), status=status, content_type="application/x-amz-json-1.1")
    response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return response
