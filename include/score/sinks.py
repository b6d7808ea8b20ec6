"""The jobs that send a day's published scores to a sink that the model declares.

A sink's own section and connection are in ``include.models.config.sinks``, what its jobs do in ``include.jobs.sinks``.
"""

from __future__ import annotations

from include.models.config import ModelConfig
from include.platform.environment import VARIABLE, MlEnvironment
from include.platform.request_parts import Request, RequestError, processing
from include.platform.storage import Run


def check_sink(model: ModelConfig, environment: MlEnvironment, run: Run, sink: str) -> Request:
    """Looks whether the sink can be sent to."""
    request = processing(model, environment, run, "check_sink", inputs={}, outputs={}, arguments=["--sink", sink])
    return _connect(environment, sink, request)


def send_scores(model: ModelConfig, environment: MlEnvironment, run: Run, sink: str, *, scores: str) -> Request:
    """``scores`` is the S3 URI of a published partition's folder."""
    request = processing(
        model, environment, run, "send_scores", inputs={"scores": scores}, outputs={}, arguments=["--sink", sink]
    )
    return _connect(environment, sink, request)


def _connect(environment: MlEnvironment, sink: str, request: Request) -> Request:
    """The request with what the job has to know of the sink, as ``<SINK>_<SETTING>``: of a secret its name, never what
    it holds."""
    connection = environment.connection(sink)
    if connection is None:
        raise RequestError(f"the Variable {VARIABLE} has no {sink}: give it what the sink is reached by")
    settings = connection.model_dump(exclude_none=True)
    request["Environment"] |= {f"{sink}_{name}".upper(): value for name, value in settings.items()}
    return request
