"""The job that joins labels with the scores they are about."""

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
