"""The form of a scoring run."""

from __future__ import annotations

from typing import get_args

from airflow.sdk import Param

from include.platform.dag_settings import budget_param, day_param, switch_param
from include.score.file_plan import Mode
from include.score.plan import CHAMPION_AT, CURRENT

BY_SIZE = "by size"


def params() -> dict[str, Param]:
    """Scheduled runs leave every field as it is; users enter a day."""
    return {
        "day": day_param("Day", "The day to score. Empty: the day of a scheduled run."),
        "model_version": _version(),
        "challenger": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Challenger",
            description="A version that also scores the day, for its promotion packet; its scores are not published. "
            "Empty: the newest candidate, if model.yaml says challenger.",
        ),
        "several_jobs": switch_param(
            "Score as a large day",
            "In chunks and by several jobs, whatever the day's size: for when one job has too little memory.",
        ),
        "force": _force(),
    }


def backfill_params(models: list[str]) -> dict[str, Param]:
    """Model and days are required."""
    return {
        "model": Param(type="string", enum=models, title="Model", description="The model whose days are scored."),
        "from": Param(type="string", format="date", title="From", description="The first day."),
        "to": Param(type="string", format="date", title="To", description="The last day, inclusive."),
        "model_version": _version(),
        "force": _force(),
        "budget_usd": budget_param("USD that may be spent without asking. Empty: the budget of model.yaml."),
    }


def file_params(models: list[str]) -> dict[str, Param]:
    """Users choose a model; a run started by an arrival needs nothing."""
    return {
        "model": Param(
            None,
            type=["null", "string"],
            enum=[None, *models],
            title="Model",
            description="The file's model. Empty only in runs started by an arrival.",
        ),
        "file": Param(
            None,
            type=["null", "string"],
            title="File",
            description="Its name below inbox/<model>/. Empty: every file there that is not scored yet.",
        ),
        "mode": Param(
            BY_SIZE,
            enum=[BY_SIZE, *get_args(Mode)],
            title="Mode",
            description="job: one job with the champion's artifact. transform: a batch transform, for large files. "
            "endpoint: the production endpoint, in chunks.",
        ),
        "again": switch_param(
            "Score again", "Also files that already have scores, with the current production version."
        ),
    }


def _version() -> Param:
    return Param(
        CHAMPION_AT,
        type=["null", "string"],
        examples=[CHAMPION_AT, CURRENT],
        pattern=rf"^({CHAMPION_AT}|{CURRENT}|[1-9][0-9]*)$",
        title="Model version",
        description=f"{CHAMPION_AT}: the one in production at the day's end; {CURRENT}: the one in production now; "
        "or a version number: Models, in the menu, lists the versions with their metrics.",
    )


def _force() -> Param:
    return switch_param(
        "Score unchanged days too",
        "Score the day even if its raw data, the code and the model are those of its published scores.",
    )
