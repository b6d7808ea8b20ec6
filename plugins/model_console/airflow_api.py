"""Airflow's REST API, asked in this process with the rights of whoever looks at the page.

So what a person may not see or start is refused by Airflow itself, and what is started carries that person's name.
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
GUARDED = ("host", "origin", "sec-fetch-site")  # Airflow's own checks of where a request comes from see the same


class RefusedError(Exception):
    """Airflow refused; ``status`` is that of HTTP, the message is Airflow's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class AirflowApi:
    """A client of one request's user."""

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
    """FastAPI dependency: Airflow as the request's user."""
    from airflow.api_fastapi.main import app  # the server's own; importing it earlier would be a circle

    return AirflowApi(app, {name: request.headers[name] for name in CREDENTIALS + GUARDED if name in request.headers})
