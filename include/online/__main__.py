"""Runs the service: ``python -m include.online``. For its configuration see ``settings``."""

from __future__ import annotations

import json
import logging
import os
import sys

import boto3
import uvicorn

from include.jobs.serving.endpoint import runtime_client
from include.models.config import ConfigError, load_model
from include.models.errors import JobError
from include.models.loader import feature_builder
from include.models.quoting import SILENT
from include.online.answering import Answering
from include.online.app import application
from include.online.backends import Backend, EndpointBackend, LocalBackend, Version, champion_in
from include.online.filling import Filler
from include.online.gateway import Gateway
from include.online.service import Service
from include.online.settings import Settings
from include.online.shape import Shape
from include.online.state import FeatureState, open_store
from include.platform.borders import model_group

GRACE_SECONDS = 25


def backend_of(settings: Settings) -> Backend:
    """The configured backend, not started yet."""
    if settings.backend == "endpoint":
        endpoint = settings.endpoint or f"{model_group(settings.model)}-production"
        return EndpointBackend(runtime_client(), endpoint, settings.target_variant)
    otherwise = Version(settings.version, settings.artifact) if settings.artifact else None
    s3 = boto3.client("s3")
    champion = champion_in(s3, settings.bucket, settings.model, otherwise)
    return LocalBackend(load_model(settings.model), champion, s3)


def gateway_of(settings: Settings) -> Gateway:
    """The whole service, its backend started.

    Raises:
        JobError, ConfigError: the settings name something that does not exist.
    """
    config = load_model(settings.model)
    if not config.quotes_values:
        os.environ.update(SILENT)
    shape = Shape(config)
    state = FeatureState(shape, open_store(settings.state)) if settings.state else None
    backend = backend_of(settings)
    backend.start()
    if state and shape.looks_back:
        Filler(boto3.client("s3"), settings.bucket, shape, state).start()
    answering = Answering(shape, feature_builder(settings.model), backend, state)
    return application(settings, Service(shape, answering, backend, state, settings.max_rows), backend.close)


class JsonLines(logging.Formatter):
    """One line of JSON per record; request records are JSON already."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage()
        if said.startswith("{"):
            return said
        more = {"trace": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({"time": self.formatTime(record), "level": record.levelname, "message": said, **more})


def main() -> int:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("botocore").setLevel(logging.WARNING)
    try:
        settings = Settings.from_environment()
        gateway = gateway_of(settings)
    except (JobError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    uvicorn.run(
        gateway,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
