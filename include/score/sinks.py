"""Requests for the jobs that send a day's published scores to the model's sinks.

Sinks' configuration is in ``include.models.config.sinks``, their jobs' code in ``include.jobs.sinks``.
"""

from __future__ import annotations

from include.models.config import ModelConfig
from include.platform.environment import VARIABLE, MlEnvironment
from include.platform.request_parts import Request, RequestError, Source, processing
from include.platform.run_folders import Run

LONGEST_VALUE = 256  # characters of a processing job's environment variable


def check_sink(model: ModelConfig, environment: MlEnvironment, run: Run, sink: str) -> Request:
    """The job that checks that the sink can be reached."""
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
    """Adds what the job must know about the sink, as ``<SINK>_<SETTING>``: of a secret only its name, never its
    content."""
    connection = environment.connection(sink)
    if connection is None:
        raise RequestError(f"the Variable {VARIABLE} has no {sink}: add the sink's connection there")
    settings = connection.model_dump(exclude_none=True)
    for name, value in settings.items():
        request["Environment"] |= _in_parts(f"{sink}_{name}".upper(), value)
    return request


def _in_parts(name: str, value: str) -> dict[str, str]:
    """Splits a comma-separated list into ``NAME``, ``NAME_2`` and so on, as SageMaker limits a processing job's
    variable to 256 characters.

    Raises:
        RequestError: a single item is longer.
    """
    parts: list[str] = []
    for item in value.split(","):
        if len(item) > LONGEST_VALUE:
            raise RequestError(f"{VARIABLE}: {name.lower()} has {len(item)} characters; jobs accept {LONGEST_VALUE}")
        if parts and len(parts[-1]) + 1 + len(item) <= LONGEST_VALUE:
            parts[-1] += f",{item}"
        else:
            parts.append(item)
    return {name if number == 1 else f"{name}_{number}": part for number, part in enumerate(parts, 1)}
