"""The API: POST /predict, /predict/batch and /events; GET /health, /ready, /metrics; /docs and /openapi.json about it.

What requests may hold is in ``reading``; features that are built already are answered as an endpoint answers them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread
from fastapi import FastAPI, Request, Security
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import APIKeyHeader
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from include.jobs.serve import media_type, read_body
from include.jobs.serving.endpoint import UnavailableError
from include.jobs.serving.payload import FORMATS, JSON, BadRequestError, asks_why
from include.models.quoting import quotes_values, unforeseen
from include.online.gateway import Gateway, Metrics
from include.online.openapi import EXPLAIN, HEALTH, READINESS, REMEMBERED, Described, refusals
from include.online.service import Asked, Content, Service
from include.online.settings import Settings
from include.online.together import Together

SMALL = 1 << 16  # bytes; a larger request is computed alone, so that no other waits for it
AWAITED = 32  # an endpoint's answers at once; what is computed here takes turns at the interpreter, see Together
log = logging.getLogger("online")


class Routes:
    """The handlers of one service."""

    def __init__(self, settings: Settings, service: Service, metrics: Metrics) -> None:
        self._settings, self._service, self._metrics = settings, service, metrics
        local = settings.backend == "local"
        self._limiter = anyio.CapacityLimiter(max(2, os.cpu_count() or 1) if local else AWAITED)
        self._together = Together(service.predict_together, threads=1 if local else AWAITED)

    def add_to(self, api: FastAPI) -> None:
        described = Described(self._service.shape)
        keyed = bool(self._settings.api_keys)
        key = [Security(APIKeyHeader(name="X-Api-Key", auto_error=False))] if keyed else []  # told; Gateway checks it
        refused = refusals(*([401] if keyed else []), 403)
        failing = {**refused, **refusals(400, 413, 415, 500, 503)}
        body: Content = {"requestBody": described.requests()}
        asked, answered = {**body, "parameters": [EXPLAIN]}, {**described.predictions(), **failing}
        for path, handler, summary, told, answers in (
            ("/predict", self.predict, "Answer rows, all of them or none", asked, answered),
            ("/predict/batch", self.predict_batch, "Answer many rows, each on its own", asked, answered),
            ("/events", self.events, "Remember events for later requests", body, {**REMEMBERED, **failing}),
        ):
            api.add_api_route(
                path,
                handler,
                methods=["POST"],
                summary=summary,
                tags=["the model"],
                openapi_extra=told,
                responses=answers,
                dependencies=key,
            )
        looked: Content = {"tags": ["the service"]}
        api.add_api_route("/health", self.health, summary="Whether the program runs", responses=HEALTH, **looked)
        api.add_api_route("/ready", self.ready, summary="Whether it can predict", responses=READINESS, **looked)
        text: Content = {"response_class": PlainTextResponse, "responses": refused, "dependencies": key, **looked}
        api.add_api_route("/metrics", self.measured, summary="Counts and durations, for Prometheus", **text)
        api.add_exception_handler(Exception, self.failed)

    async def predict(self, request: Request) -> JSONResponse:
        why = _asks_why(request)

        async def answer(body: bytes, given: str) -> Content:
            if len(body) <= SMALL:
                return await self._together(Asked(body, given, why))
            return await self._alone(partial(self._service.predict, why=why), body, given)

        return await self._work(request, answer)

    async def predict_batch(self, request: Request) -> JSONResponse:
        return await self._work(
            request, partial(self._alone, partial(self._service.predict_each, why=_asks_why(request)))
        )

    async def events(self, request: Request) -> JSONResponse:
        return await self._work(request, partial(self._alone, self._service.remember))

    async def _alone(self, do: Callable[[bytes, str], Content], body: bytes, given: str) -> Content:
        return await anyio.to_thread.run_sync(do, body, given, limiter=self._limiter)

    async def health(self) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def ready(self) -> JSONResponse:
        model = self._settings.model
        version = await anyio.to_thread.run_sync(self._service.backend.version)
        if version is None:
            return JSONResponse({"status": "not ready", "model": model}, 503)
        return JSONResponse({"status": "ready", "model": model, "version": version.name, "of": version.source})

    async def measured(self) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def failed(self, request: Request, error: Exception) -> JSONResponse:
        message = f"the service failed on this request: {type(error).__name__}. See its log."
        return _refusal(request, 500, message)

    async def _work(self, request: Request, do: Callable[[bytes, str], Awaitable[Content]]) -> JSONResponse:
        most = self._settings.max_bytes
        body = await read_body(request, most)
        given = media_type(request.headers.get("content-type", JSON))
        if body is None:
            return _refusal(request, 413, f"the request is larger than {most} bytes; send fewer rows at once.")
        if given not in FORMATS:
            return _refusal(request, 415, f"content type '{given}' is not understood; use {', '.join(FORMATS)}.")
        try:
            found = await do(body, given)
        except BadRequestError as error:
            return _refusal(request, 400, str(error))
        except UnavailableError as error:
            return _refusal(request, 503, str(error))
        except Exception as error:
            if quotes_values():
                raise
            log.error("the request failed: %s", unforeseen(error))  # noqa: TRY400 - its message is not to be seen
            return await self.failed(request, error)
        self._count(request, found)
        return JSONResponse({"model": self._settings.model, **found, "request_id": request.state.request_id})

    def _count(self, request: Request, found: Content) -> None:
        if "predictions" in found:
            request.state.rows, request.state.version = len(found["predictions"]), found["version"]
            self._metrics.rows.labels(str(found["version"])).inc(request.state.rows)
        for table, counts in found.get("events", {}).items():
            for became, count in counts.items():
                self._metrics.events.labels(table, became).inc(count)


def application(settings: Settings, service: Service, on_close: Callable[[], None] = lambda: None) -> Gateway:
    """The API over a service.

    Args:
        on_close: called when the server ends.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        on_close()

    metrics = Metrics()
    api = FastAPIOffline(  # its page /docs loads nothing from elsewhere
        title=f"{settings.model}: predictions",
        version="1",
        description=service.shape.config.description,
        redoc_url=None,
        lifespan=lifespan,
        swagger_ui_parameters={"validatorUrl": None, "defaultModelsExpandDepth": 0},
    )
    Routes(settings, service, metrics).add_to(api)
    return Gateway(api, settings, metrics)


def _asks_why(request: Request) -> bool:
    """Whether reasons are requested: by ``?explain=true``, or as for endpoints."""
    accept = request.headers.get("accept", "")
    return request.query_params.get("explain") == "true" or asks_why(b"", JSON, accept)


def _refusal(request: Request, status: int, message: str) -> JSONResponse:
    sendable = message.encode(errors="backslashreplace").decode()  # it may quote anything that JSON can spell
    request.state.error = sendable[:300] if quotes_values() else f"a refusal of {len(sendable)} characters"
    return JSONResponse({"error": sendable, "request_id": request.state.request_id}, status_code=status)
