"""SageMaker's hosting contract: GET /ping and POST /invocations on port 8080, for endpoints and transform jobs alike.

    python -m jobs.serve

Environment:

- ``SAGEMAKER_BIND_TO_PORT``: the port, 8080 unless given
- ``SERVE_HOST``: the address to listen on, all of the container's unless given
- ``SM_MODEL_DIR``: the unpacked model.tar.gz, /opt/ml/model unless given
- ``SAGEMAKER_MAX_PAYLOAD_IN_MB``: the largest request, set by transform jobs; 6 unless given, as InvokeEndpoint allows

The model is loaded once, before the port is opened: /ping answers when there is something to answer with. On SIGTERM
requests under way are finished. What requests and answers look like: ``jobs/payload.py``.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from jobs.artifact import LoadedModel, load_artifact
from jobs.payload import CSV, FORMATS, BadRequestError, parse, render
from jobs.program import run_program

GRACE_SECONDS = 25  # SageMaker kills 30 s after SIGTERM
log = logging.getLogger("serve")


def application(loaded: LoadedModel, largest_request: int) -> Starlette:
    """The server's routes over one loaded model; ``largest_request`` in bytes."""

    async def ping(_: Request) -> Response:
        return Response(status_code=200)

    async def invocations(request: Request) -> Response:
        given = _media_type(request.headers.get("content-type", CSV))
        if given not in FORMATS:
            return _refusal(415, f"content type '{given}' is not understood; use {', '.join(FORMATS)}")
        wanted = _answer_type(request.headers.get("accept", ""), given)
        if wanted is None:
            return _refusal(406, f"cannot answer as '{request.headers['accept']}'; accept {', '.join(FORMATS)}")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > largest_request:
                return _refusal(413, f"the request is larger than {largest_request} bytes; send fewer rows at once")
        try:
            text = await run_in_threadpool(_answer, loaded, bytes(body), given, wanted)
        except BadRequestError as error:
            return _refusal(400, str(error))
        return Response(text, media_type=wanted)

    return Starlette(
        routes=[Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])],
        exception_handlers={Exception: _failure},
    )


def _answer(loaded: LoadedModel, body: bytes, given: str, wanted: str) -> str:
    rows = parse(body, given, loaded.columns)
    return render(loaded.answers(rows), wanted)


def _media_type(header: str) -> str:
    return header.split(";", 1)[0].strip().lower()


def _answer_type(accept: str, given: str) -> str | None:
    """The first acceptable format; as the request's where any will do."""
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        wanted = _media_type(entry)
        if wanted in FORMATS:
            return wanted
        if wanted in ("*/*", "text/*" if given == CSV else "application/*"):
            return given
    return None


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status)


async def _failure(_: Request, error: Exception) -> JSONResponse:
    log.error("the request failed", exc_info=error)
    return _refusal(500, f"the model failed on this request: {type(error).__name__}. The endpoint's log says more.")


def main(_: list[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    loaded = load_artifact(Path(os.environ.get("SM_MODEL_DIR", "/opt/ml/model")))
    log.info("serving %s, trained %s", loaded.metadata["model"], loaded.metadata["trained_at"])
    uvicorn.run(
        application(loaded, int(os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB", "6")) * 1024 * 1024),
        host=os.environ.get("SERVE_HOST", "0.0.0.0"),  # noqa: S104 - inside a container
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080")),
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


if __name__ == "__main__":
    run_program(main)
