"""Many jobs at once, and the real training Dag, under faults."""

from __future__ import annotations

import signal
import time

from include.ops.local_stack.seed import seed
from tests.faults.dags.one_job import sleeping
from tests.faults.dags.waiting import TRIGGERS, WAITED_FOR
from tests.faults.lab import FaultsError, Lab, Run
from tests.faults.rows import Row

MODEL = "predictive_maintenance"


def many_short_jobs(lab: Lab, count: int = 200) -> Row:
    """Parallel jobs of a second to seven, without retries that could hide a failure: each provokes Airflow's race on
    fast deferrals."""
    row = Row(f"{count} parallel short jobs", injected=count)
    run = lab.start_run("many_jobs", jobs=count)
    try:
        state = lab.wait_run(run, seconds=60 + 4 * count)
    except FaultsError as error:
        row.failures.append(str(error))
        return row
    instances = [task for task in lab.tasks(run) if task["task_id"] == "run_job"]
    row.completed = sum(task["state"] == "success" for task in instances)
    if state != "success":
        row.failures.append(f"{count - row.completed} of {count} failed")
    for task in instances:
        jobs = lab.jobs(Run(run.dag_id, run.run_id, map_index=task["map_index"]))
        row.duplicates += max(0, len(jobs) - 1)
    return row


def training(lab: Lab) -> Row:
    """The training Dag from raw data to registration, while calls are throttled and everything is killed in turn."""
    row = Row("training Dag, throttled, all killed in turn", injected=1)
    seed(lab.settings, MODEL, None, lab.say)
    dag_id = f"train_{MODEL}"
    lab.until(lambda: dag_id in lab.airflow.dag_ids(), dag_id, 120)
    lab.airflow.unpause(dag_id)
    lab.proxy.throttled_share = 0.3
    try:
        run = Run(dag_id, lab.airflow.trigger(dag_id, {}))
        for service in ("scheduler", "triggerer", "dag-processor"):
            time.sleep(15)
            lab.kill_service(f"airflow-{service}", signal.SIGKILL)
        state = lab.wait_run(run, seconds=480)
    except FaultsError as error:
        row.failures.append(str(error))
        return row
    finally:
        lab.proxy.throttled_share = 0.0
    if state != "success":
        row.failures.append(f"{run.run_id} ended as {state}")
        return row
    row.completed = 1
    _count(lab, row)
    return row


def _count(lab: Lab, row: Row) -> None:
    """Each task has exactly one job of its kind, and the registry has one version."""
    client = lab.sagemaker
    processing = client.list_processing_jobs(NameContains=MODEL.replace("_", "-")[:8], MaxResults=100)
    jobs = [job["ProcessingJobName"] for job in processing["ProcessingJobSummaries"]]
    trained = client.list_training_jobs(NameContains="train-model", MaxResults=100)["TrainingJobSummaries"]
    versions = client.list_model_packages(ModelPackageGroupName=MODEL.replace("_", "-"))["ModelPackageSummaryList"]
    expected = {"processing jobs": (len(jobs), 2), "training jobs": (len(trained), 1), "versions": (len(versions), 1)}
    for what, (found, wanted) in expected.items():
        row.duplicates += max(0, found - wanted)
        if found != wanted:
            row.failures.append(f"{found} {what}, not {wanted}")
    active = [job for job in [*processing["ProcessingJobSummaries"]] if job["ProcessingJobStatus"] == "InProgress"]
    row.orphans += len(active)


def waiting(lab: Lab, seconds: float = 120) -> Row:
    """What 500 deferred jobs cost one triggerer: API calls and memory."""
    row = Row(f"{TRIGGERS} deferred jobs, one triggerer", injected=TRIGGERS)
    lab.airflow.call("POST", "/pools", json={"name": "crowd", "slots": 1000, "include_deferred": True})
    lab.sagemaker.create_processing_job(ProcessingJobName=WAITED_FOR, **sleeping(1800))
    before = _memory(lab)
    run = lab.start_run("waiting_crowd")
    try:
        lab.until(lambda: _deferred(lab) == TRIGGERS, f"{TRIGGERS} tasks being deferred", 600)
        lab.until(lambda: _asked(lab) >= TRIGGERS, "each of them having asked once", 120)
        calls, began = _asked(lab), time.monotonic()
        time.sleep(seconds)
        share = (_asked(lab) - calls) / TRIGGERS / ((time.monotonic() - began) / 30)
        memory = _memory(lab)
        row.completed = _deferred(lab)
    except FaultsError as error:
        row.failures.append(str(error))
        return row
    finally:
        lab.set_run_state(run, "failed")
        lab.sagemaker.stop_processing_job(ProcessingJobName=WAITED_FOR)
    row.notes.append(f"{share:.2f} Describe per job and 30 s; triggerer {memory:.0f} MiB, {before:.0f} before")
    if share > 1:
        row.failures.append(f"{share:.2f} Describe calls per job and 30 s, more than 1")
    if memory > 300:
        row.failures.append(f"the triggerer takes {memory:.0f} MiB, more than 300")
    return row


def _deferred(lab: Lab) -> int:
    query = "SELECT count(*) FROM task_instance WHERE dag_id = %s AND state = %s"
    return int(lab.select(query, "waiting_crowd", "deferred")[0][0])


def _asked(lab: Lab) -> int:
    return lab.proxy.calls["DescribeProcessingJob"]


def _memory(lab: Lab) -> float:
    """MiB of the triggerer's processes; shared memory counts once."""
    process = lab.services["airflow-triggerer"].process()
    assert process is not None
    return sum(each.memory_full_info().pss for each in (process, *process.children(recursive=True))) / 2**20
