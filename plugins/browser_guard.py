"""Protects the API server of a laptop or of the containers, where nobody signs in, from other web pages.

Every request there has an administrator's rights (``simple_auth_manager_all_admins``), and a browser lets any page send
one: ``POST /api/v2/assets/<id>/materialize`` has no body, so it needs no CORS preflight, and starts a run. A page whose
DNS name is rebound to 127.0.0.1 could do anything. So a request must name a host of this machine, and its browser must
not report that another page caused it. A link from elsewhere may open a page in a tab.

Active where ``API_SERVER_ALLOWED_HOSTS`` lists the server's host names, separated by commas. MWAA has its own sign-in
and does not set it.

https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class BrowserGuard:
    """ASGI middleware: answers 403 to what a page of another origin sends."""

    def __init__(self, app: AsgiApp, allowed_hosts: Collection[str]) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        reason = refusal(scope, self._allowed_hosts) if scope["type"] in {"http", "websocket"} else None
        if reason is None:
            await self._app(scope, receive, send)
            return
        log.warning("refused %s %r: %s", scope.get("method", "websocket"), scope["path"], reason)
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": reason.encode()})


def refusal(scope: Message, allowed_hosts: Collection[str]) -> str | None:
    """Why the request is refused: it may come from a page of another origin. None if it is allowed."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get("host", "")
    if host.rpartition(":")[0].lower() not in allowed_hosts and host.lower() not in allowed_hosts:
        return f"The Host {host[:100]!r} is not listed in API_SERVER_ALLOWED_HOSTS."
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return f"Requests from pages of other sites are refused (Origin {origin[:100]!r})."
    site = headers.get("sec-fetch-site")
    if site in {None, "none", "same-origin"} or _opens_a_tab(scope, headers):
        return None
    return f"Requests caused by another site are refused (Sec-Fetch-Site {site[:100]!r})."


def _opens_a_tab(scope: Message, headers: dict[str, str]) -> bool:
    return (
        scope.get("method") in {"GET", "HEAD"}
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _middlewares() -> list[dict[str, Any]]:
    listed = os.environ.get("API_SERVER_ALLOWED_HOSTS", "")
    hosts = frozenset(name.strip().lower() for name in listed.split(",") if name.strip())
    if not hosts:
        return []
    return [{"name": "browser guard", "middleware": BrowserGuard, "kwargs": {"allowed_hosts": hosts}}]


class BrowserGuardPlugin(AirflowPlugin):
    name = "browser_guard"
    fastapi_root_middlewares = _middlewares()
