"""The models that get Dags. An invalid model.yaml breaks no other model's Dags, and is shown in Airflow."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from airflow.sdk import get_parsing_context
from croniter import CroniterError, croniter

from include.models.config import (
    MODELS_FOLDER,
    ConfigError,
    ModelConfig,
    Problem,
    load_model,
    model_names,
    refusal,
)


def usable_models(folder: Path = MODELS_FOLDER) -> list[ModelConfig]:
    """The models whose model.yaml is valid, by name. For the others see ``require_all_models``.

    A task's process needs only its own Dag. If that is named after its model, the other models are not read.
    """
    dag_id, names = get_parsing_context().dag_id or "", model_names(folder)
    return _read([name for name in names if dag_id.endswith(f"_{name}")] or names, folder)[0]


def require_all_models(folder: Path = MODELS_FOLDER) -> None:
    """Checks that every model.yaml is valid.

    Raises:
        ConfigError: with every problem of every model.yaml: file, key, what was found, what is allowed.
    """
    if broken := broken_models(folder):
        raise ConfigError("\n".join(model.reason for model in broken))


@dataclass(frozen=True)
class BrokenModel:
    name: str
    reason: str  # file, line, key, what was found, what is allowed


def broken_models(folder: Path = MODELS_FOLDER) -> list[BrokenModel]:
    """The models whose model.yaml is invalid, by name."""
    return _read(model_names(folder), folder)[1]


def _read(names: list[str], folder: Path) -> tuple[list[ModelConfig], list[BrokenModel]]:
    usable, broken = [], []
    for name in names:
        try:
            model = load_model(name, folder)
            _require_crons(model, folder)
        except ConfigError as error:
            broken.append(BrokenModel(name, str(error)))
        else:
            usable.append(model)
    return usable, broken


def _require_crons(model: ModelConfig, folder: Path) -> None:
    crons = model.schedule.model_dump(exclude_none=True)
    problems = [
        Problem(
            ("schedule", key),
            f"is '{cron}', which is not a cron expression or never fires. Allowed are five fields (minute hour day "
            "month weekday, UTC) such as '0 3 * * 1', or null for no schedule.",
        )
        for key, cron in crons.items()
        if not _comes_up(cron)
    ]
    if problems:
        raise refusal(folder / model.name, problems)


@functools.cache  # called for every Dag file
def _comes_up(cron: str) -> bool:
    """Whether the expression is valid and ever fires: 30 February does not."""
    try:
        croniter(cron).get_next()
    except CroniterError:
        return False
    return True
