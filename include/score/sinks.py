"""The jobs that send a day's published scores to a sink that the model declares.

A sink's own section and connection are in ``include.models.config.sinks``, what its jobs do in ``include.jobs.sinks``.
"""

from __future__ import annotations

from include.models.config import ModelConfig
from include.platform.environment import VARIABLE, MlEnvironment
from include.platform.request_parts import Request, RequestError, Source, processing
from include.platform.run_folders import Run

LONGEST_VALUE = 256  # characters of a processing job's environment variable


def check_sink(model: ModelConfig, environment: MlEnvironment, run: Run, sink: str) -> Request:
    """Looks whether the sink can be sent to."""
    request = processing(model, environment, run, "check_sink", inputs={}, outputs={}, arguments=["--sink", sink])
    return _connect(environment, sink, request)


def send_scores(
    model: ModelConfig, environment: MlEnvironment, run: Run, sink: str, *, scores: str | Source
) -> Request:
    """``scores`` is the S3 URI of a published partition's folder, or a manifest of several."""
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
    for name, value in settings.items():
        request["Environment"] |= _in_parts(f"{sink}_{name}".upper(), value)
    return request


def _in_parts(name: str, value: str) -> dict[str, str]:
    """A list with commas as ``NAME``, ``NAME_2`` and so on, as SageMaker takes 256 characters of a processing job's
    variable.

    Raises:
        RequestError: one item alone is longer.
    """
    parts: list[str] = []
    for item in value.split(","):
        if len(item) > LONGEST_VALUE:
            raise RequestError(f"{VARIABLE}: {name.lower()} has {len(item)} characters; jobs take {LONGEST_VALUE}")
        if parts and len(parts[-1]) + 1 + len(item) <= LONGEST_VALUE:
            parts[-1] += f",{item}"
        else:
            parts.append(item)
    return {name if number == 1 else f"{name}_{number}": part for number, part in enumerate(parts, 1)}
