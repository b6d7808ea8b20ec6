"""Protects the server from web pages: a browser lets any page send requests to 127.0.0.1, and requests run programs.

It relies on headers that a page cannot change: the Host that the browser believes it talks to (which reveals a DNS name
rebound to 127.0.0.1), the Origin of the page, and Sec-Fetch-Site, which requests without an Origin have
too (images, frames, links). AWS clients send neither of the last two.

https://www.w3.org/TR/fetch-metadata/ and https://web.dev/articles/fetch-metadata
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Collection, Iterable
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from werkzeug.wrappers import Response

from include.local_sagemaker.core.errors import ServiceError
from include.local_sagemaker.http.application import denial
from include.local_sagemaker.http.routing import PAGES, WsgiApp, scope

log = logging.getLogger(__name__)

_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?")
_FRAMES = "frame-ancestors 'none'"
# anything but our pages is data: opened in a browser, it may neither run a script nor reach anything
_DATA = f"default-src 'none'; sandbox; {_FRAMES}"


class CrossOriginRequestError(ServiceError):
    """A page of another origin caused this request, or may have."""

    status = 403


class BrowserGuard:
    """WSGI middleware: refuses what a foreign page sends, answers OPTIONS with no permission, and removes from answers
    what would let other origins read them (moto allows everybody)."""

    def __init__(self, application: WsgiApp, allowed_hosts: Collection[str] = ()) -> None:
        self._application = application
        self._allowed_hosts = {name.lower() for name in allowed_hosts}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        reason = refusal(environ, self._allowed_hosts)
        if reason:
            log.warning("refused %s %r: %s", environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), reason)
            answer: WsgiApp = _refuse(environ, CrossOriginRequestError(reason))
        elif environ["REQUEST_METHOD"] == "OPTIONS":
            answer = Response(status=204)
        else:
            answer = self._application

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
            policy = _FRAMES if is_page(environ) else _DATA
            kept += [("Content-Security-Policy", policy), ("Cross-Origin-Resource-Policy", "same-origin")]
            return start_response(status, kept, *more)

        return answer(environ, start)


def refusal(environ: WSGIEnvironment, allowed_hosts: Collection[str] = ()) -> str | None:
    """Why this request may come from a page of another origin; None if it does not."""
    host = environ.get("HTTP_HOST", "")
    if not is_allowed_host(host, allowed_hosts):
        return (
            f"The Host {host[:100]!r} is neither a name of this machine nor one that the local SageMaker was started "
            "with: clients use http://127.0.0.1 or http://localhost; --allowed-host NAME admits another name."
        )
    origin = environ.get("HTTP_ORIGIN")
    if origin is not None and origin != f"{environ['wsgi.url_scheme']}://{host}":
        return f"Requests from pages of other sites are refused (Origin {origin[:100]!r})."
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site in {None, "same-origin"}:
        return None
    if site == "none" and not _is_navigation(environ):
        return None
    if _is_navigation(environ) and (is_page(environ) or (site == "none" and _is_presigned(environ))):
        return None
    return (
        f"Requests caused by another site are refused (Sec-Fetch-Site {site[:100]!r}). A link may lead to the "
        f"pages under {PAGES}, in its own tab."
    )


def is_allowed_host(host: str, allowed_hosts: Collection[str] = ()) -> bool:
    """Whether a Host header names this machine (localhost, *.localhost, 127.0.0.0/8, ::1) or is among the names."""
    match = _HOST.fullmatch(host)
    if not match:
        return False
    name = match["name"].lower().removesuffix(".")
    if name in allowed_hosts or name == "localhost" or name.endswith(".localhost"):  # RFC 6761: always this machine
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_page(environ: WSGIEnvironment) -> bool:
    """Whether a request is for a page for people; a GET of one changes nothing."""
    return f"{environ.get('PATH_INFO', '')}/".startswith(PAGES)


def _refuse(environ: WSGIEnvironment, error: CrossOriginRequestError) -> Response:
    if "text/html" in environ.get("HTTP_ACCEPT", ""):  # a browser, which would offer JSON as a download
        return Response(f"{error.code}: {error.message}", error.status, content_type="text/plain; charset=utf-8")
    return denial(environ, scope(environ)[1], error)


def _is_navigation(environ: WSGIEnvironment) -> bool:
    """Whether a browser tab navigates to this address, which shows it to the user and to no other page."""
    return (
        environ["REQUEST_METHOD"] in {"GET", "HEAD"}
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )


def _is_presigned(environ: WSGIEnvironment) -> bool:
    """Whether it is a link to an S3 object, as `aws s3 presign` makes, and not an operation in disguise.

    Sec-Fetch-Site is "none" for an address that a person entered, and stays so where it redirects here.
    """
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    return "Action" not in query and bool({"X-Amz-Signature", "Signature"} & query.keys())
