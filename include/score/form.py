"""The form of a scoring run."""

from __future__ import annotations

from airflow.sdk import Param

from include.platform.dag_settings import day_param
from include.score.plan import CHAMPION_AT, CURRENT


def params() -> dict[str, Param]:
    """Every field may be left as it is in a scheduled run; a person enters a day."""
    return {
        "day": day_param("Day", "The day to score. Empty: the day that a scheduled run is about."),
        "model_version": _version(),
        "several_jobs": Param(
            False,
            type="boolean",
            title="Score as a large day",
            description="In chunks and by several jobs, whatever the day's size: where one job has too little memory.",
        ),
        "force": _force(),
    }


def backfill_params(models: list[str]) -> dict[str, Param]:
    """Model and days have to be given."""
    return {
        "model": Param(type="string", enum=models, title="Model", description="Whose days are scored."),
        "from": Param(type="string", format="date", title="From", description="The first day."),
        "to": Param(type="string", format="date", title="To", description="The last day, itself among them."),
        "model_version": _version(),
        "force": _force(),
        "budget_usd": Param(
            None,
            type=["null", "number"],
            minimum=0,
            title="Budget",
            description="USD that may be spent without asking. Empty: the budget of model.yaml.",
        ),
    }


def _version() -> Param:
    return Param(
        CHAMPION_AT,
        type="string",
        pattern=rf"^({CHAMPION_AT}|{CURRENT}|[1-9][0-9]*)$",
        title="Model version",
        description=f"{CHAMPION_AT}: the one in production at the day's end; {CURRENT}: the one in production now; "
        "or a version number of the Model Registry.",
    )


def _force() -> Param:
    return Param(
        False,
        type="boolean",
        title="Score unchanged days too",
        description="Score the day even if its raw data, the code and the model are those of its published scores.",
    )
