"""Airflow Dags with one task each, for faults to strike. The task's job only sleeps.

The run's configuration says how long the job takes, or that it runs until it is told to end (``until_told``) by a file
``<run id>.end`` in the folder FAULTS_MARKERS. It also says where the task pauses to be struck, and for how many seconds
at most: while its request is built (``hold_request``), or in its success callback (``hold_callback``). A file
``<run id>.<place>`` in the same folder tells that a task has reached that place, and ``<run id>.<place>.over`` ends the
pause; a task pauses there only once.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, Context, Param, dag, task

from include.ops.local_stack.settings import ACCOUNT, BUCKET, JOB_IMAGE
from sagemaker_jobs.kinds import Description
from sagemaker_jobs.processing import ProcessingJobOperator
from sagemaker_jobs.retries import SageMakerRetryPolicy
from sagemaker_jobs.training import TuningJobOperator

ROLE = f"arn:aws:iam::{ACCOUNT}:role/ml-jobs"
RESOURCES = {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}
FEW = timedelta(seconds=2)
LONGEST_WAIT = 600  # seconds until a job ends on its own if nobody tells it to


class ImpatientOperator(ProcessingJobOperator):
    """Gives up on a job after seconds."""

    triggerer_may_be_away = timedelta(seconds=5)

    def longest_duration(self, description: Description) -> timedelta:
        return timedelta(seconds=20)


class LingeringOperator(ProcessingJobOperator):
    """Never defers, so that its execution timeout is reached."""

    def _wait_briefly(self, name: str, description: Description) -> Description:
        time.sleep(300)
        return description


def marker(context: Context, place: str) -> Path:
    return Path(os.environ["FAULTS_MARKERS"], f"{context['run_id']}.{place}")


def hold(context: Context, place: str) -> None:
    held = marker(context, place)
    if seconds := 0 if held.exists() else context["params"][f"hold_{place}"]:
        held.touch()
        last = time.monotonic() + seconds
        while time.monotonic() < last and not marker(context, f"{place}.over").exists():
            time.sleep(0.1)


def hold_callback(context: Context) -> None:
    hold(context, "callback")


def sleeping_job(context: Context, seconds: float | None = None) -> dict[str, Any]:
    hold(context, "request")
    params = context["params"]
    if params.get("until_told"):
        return waiting(marker(context, "end"), params["exit_code"])
    return sleeping(params["seconds"] if seconds is None else seconds, params["exit_code"])


def sleeping(seconds: float, exit_code: int = 0) -> dict[str, Any]:
    """A request for a processing job, without its name."""
    return running(f"import time; time.sleep({seconds}); raise SystemExit({exit_code})")


def waiting(told: Path, exit_code: int = 0) -> dict[str, Any]:
    """The same for a job that ends once the file exists."""
    # one line of at most 256 characters: SageMaker accepts no longer entrypoint
    going_on = "lambda: not os.path.exists(sys.argv[1]) and time.time() < end"
    wait = (
        f"import os, sys, time; end = time.time() + {LONGEST_WAIT}; [time.sleep(0.1) for _ in iter({going_on}, False)]"
    )
    return running(f"{wait}; sys.exit({exit_code})", str(told))


def running(program: str, *arguments: str) -> dict[str, Any]:
    given = {"ContainerArguments": list(arguments)} if arguments else {}
    return {
        "RoleArn": ROLE,
        "AppSpecification": {"ImageUri": JOB_IMAGE, "ContainerEntrypoint": ["python", "-c", program], **given},
        "ProcessingResources": {"ClusterConfig": RESOURCES},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def small_search(context: Context) -> dict[str, Any]:
    """A tuning job with two training jobs, which run ``tests/faults/bin/train`` as such jobs name no entrypoint."""
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0.1", "MaxValue": "1"}]},
        },
        "TrainingJobDefinition": {
            "RoleArn": ROLE,
            "Environment": {"SECONDS_TO_SLEEP": str(context["params"]["seconds"])},
            "AlgorithmSpecification": {
                "TrainingImage": JOB_IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
            },
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/faults"},
            "ResourceConfig": RESOURCES,
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }


def one_job(name: str, operator: type[Any], request: Any = sleeping_job, retries: int = 3, **arguments: Any) -> DAG:
    @dag(
        dag_id=name,
        params={
            "seconds": Param(8.0, type="number"),
            "until_told": Param(False, type="boolean"),
            "exit_code": Param(0, type="integer"),
            "hold_request": Param(0.0, type="number"),
            "hold_callback": Param(0.0, type="number"),
        },
        is_paused_upon_creation=False,
        tags=["faults"],
    )
    def flow() -> None:
        job = operator(
            task_id="run_job",
            request=request,
            region_name="us-east-1",
            retries=retries,
            retry_delay=FEW,
            retry_policy=SageMakerRetryPolicy(capacity=FEW, throttling=FEW, quota=FEW),
            on_success_callback=hold_callback,
            pool="default_pool",
            **arguments,
        )

        @task(retries=12, retry_delay=FEW)
        def use_result(result: Any) -> str:
            return str(result["name"])

        use_result(job.output)

    return flow()


one_job("one_job", ProcessingJobOperator, retries=12)  # faults strike together, and each may cost every run an attempt
one_job("one_job_timed_out", LingeringOperator, retries=1, execution_timeout=timedelta(seconds=25))
one_job("one_job_given_up", ImpatientOperator)
one_job("one_search", TuningJobOperator, small_search)


@dag(
    params={
        "seconds": Param(1.0, type="number"),
        "exit_code": Param(0, type="integer"),
        "hold_request": Param(0.0, type="number"),
        "jobs": Param(200, type="integer"),
    },
    is_paused_upon_creation=False,
    max_active_tasks=1000,
    tags=["faults"],
)
def many_jobs() -> None:
    @task
    def list_jobs(**context: Any) -> list[dict[str, float]]:
        # spread, so that some end in the worker's short wait and some shortly after they were deferred
        count, seconds = context["params"]["jobs"], context["params"]["seconds"]
        return [{"seconds": seconds + 6 * number / count} for number in range(count)]

    ProcessingJobOperator.partial(
        task_id="run_job",
        request=sleeping_job,
        region_name="us-east-1",
        retries=0,
        pool="default_pool",
    ).expand(request_kwargs=list_jobs())


many_jobs()
