"""The console: a page in the Airflow UI that shows all of a team's models. ``model_console`` builds it.

Every process of Airflow loads this file, a task's too, so it imports nothing: the first request imports the console, in
the API server only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/models"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def console(scope: Message, receive: Receive, send: Send) -> None:
    """ASGI application."""
    from model_console.app import app

    await app()(scope, receive, send)


class ModelConsole(AirflowPlugin):
    """Adds the console to Airflow's menu."""

    name = "model_console"
    fastapi_apps = [{"app": console, "url_prefix": PREFIX, "name": "Models"}]  # noqa: RUF012 - as Airflow declares it
    external_views = [  # noqa: RUF012
        {"name": "Models", "href": f"{PREFIX}/", "destination": "nav", "url_route": "models", "nav_top_level": True}
    ]
