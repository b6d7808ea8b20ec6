"""Common settings of Dags: schedules, retries and callbacks of tasks, fields of forms."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, Context, CronTriggerTimetable, Param
from airflow.sdk.definitions.param import ParamsDict

from include.models.config import nearest
from include.platform.costs import record_job
from include.platform.environment import ml_environment
from include.platform.errors import PermanentError
from include.platform.notifications import notify_failure
from sagemaker_jobs.retries import SageMakerRetryPolicy
from sagemaker_jobs.schedules import schedules_are_off
from sagemaker_jobs.timetables import Arguments, DailyAndOnEventTimetable, DailyTimetable

if TYPE_CHECKING:
    from airflow.sdk.api.datamodels._generated import DagRunType
    from airflow.sdk.bases.timetable import BaseTimetable

    from include.models.config import ModelConfig

# run types of Dags whose runs are not about days: Airflow refuses to backfill them, and the UI does not offer it
NO_BACKFILLS = cast(
    "Collection[DagRunType]", ("manual", "scheduled", "operator_triggered", "asset_triggered", "asset_materialization")
)


def when_triggered() -> DailyTimetable:
    """No schedule, in a form that supports Airflow's questions about backfills."""
    return DailyTimetable(None)


def on_events_of(asset: Asset) -> AssetOrTimeSchedule:
    """A run when the Asset is updated, and at no other time.

    Airflow rejects backfills of a purely Asset-based schedule as "non-periodic".
    """
    never = cast("BaseTimetable", when_triggered())  # Airflow accepts the scheduler's timetables too
    return AssetOrTimeSchedule(assets=asset, timetable=never)


def next_time_only(cron: str | None) -> CronTriggerTimetable | DailyTimetable:
    """A schedule (UTC) whose first run after the Dag is unpaused is the next one due.

    Neither ``run_immediately=False`` nor a start date does this: with both, Airflow 3.3 may start the latest past run
    at once (https://github.com/apache/airflow/blob/3.3.1/airflow-core/src/airflow/timetables/trigger.py).
    """
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0)) if cron else when_triggered()


def trained(cron: str | None) -> CronTriggerTimetable | DailyTimetable:
    """``next_time_only``, unless schedules are off."""
    off = cron is not None and schedules_are_off()
    return DailyTimetable(None, off=True) if off else next_time_only(cron)


def daily(cron: str | None) -> DailyTimetable:
    """A daily schedule (UTC) whose runs are about days. ``cron``: when the day that ended is run; None: days run only
    in backfills and on request."""
    return DailyTimetable(**_times(cron))


def scores_asset(model: str) -> Asset:
    """A model's published scores; the partition of each of its events is a day."""
    return Asset(f"{model}_scores")


def daily_and_when_scored(cron: str | None, model: str) -> DailyAndOnEventTimetable:
    """``daily``, plus a run for a day whenever that day's scores of the model are published."""
    return DailyAndOnEventTimetable(assets=scores_asset(model), **_times(cron))


def _times(cron: str | None) -> Arguments:
    if cron is None:
        return {"delay": None, "off": False}
    minute, hour, *_ = cron.split()
    return {"delay": timedelta(hours=int(hour), minutes=int(minute)), "off": schedules_are_off()}


FOR_ANY_MODEL = "Any model"
FOUR_DAGS = """**A model has four Dags**, which hand over to each other: `train_{0}` registers a version of it,
`deploy_{0}` brings an approved version into production, `score_{0}` scores each day with the version in production,
`monitor_{0}` watches the scores and asks for a training when they get worse. `backfill`, `rollback` and `retire` serve
all models."""


def of_model(verb: str, model: ModelConfig, *, does: str, runbook: str | None) -> dict[str, Any]:
    """Name, description, documentation and task defaults of a model's Dag.

    Args:
        does: what its runs do, for the list of Dags.
        runbook: its documentation, shown below the model's description.
    """
    name = in_words(model.name)
    return {
        "dag_id": f"{verb}_{model.name}",
        "dag_display_name": f"{name}: {verb}",
        "description": f"{does}: {model.description}",
        "doc_md": f"# {name}: {verb}\n\n{model.description}\n\n{FOUR_DAGS.format(model.name)}\n\n{runbook}",
        "tags": [name, verb],
        "user_defined_macros": {"ml_environment": ml_environment},
        "default_args": task_defaults(model.owner, model.name),
    }


def in_words(name: str) -> str:
    """A model's name for display."""
    words = name.replace("_", " ")
    return f"{words[:1].upper()}{words[1:]}"


def task_defaults(owner: str, model: str | None = None) -> dict[str, Any]:
    """``default_args`` of every Dag; ``model`` None for a Dag that serves all models.

    The execution timeout covers time in a worker; a deferred wait is bounded by the job's own runtime limit.
    """
    return {
        "owner": owner,
        "region_name": "{{ ml_environment().region }}",
        # waits an hour and a quarter for capacity; if one job in twenty fails, three tries would leave a day without
        # scores in one of six backfills of a year
        "retries": 4,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(minutes=15),
        "retry_policy": SageMakerRetryPolicy(),
        "on_success_callback": partial(record_job, model=model),
        "on_retry_callback": partial(record_job, model=model),
        "on_failure_callback": [partial(record_job, model=model), notify_failure],
    }


def for_any_model(owners: Mapping[str, str]) -> dict[str, Any]:
    """Settings of a Dag that users start for a model of their choice.

    Args:
        owners: by model; the owner of the run's model is notified of failures.
    """
    return {
        "schedule": when_triggered(),
        "tags": [FOR_ANY_MODEL],
        "allowed_run_types": NO_BACKFILLS,
        "is_paused_upon_creation": False,  # only users start it, and should not have to unpause it first
        "user_defined_macros": {"ml_environment": ml_environment},
        "default_args": {
            **task_defaults(", ".join(sorted(set(owners.values())))),
            "on_failure_callback": [record_job, partial(notify_failure, owners=owners)],
        },
    }


def with_form(dag: DAG, params: dict[str, Param]) -> DAG:
    """Attaches a form to a Dag after its tasks were created, as Airflow's own converter does.

    Otherwise each task would keep a deep copy of the form, made again for each class that its operator derives from,
    and every default would be checked against its schema at every parse: together more than half of the time it takes
    to create a Dag. Tasks need no copy, since a run's values are those of the Dag's form. A test checks the defaults
    against their schemas, and Airflow checks the values when a run starts.
    """
    object.__setattr__(dag, "params", ParamsDict(params))
    return dag


def require_fields(context: Context) -> None:
    """Raises PermanentError for a field that the Dag's form does not have: Airflow lets a program send one."""
    fields = list(context["dag"].params)
    for name in context["params"]:
        if name not in fields:
            raise PermanentError(f"the form has no field '{name}'. {nearest(name, fields)}")


def switch_param(title: str, description: str) -> Param:
    """A checkbox. It may be null, so that Airflow does not mark it as required."""
    return Param(False, type=["null", "boolean"], title=title, description=description)


def version_param(description: str, page: str) -> Param:
    """A version's number. Airflow's forms are fixed when a Dag file is parsed, without calls to AWS, so this one cannot
    list the versions: it leads to the form that does.

    Args:
        page: of the console.
    """
    listed = f"[Choose it from a list]({page}): the model's page has the same form, with every version and its metrics."
    return Param(None, type=["null", "integer"], minimum=1, title="Version", description_md=f"{description} {listed}")


def budget_param(description: str) -> Param:
    return Param(None, type=["null", "number"], minimum=0, title="Budget", description=description)


def day_param(title: str, description: str) -> Param:
    return Param(None, type=["null", "string"], format="date", title=title, description=description)
