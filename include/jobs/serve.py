"""SageMaker's hosting contract: GET /ping and POST /invocations on port 8080, for endpoints and transform jobs alike.

    python -m include.jobs.serve

Environment:

- ``SAGEMAKER_BIND_TO_PORT``: the port, 8080 unless given
- ``SERVE_HOST``: the address to listen on, all of the container's unless given
- ``SM_MODEL_DIR``: the unpacked model.tar.gz, /opt/ml/model unless given
- ``SAGEMAKER_MAX_PAYLOAD_IN_MB``: the largest request, set by transform jobs; 6 unless given, as InvokeEndpoint allows
- ``EXPLAIN``: set by transform jobs whose answers have reasons, as model.yaml's ``explain`` wants
- ``REQUEST_LOG_S3_URI``: keep requests and answers there, see ``jobs/serving/request_log.py``

The model is loaded once, before the port is opened: /ping answers once there is a model. One thread per core answers
requests; the model's and polars' native code really use the cores in parallel; further requests queue. On SIGTERM,
requests in progress are finished. For the formats of requests and answers see ``jobs/payload.py``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from include.jobs.cli import OPT_ML, run_program
from include.jobs.serving.artifact import LoadedModel, load_artifact
from include.jobs.serving.payload import CSV, FORMATS, BadRequestError, asks_why, parse, render
from include.jobs.serving.request_log import Exchange, RequestLog
from include.models.quoting import quotes_values, unforeseen

GRACE_SECONDS = 25  # SageMaker kills 30 s after SIGTERM
IDLE_SECONDS = (
    120  # longer than the proxy in front keeps a connection, so that it is not closed just as a request arrives
)
EXPLAIN = "EXPLAIN"
OK = 200
SERVER_ERROR = 500
log = logging.getLogger("serve")


def application(loaded: LoadedModel, largest_request: int, request_log: RequestLog | None = None) -> Starlette:
    """The server's routes over one loaded model; ``largest_request`` in bytes."""
    cores = anyio.CapacityLimiter(max(2, os.cpu_count() or 1))

    async def ping(_: Request) -> Response:
        return Response(status_code=OK)

    def kept(request: Request, given: str, body: bytes, answer: Response) -> Response:
        if request_log and answer.status_code < SERVER_ERROR:
            kinds = (request.headers.get("content-type", given), answer.headers["content-type"])
            said = (kinds[1], bytes(answer.body), answer.status_code)
            request_log.keep(Exchange(datetime.now(UTC), request.headers, kinds[0], body, *said))
        return answer

    async def invocations(request: Request) -> Response:
        body = await read_body(request, largest_request)
        given = media_type(request.headers.get("content-type", CSV))
        if body is None:
            too_large = f"the request is larger than {largest_request} bytes; send fewer rows at once"
            return kept(request, given, b"", _refusal(413, too_large))
        if given not in FORMATS:
            unknown = f"content type '{given}' is not understood; use {', '.join(FORMATS)}"
            return kept(request, given, body, _refusal(415, unknown))
        accept = request.headers.get("accept", "")
        wanted = _answer_type(accept, given)
        if wanted is None:
            unable = f"cannot answer as '{accept}'; accept {', '.join(FORMATS)}"
            return kept(request, given, body, _refusal(406, unable))
        answer = await anyio.to_thread.run_sync(_answer, loaded, body, given, wanted, accept, limiter=cores)
        return kept(request, given, body, answer)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        if request_log:
            request_log.close()

    return Starlette(
        routes=[Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])],
        lifespan=lifespan,
    )


async def read_body(request: Request, largest: int) -> bytes | None:
    """The request's body; None if it is too large.

    It is always read to its end: a caller that is still sending would see a broken connection, not the refusal.
    """
    kept, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= largest:
            kept += chunk
    return bytes(kept) if size <= largest else None


def _answer(loaded: LoadedModel, body: bytes, given: str, wanted: str, accept: str) -> Response:
    try:
        return Response(_predictions(loaded, body, given, wanted, accept), media_type=wanted)
    except BadRequestError as error:
        return _refusal(400, str(error))
    except Exception as error:  # noqa: BLE001 - uvicorn would log its message too, which may quote values
        return _failure(error)


def _predictions(loaded: LoadedModel, body: bytes, given: str, wanted: str, accept: str) -> str:
    rows = parse(body, given, loaded.columns)
    found = loaded.answers(rows)
    if asks_why(body, given, accept):
        found = loaded.explained(rows, found, asked=True)
    elif os.environ.get(EXPLAIN):
        found = loaded.explained(rows, found)
    return render(found, wanted)


def media_type(header: str) -> str:
    """The media type of a Content-Type header, without parameters."""
    return header.split(";", 1)[0].strip().lower()


def _answer_type(accept: str, given: str) -> str | None:
    """The first acceptable format; the request's own if any will do."""
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        wanted = media_type(entry)
        if wanted in FORMATS:
            return wanted
        if wanted in ("*/*", "text/*" if given == CSV else "application/*"):
            return given
    return None


def _refusal(status: int, message: str) -> JSONResponse:
    sendable = message.encode(errors="backslashreplace").decode()  # it may quote anything that JSON can contain
    return JSONResponse({"error": sendable}, status_code=status)


def _failure(error: Exception) -> JSONResponse:
    if quotes_values():
        log.error("the request failed", exc_info=error)
    else:
        log.error("the request failed: %s", unforeseen(error))
    return _refusal(500, f"the model failed on this request: {type(error).__name__}. The endpoint's log says more.")


def main(_: list[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    folder = Path(os.environ.get("SM_MODEL_DIR", OPT_ML / "model"))
    try:
        loaded = load_artifact(folder)
    except Exception:
        log.critical("the model in %s cannot be loaded, so nothing is served; the reason follows", folder)
        raise
    log.info("serving %s, trained with code %s", loaded.metadata["model"], loaded.metadata["code_hash"])
    uvicorn.run(
        application(
            loaded,
            int(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "6")) * 1024 * 1024,
            RequestLog.from_environment(),
        ),
        host=os.environ.get("SERVE_HOST", "0.0.0.0"),  # noqa: S104 - inside a container
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=IDLE_SECONDS,
    )


if __name__ == "__main__":
    run_program(main)
