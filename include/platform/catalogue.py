"""The models that Dags are made for. A broken model.yaml takes down nobody else's Dag, and is seen all the same."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context
from croniter import croniter

from include.models.config import MODELS_FOLDER, ConfigError, ModelConfig, load_model, model_names


def usable_models(folder: Path = MODELS_FOLDER) -> list[ModelConfig]:
    """Every model whose model.yaml can be used, by name. For the others see ``require_all_models``.

    A task's process needs no Dag but its own. Where that is named after its model, the other models are not read.
    """
    dag_id, names = get_parsing_context().dag_id or "", model_names(folder)
    return _read([name for name in names if dag_id.endswith(f"_{name}")] or names, folder)[0]


def require_all_models(folder: Path = MODELS_FOLDER) -> None:
    """Nothing if every model can be used.

    Raises:
        ConfigError: with every problem of every model.yaml: file, key, what was found, what is allowed.
    """
    if problems := _read(model_names(folder), folder)[1]:
        raise ConfigError("\n".join(problems))


def _read(names: list[str], folder: Path) -> tuple[list[ModelConfig], list[str]]:
    usable, problems = [], []
    for name in names:
        try:
            model = load_model(name, folder)
        except ConfigError as error:
            problems.append(str(error))
            continue
        crons = model.schedule.model_dump(exclude_none=True)
        wrong = {key: cron for key, cron in crons.items() if not croniter.is_valid(cron)}
        if not wrong:
            usable.append(model)
        for key, cron in wrong.items():
            problems.append(
                f"{folder.name}/{name}/model.yaml: schedule.{key} is '{cron}', which is not a cron expression. Allowed "
                "are five fields (minute hour day month weekday, UTC) such as '0 3 * * 1', or null for no schedule."
            )
    return usable, problems
