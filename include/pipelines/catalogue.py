"""The models that Dags are made for. A broken model.yaml takes down nobody else's Dag, and is seen all the same."""

from __future__ import annotations

from pathlib import Path

from croniter import croniter

from include.models.config import MODELS_FOLDER, ConfigError, ModelConfig, load_model, model_names


def usable_models(folder: Path = MODELS_FOLDER) -> list[ModelConfig]:
    """Every model whose model.yaml can be used, by name. For the others see ``require_all_models``."""
    return _read_all(folder)[0]


def require_all_models(folder: Path = MODELS_FOLDER) -> None:
    """Nothing if every model can be used.

    Raises:
        ConfigError: with every problem of every model.yaml: file, key, what was found, what is allowed.
    """
    if problems := _read_all(folder)[1]:
        raise ConfigError("\n".join(problems))


def _read_all(folder: Path) -> tuple[list[ModelConfig], list[str]]:
    usable, problems = [], []
    for name in model_names(folder):
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
                f"{folder.name}/{name}/model.yaml: schedule.{key} is '{cron}', which is no cron expression. Allowed "
                "are five fields (minute hour day month weekday, UTC) such as '0 3 * * 1', or null for no schedule."
            )
    return usable, problems
