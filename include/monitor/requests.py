"""The jobs of monitoring: one joins labels with the scores they are about, one counts an endpoint's requests."""

from __future__ import annotations

from collections.abc import Iterable

from include.models.config import ModelConfig
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, Source, processing
from include.platform.run_folders import Run


def join_labels(
    model: ModelConfig, environment: MlEnvironment, run: Run, *, days: Iterable[str], windows: Iterable[str]
) -> Request:
    """``days``: those with new labels; ``windows``: those of which only days before have changed."""
    reaching = ["--windows", *windows]
    return processing(
        model,
        environment,
        run,
        "join_labels",
        inputs={"given": Source(run.label_inputs, data_type="ManifestFile")},
        outputs={"performance": run.joined_labels},
        arguments=["--days", *days, *(reaching if len(reaching) > 1 else [])],
        compute=model.daily_scoring.model_copy(update={"instance_count": 1}),
    )


def count_captures(
    model: ModelConfig, environment: MlEnvironment, run: Run, *, day: str, since: str, artifact: str
) -> Request:
    """``artifact``: of the version in production, ``since`` when (ISO 8601)."""
    return processing(
        model,
        environment,
        run,
        "count_captures",
        inputs={"captured": Source(run.traffic_inputs, data_type="ManifestFile"), "artifact": artifact},
        outputs={"counted": run.counted_captures},
        arguments=["--day", day, "--since", since],
        compute=model.processing.model_copy(update={"instance_count": 1}),
    )
