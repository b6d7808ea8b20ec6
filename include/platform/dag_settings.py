"""What Dags have in common: when they run, how their tasks are retried and watched, what their forms ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

from airflow.sdk import CronDataIntervalTimetable, CronTriggerTimetable, Param

from include.models.config import ModelConfig, Strategy
from include.platform.notifications import notify_failure

AS_CONFIGURED = "as in model.yaml"
INSTANCE_TYPES = ["ml.m5.large", "ml.m5.xlarge", "ml.m5.2xlarge", "ml.m5.4xlarge", "ml.c5.2xlarge", "ml.c5.4xlarge"]


def next_time_only(cron: str | None) -> CronTriggerTimetable | None:
    """A schedule (UTC) whose first run after the Dag is switched on is the next one to come.

    Neither ``run_immediately=False`` nor a start date says so: with both Airflow 3.3 may start the latest past run at
    once (https://github.com/apache/airflow/blob/3.3.1/airflow-core/src/airflow/timetables/trigger.py).
    """
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0)) if cron else None


def daily_intervals(cron: str | None) -> CronDataIntervalTimetable | None:
    """A daily schedule (UTC) of data intervals, not of trigger times: a backfill from a day to a day is about those."""
    return CronDataIntervalTimetable(cron, timezone="UTC") if cron else None


def task_defaults(model: ModelConfig) -> dict[str, Any]:
    """``default_args`` of every Dag of a model.

    The execution timeout is of the time in a worker: a deferred wait is bounded by the job's own runtime limit.
    """
    return {
        "owner": model.owner,
        "region_name": "{{ ml_environment().region }}",
        # waits an hour and a quarter for capacity; where one job in twenty fails, three tries would leave a day without
        # scores in one of six backfills of a year
        "retries": 4,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=15),
        "execution_timeout": timedelta(minutes=15),
        "on_failure_callback": notify_failure,
    }


def training_params(model: ModelConfig) -> dict[str, Param]:
    """The form of a training run. Every field may be left as it is."""
    known = ", ".join(f"{name} ({value})" for name, value in model.training.hyperparameters.items())
    return {
        "data_from": _day("Data from", "First day of raw data to train on. Empty: from the beginning."),
        "data_to": _day("Data to", "Last day of raw data to train on. Empty: to the end."),
        "hyperparameters": Param(
            {},
            type="object",
            title="Hyperparameters",
            description=f"Values that stand before model.yaml's, as JSON. Known, with their values there: {known}.",
        ),
        "instance_type": Param(
            None,
            type=["null", "string"],
            pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$",
            examples=INSTANCE_TYPES,
            title="Instance type",
            description=f"What to train on. Empty: {model.training.instance_type}.",
        ),
        "tune": Param(
            False,
            type="boolean",
            title="Tune first",
            description="Search hyperparameters in model.yaml's ranges and keep the best. Trains many models.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Register past the champion",
            description="Register even if worse than the approved model. Absolute gates stand all the same.",
        ),
    }


def deployment_params(model: ModelConfig) -> dict[str, Param]:
    """The form of a deployment. Every field may be left as it is."""
    return {
        "version": _version("Which approved version of the model. Empty: the newest approved one."),
        "stages": Param(
            "staging and production",
            enum=["staging and production", "staging"],
            title="Stages",
            description="Staging alone: deployed and tested there, production stays as it is.",
        ),
        "strategy": Param(
            AS_CONFIGURED,
            enum=[AS_CONFIGURED, *get_args(Strategy)],
            title="Traffic shift",
            description=f"How production's traffic moves; model.yaml says {model.serving.deployment.strategy}. "
            "'immediate' heeds no alarms, for when they are going off already.",
        ),
    }


def approval_params() -> dict[str, Param]:
    """What a person may add to an answer."""
    return {
        "reason": Param(
            "",
            type=["null", "string"],
            maxLength=256,
            title="Why",
            description="Kept with the version in the Model Registry. May stay empty.",
        )
    }


def scoring_params() -> dict[str, Param]:
    """The form of a scoring run. Every field may be left as it is where the run has a data interval."""
    return {
        "day": _day("Day", "The day to score. Empty: the day of the run's data interval."),
        "model_version": Param(
            "champion_at",
            type="string",
            pattern=r"^(champion_at|current|[1-9][0-9]*)$",
            title="Model version",
            description="champion_at: the one in production at the day's end; current: the one in production now; or "
            "a version number of the Model Registry.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Score unchanged days too",
            description="Score the day even if its raw data, the code and the model are those of its published scores.",
        ),
    }


def monitoring_params() -> dict[str, Param]:
    return {"day": _day("Day", "The last day to look at. Empty: the day of the run's data interval.")}


def sweep_params() -> dict[str, Param]:
    return {
        "days": Param(
            [],
            type="array",
            items={"type": "string", "format": "date"},
            maxItems=2,
            title="Days",
            description="The first and the last day to look at. Empty: the last days, as many as model.yaml says.",
        )
    }


def rollback_params() -> dict[str, Param]:
    return {"version": _version("Which earlier version. Empty: the one that served before the present one.")}


def response_timeout(model: ModelConfig) -> dict[str, Any]:
    """Arguments of a task that waits for a person. It has no execution timeout: the operator would take that for the
    time to answer."""
    return {"response_timeout": timedelta(hours=model.serving.approval.timeout_hours), "execution_timeout": None}


def _version(description: str) -> Param:
    return Param(None, type=["null", "integer"], minimum=1, title="Version", description=description)


def _day(title: str, description: str) -> Any:
    return Param(None, type=["null", "string"], format="date", title=title, description=description)
