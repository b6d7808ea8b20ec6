"""Which requests the API server answers if ``API_SERVER_ALLOWED_HOSTS`` is set."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import browser_guard

HOSTS = frozenset({"127.0.0.1", "localhost", "airflow-api-server"})
OPENS_A_TAB = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def scope(method: str = "POST", kind: str = "http", **headers: str) -> dict[str, Any]:
    named = {"host": "127.0.0.1:8080", **{name.replace("_", "-"): value for name, value in headers.items()}}
    encoded = [(name.encode(), value.encode()) for name, value in named.items()]
    return {"type": kind, "method": method, "path": "/api/v2/assets/1/materialize", "headers": encoded}


def answer(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages that the server sends; an application behind the guard sends one of type "answered"."""
    sent: list[dict[str, Any]] = []

    async def application(*_: Any) -> None:
        sent.append({"type": "answered"})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing of a refused request is read")

    asyncio.run(browser_guard.BrowserGuard(application, HOSTS)(asked, receive, send))
    return sent


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a client of the API, the task SDK
        {"host": "localhost"},
        {"host": "LOCALHOST:8080"},
        {"host": "airflow-api-server:8080"},
        {"origin": "http://127.0.0.1:8080", "sec_fetch_site": "same-origin"},  # the UI
        {"sec_fetch_site": "none"},
    ],
    ids=str,
)
def test_clients_and_the_ui_are_answered(headers: dict[str, str]) -> None:
    assert answer(scope(**headers)) == [{"type": "answered"}]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:8080"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"host": "0.0.0.0:8080"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8080"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "same-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
    ],
    ids=str,
)
def test_what_another_page_sends_is_refused(headers: dict[str, str]) -> None:
    for method in ("POST", "OPTIONS"):
        start, body = answer(scope(method, **headers))
        assert (start["status"], start["type"]) == (403, "http.response.start")
        assert not [name for name, _ in start["headers"] if name.startswith(b"access-control-")]
        assert body["body"]
    assert answer(scope(kind="websocket", **headers)) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_link_opens_a_page_but_fills_no_frame(site: str) -> None:
    link = {"sec-fetch-site": site, **OPENS_A_TAB}
    assert answer(scope("GET", **link)) == [{"type": "answered"}]
    assert answer(scope("GET", **{**link, "sec-fetch-dest": "iframe"}))[0]["status"] == 403
    assert answer(scope("GET", **{**link, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}))[0]["status"] == 403


def test_what_is_not_a_request_passes() -> None:
    assert answer({"type": "lifespan"}) == [{"type": "answered"}]


def test_it_is_active_only_where_hosts_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_ALLOWED_HOSTS", "localhost, 127.0.0.1")
    (middleware,) = browser_guard._middlewares()
    assert middleware["middleware"] is browser_guard.BrowserGuard
    assert middleware["kwargs"] == {"allowed_hosts": {"localhost", "127.0.0.1"}}
    for empty in ("", " , "):
        monkeypatch.setenv("API_SERVER_ALLOWED_HOSTS", empty)
        assert browser_guard._middlewares() == []
    monkeypatch.delenv("API_SERVER_ALLOWED_HOSTS")
    assert browser_guard._middlewares() == []  # as on MWAA
