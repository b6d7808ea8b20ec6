"""One policy's local SageMaker, and the Dags' tasks and jobs run in it sequentially."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypedDict, cast

import httpx
from airflow.sdk import Context

from include.models.errors import and_then
from include.ops.local_stack.command import under_way
from include.ops.local_stack.seed import aws_client
from include.ops.local_stack.services import services
from include.ops.local_stack.settings import Settings
from include.platform.environment import VARIABLE
from include.platform.errors import PermanentError
from include.platform.request_parts import Request
from sagemaker_jobs.kinds import Description, JobKind, JobResult, compact
from sagemaker_jobs.names import job_name

READY_SECONDS, LOOK_EVERY = 120.0, 0.5  # looking takes a fiftieth of a second of a processor


class JobCost(TypedDict):
    """A job that ran: seconds of one instance, as measured here, and USD; None if there is no price."""

    task: str
    day: str
    seconds: int
    usd: float | None


class Task(SimpleNamespace):
    """A task instance, as far as the Dags' tasks use it: what they push stays with the run."""

    dag_id: str
    run_id: str
    task_id: str
    values: dict[str, Any]
    log_url, map_index, try_number = "", -1, 1

    def xcom_push(self, key: str, value: object) -> None:
        self.values[key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> object:
        return self.values.get(f"{task_ids} {key}")


def say(text: str) -> None:
    """Progress, while there is no result yet."""
    print(text, file=sys.stderr, flush=True)


def context_of(dag_id: str, run_id: str, **params: object) -> Context:
    """The context of a run's tasks that a person started with these values of the form."""
    run = SimpleNamespace(run_type="manual", run_id=run_id, triggering_user_name=None)
    found = {
        "ti": Task(dag_id=dag_id, run_id=run_id, task_id="", values={}),
        "dag_run": run,
        "run_id": run_id,
        "params": params,
        "task": SimpleNamespace(outlets=[], owner=""),
        "dag": SimpleNamespace(dag_id=dag_id),
        "outlet_events": defaultdict(lambda: SimpleNamespace(add_partitions=lambda days: None)),
    }
    return cast(Context, found)


def values_of(context: Context) -> dict[str, Any]:
    """What the run's tasks have pushed, by key."""
    return cast(Task, context["ti"]).values


@dataclass
class World:
    """``who``: whose world it is, for what is printed; ``jobs``: the jobs that ran in it."""

    settings: Settings
    who: str = "replay"
    jobs: list[JobCost] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Starts the local SageMaker and sets the variables by which tasks find it.

        Raises:
            PermanentError: it does not start.
        """
        service = services(self.settings)[0]
        self.settings.home.mkdir(parents=True, exist_ok=True)
        service.start()
        with and_then(service.stop):
            until = time.monotonic() + READY_SECONDS
            while not _answers(f"{self.settings.sagemaker_url}/_local/health"):
                if time.monotonic() > until:
                    raise PermanentError(f"the local SageMaker does not start: its log is {service.log}")
                time.sleep(LOOK_EVERY)
            os.environ |= {**self.settings.aws_environment(), "AIRFLOW_CONN_AWS_DEFAULT": "aws://"}
            yield

    def use_code(self, code_hash: str) -> None:
        """Sets the Airflow Variable to job code in the bucket, whatever is edited meanwhile."""
        fixed = {"mlflow_tracking_uri": None, "kafka": None, "publish_from": None}
        facts = {**self.settings.ml_environment(code_hash), **fixed}
        os.environ[f"AIRFLOW_VAR_{VARIABLE.upper()}"] = json.dumps(facts)

    def client(self, service: str) -> Any:
        return aws_client(self.settings, service)

    def run(self, kind: JobKind, task_id: str, request: Request, context: Context, day: str) -> JobResult:
        """Runs a job and waits for it.

        Raises:
            PermanentError: it failed.
        """
        sagemaker = self.client("sagemaker")
        name = job_name(kind, Task(**{**vars(context["ti"]), "task_id": task_id}), 1, 1)  # type: ignore[arg-type] # as far as a name needs it
        getattr(sagemaker, f"create_{kind.api}")(**request, **{kind.name_field: name})
        with under_way(f"{self.who}: {task_id} of {day}", say):
            found = _describe(sagemaker, kind, name)
            while not kind.is_over(found):
                time.sleep(LOOK_EVERY)
                found = _describe(sagemaker, kind, name)
        done = compact(kind, found)
        if done["status"] != "Completed":
            why = found.get("FailureReason") or found.get("ExitMessage")
            raise PermanentError(f"{task_id} of {day} failed as job {name}: {why}")
        usd = done.get("cost_usd")
        priced = float(usd) if isinstance(usd, int | float) else None
        self.jobs.append({"task": task_id, "day": day, "seconds": done.get("billable_seconds", 0), "usd": priced})
        return done


def _describe(sagemaker: Any, kind: JobKind, name: str) -> Description:
    found: Description = getattr(sagemaker, f"describe_{kind.api}")(**{kind.name_field: name})
    return found


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False
