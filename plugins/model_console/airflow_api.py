"""Airflow's REST API, called in this process with the rights of the signed-in user.

So Airflow itself refuses what the user may not see or start, and a started run carries the user's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import Request

from model_console.airflow_state import Query
from sagemaker_jobs.kinds import Json

CREDENTIALS = ("authorization", "cookie")
GUARDED = ("host", "origin", "sec-fetch-site")  # passed on, so Airflow's own origin checks still work


class RefusedError(Exception):
    """Airflow refused; ``status`` is the HTTP status; the message is Airflow's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class AirflowApi:
    """A client that acts as the user of one request."""

    app: Any
    headers: Mapping[str, str]

    async def get(self, path: str, **query: Query) -> Json:
        """Raises RefusedError."""
        return await self._ask("GET", path, params=query)

    async def send(self, method: str, path: str, body: Mapping[str, object]) -> Json:
        """Raises RefusedError."""
        return await self._ask(method, path, json=dict(body))

    async def _ask(self, method: str, path: str, **content: Any) -> Json:
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow", headers=self.headers) as client:
            answer = await client.request(method, f"/api/v2{path}", **content)
        if answer.is_error:
            raise RefusedError(answer.status_code, _detail(answer))
        found: Json = answer.json() if answer.content else {}
        return found


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", answer.text)
    except ValueError:
        detail = answer.text
    return str(detail)[:500]


def api_of(request: Request) -> AirflowApi:
    """FastAPI dependency: a client that acts as the request's user."""
    from airflow.api_fastapi.main import app  # the server's own; imported here to avoid an import cycle

    return AirflowApi(app, {name: request.headers[name] for name in CREDENTIALS + GUARDED if name in request.headers})
