"""The jobs that send a day's published scores to a sink that the model declares.

What all sinks have in common is here; a sink's own section and connection are in ``include.models.config.sinks``, what
its jobs do in ``include.jobs``.
"""

from __future__ import annotations

from include.models.config import ModelConfig
from include.platform.environment import VARIABLE, MlEnvironment
from include.platform.request_parts import Request, RequestError, processing
from include.platform.storage import Run


def check_sink(model: ModelConfig, environment: MlEnvironment, run: Run, sink: str) -> Request:
    """Looks whether the sink can be sent to."""
    program = model.sinks.declared[sink].check
    return _connect(environment, sink, processing(model, environment, run, program, inputs={}, outputs={}))


def send_scores(model: ModelConfig, environment: MlEnvironment, run: Run, sink: str, *, scores: str) -> Request:
    """``scores`` is the S3 URI of a published partition's folder."""
    program = model.sinks.declared[sink].send
    request = processing(model, environment, run, program, inputs={"scores": scores}, outputs={})
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
