"""Jobs that send scores on."""

from __future__ import annotations

from include.models.config import ModelConfig
from include.platform.environment import VARIABLE, MlEnvironment
from include.platform.request_parts import Request, RequestError, processing
from include.platform.storage import Run


def check_kafka(model: ModelConfig, environment: MlEnvironment, run: Run) -> Request:
    return _with_kafka(environment, processing(model, environment, run, "check_kafka", inputs={}, outputs={}))


def send_scores(model: ModelConfig, environment: MlEnvironment, run: Run, *, scores: str) -> Request:
    """``scores`` is the S3 URI of a published partition's folder."""
    request = processing(model, environment, run, "send_scores", inputs={"scores": scores}, outputs={})
    return _with_kafka(environment, request)


def _with_kafka(environment: MlEnvironment, request: Request) -> Request:
    """The request with what the job has to know of the brokers; the secret's name, never what it holds."""
    if environment.kafka is None:
        raise RequestError(f"the Variable {VARIABLE} has no kafka: give it bootstrap_servers and how to log in")
    found = environment.kafka.model_dump(exclude_none=True)
    request["Environment"] |= {f"KAFKA_{name.upper()}": value for name, value in found.items()}
    return request
