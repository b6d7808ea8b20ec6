"""The faults, and the promises after each: the run ends, no job is paid for twice, none is left running."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tests.faults.lab import Lab, Run
from tests.faults.proxy import Rule
from tests.faults.rows import Fault, Row, Struck, measure

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
BRIEF = 10.0  # seconds of a job that no fault has to strike
PAUSE = 120.0  # seconds in which a fault strikes; the pause ends once it has


# --- Airflow's processes end, at each phase of a task

Kill = Callable[[Lab, Run, signal.Signals], None]


def _before_submit(lab: Lab, kill: Callable[[Run], None]) -> Run:
    run = lab.start_run(seconds=BRIEF, hold_request=PAUSE)
    lab.wait_marker(run, "request")
    kill(run)
    lab.end_pause(run, "request")
    return run


def _after_submit(lab: Lab, kill: Callable[[Run], None]) -> Run:
    run = lab.start_run(until_told=True)
    lab.wait_job(run, "InProgress")
    kill(run)
    lab.end_job(run)
    return run


def _while_deferred(lab: Lab, kill: Callable[[Run], None]) -> Run:
    run = lab.start_run(until_told=True)
    lab.wait_task(run, "deferred")
    kill(run)
    lab.end_job(run)
    return run


def _after_the_job(lab: Lab, kill: Callable[[Run], None]) -> Run:
    run = lab.start_run(until_told=True)
    lab.wait_task(run, "deferred")
    lab.end_job(run)
    lab.wait_job(run, "Completed")
    kill(run)
    return run


def _in_callback(lab: Lab, kill: Callable[[Run], None]) -> Run:
    run = lab.start_run(seconds=1, hold_callback=PAUSE)
    lab.wait_marker(run, "callback")
    kill(run)
    lab.end_pause(run, "callback")
    return run


PHASES = {
    "before submit": _before_submit,
    "after submit, before defer": _after_submit,
    "while deferred": _while_deferred,
    "after the job, before resume": _after_the_job,
    "in the success callback": _in_callback,
}


def _worker_kills() -> list[Fault]:
    """A deferred task has no worker, so two of the phases have none to kill."""

    def fault(phase: str, how: signal.Signals) -> Fault:
        def strike(lab: Lab) -> list[Struck]:
            return [Struck(PHASES[phase](lab, lambda run: lab.kill_worker(run, how)))]

        return Fault(f"{how.name} worker {phase}", strike)

    phases = ("before submit", "after submit, before defer", "in the success callback")
    return [fault(phase, how) for phase in phases for how in SIGNALS]


def _service_kills(service: str) -> list[Fault]:
    def fault(phase: str, how: signal.Signals) -> Fault:
        def strike(lab: Lab) -> list[Struck]:
            return [Struck(PHASES[phase](lab, lambda run: lab.kill_service(f"airflow-{service}", how)))]

        return Fault(f"{how.name} {service} {phase}", strike)

    return [fault(phase, how) for phase in PHASES for how in SIGNALS]


# --- a person ends the task or its run, or it times out


def _mark_failed_in_worker(lab: Lab) -> list[Struck]:
    run = lab.start_run(until_told=True)
    lab.wait_job(run, "InProgress")
    lab.set_task_state(run, "failed")
    return [Struck(run, "failed")]


def _mark_failed_before_submit(lab: Lab) -> list[Struck]:
    """Airflow ends the process only seconds later, at its next heartbeat."""
    run = lab.start_run(until_told=True, hold_request=PAUSE)
    lab.wait_marker(run, "request")
    lab.set_task_state(run, "failed")
    return [Struck(run, "failed", jobs=0)]


def _mark_failed_deferred(lab: Lab) -> list[Struck]:
    run = lab.start_run(until_told=True)
    lab.wait_trigger(run)
    lab.set_task_state(run, "failed")
    return [Struck(run, "failed")]


def _mark_success_deferred(lab: Lab) -> list[Struck]:
    run = lab.start_run(until_told=True)
    lab.wait_trigger(run)
    lab.set_task_state(run, "success")
    return [Struck(run, "failed")]  # the next task has no result to use


def _run_failed_deferred(lab: Lab) -> list[Struck]:
    run = lab.start_run(until_told=True)
    lab.wait_trigger(run)
    lab.set_run_state(run, "failed")
    return [Struck(run, "failed")]


def _run_failed_in_worker(lab: Lab) -> list[Struck]:
    run = lab.start_run(until_told=True)
    lab.wait_job(run, "InProgress")
    lab.set_run_state(run, "failed")
    return [Struck(run, "failed")]


def _clear_deferred(lab: Lab) -> list[Struck]:
    """The running job is stopped and the task runs again, or the new try comes first and attaches to the job."""
    run = lab.start_run(until_told=True)
    lab.wait_trigger(run)
    cleared = lab.task(run)["try_number"]
    lab.clear_task(run)
    lab.until(lambda: lab.task(run)["try_number"] > cleared, f"another try of {run.run_id}", 120)
    lab.wait_task(run, "deferred")
    lab.end_job(run)
    lab.until(lambda: lab.task(run)["state"] == "success", f"{run.run_id} having its job done", 120)
    return [Struck(run, jobs=min(2, len(lab.jobs(run))))]


def _clear_in_worker(lab: Lab) -> list[Struck]:
    run = lab.start_run(until_told=True)
    lab.wait_job(run, "InProgress")
    lab.clear_task(run)
    lab.until(lambda: len(lab.jobs(run)) == 2, f"a second job of {run.run_id}", 120)
    lab.end_job(run)
    return [Struck(run, jobs=2)]


def _clear_finished(lab: Lab) -> list[Struck]:
    run = lab.start_run(seconds=1)
    lab.wait_run(run)
    lab.clear_task(run)
    lab.until(lambda: len(lab.jobs(run)) == 2, f"a second job of {run.run_id}", 120)
    return [Struck(run, jobs=2)]


def _execution_timeout(lab: Lab) -> list[Struck]:
    """Each of the two tries starts a job, times out and stops it."""
    return [Struck(lab.start_run("one_job_timed_out", until_told=True), "failed", jobs=2)]


def _given_up_by_trigger(lab: Lab) -> list[Struck]:
    run = lab.start_run("one_job_given_up", until_told=True)
    lab.wait_job(run, "Stopping", "Stopped")
    lab.wait_job(run, "InProgress", attempt=2)
    lab.set_task_state(run, "failed")
    return [Struck(run, "failed", jobs=2)]


def _given_up_without_triggerer(lab: Lab) -> list[Struck]:
    """The scheduler ends the deferral; a worker stops the job."""
    run = lab.start_run("one_job_given_up", until_told=True)
    lab.wait_task(run, "deferred")
    triggerer = lab.away("airflow-triggerer")
    try:
        lab.wait_job(run, "Stopping", "Stopped")
        lab.wait_job(run, "InProgress", attempt=2)
    finally:
        triggerer.start()
    lab.wait_task(run, "deferred")
    time.sleep(6)
    lab.set_task_state(run, "failed")
    return [Struck(run, "failed", jobs=2)]


# --- AWS misbehaves


def _lost_create_answer(lab: Lab) -> list[Struck]:
    run = lab.start_run(seconds=BRIEF, hold_request=3)
    lab.proxy.add(Rule("CreateProcessingJob", run.job(), times=1))
    return [Struck(run)]


def _lost_create_answers(lab: Lab) -> list[Struck]:
    """More errors than the client retries; the task's next try finds the job."""
    run = lab.start_run(until_told=True, hold_request=3)
    lab.proxy.add(Rule("CreateProcessingJob", run.job(), times=1))
    lab.proxy.add(Rule("CreateProcessingJob", run.job(), times=10, code="InternalFailure", status=500))
    lab.wait_task(run, "deferred")
    lab.end_job(run)
    return [Struck(run)]


def _quota_reached(lab: Lab) -> list[Struck]:
    run = lab.start_run(seconds=BRIEF, hold_request=3)
    rule = Rule("CreateProcessingJob", run.job(), times=2, code="ResourceLimitExceeded")
    lab.proxy.add(rule)
    return [Struck(run)]


def _no_capacity(lab: Lab) -> list[Struck]:
    """The job is created and fails, as on SageMaker when there is no capacity; the next attempt gets an instance."""
    run = lab.start_run(seconds=BRIEF, hold_request=3)
    lab.proxy.lack_capacity(run.job())
    return [Struck(run, jobs=1)]  # the first attempt never reached the local SageMaker


def _algorithm_error(lab: Lab) -> list[Struck]:
    """It uses up no retry."""
    return [Struck(lab.start_run(seconds=1, exit_code=3), "failed")]


def _refused_request(lab: Lab) -> list[Struck]:
    run = lab.start_run(seconds=1, hold_request=3)
    lab.proxy.add(Rule("CreateProcessingJob", run.job(), times=1, code="ValidationException", message="1 error"))
    return [Struck(run, "failed", jobs=0)]


def _sagemaker_restarts(lab: Lab) -> list[Struck]:
    """While a job runs: the local SageMaker resumes it, and Airflow waits."""
    run = lab.start_run(until_told=True)
    lab.wait_task(run, "deferred")
    lab.kill_service("local-sagemaker", signal.SIGTERM)
    lab.end_job(run)
    return [Struck(run)]


def _tuning(lab: Lab) -> list[Struck]:
    """A retry attaches to a tuning job like to any other."""
    run = lab.start_run("one_search", kind="tuning", seconds=BRIEF)
    lab.wait_job(run, "InProgress")
    lab.kill_worker(run, signal.SIGKILL)
    return [Struck(run)]


def throttled(lab: Lab, runs: int = 6) -> Row:
    """30 % of all API calls of several runs throttled."""
    lab.proxy.throttled_share = 0.3
    try:
        return measure(
            lab,
            Fault(
                "30 % of all API calls throttled",
                lambda lab: [Struck(lab.start_run(seconds=BRIEF)) for _ in range(runs)],
            ),
        )
    finally:
        lab.proxy.throttled_share = 0.0


def broken(lab: Lab, runs: int = 6) -> Row:
    """Bursts of 503 to every call, while runs are in every phase."""

    def strike(lab: Lab) -> list[Struck]:
        struck = [Struck(lab.start_run(seconds=BRIEF)) for _ in range(runs)]
        for _ in range(3):
            time.sleep(7)
            lab.proxy.broken_until = time.monotonic() + 5
        return struck

    return measure(lab, Fault("bursts of 5xx, 5 s each", strike))


WORKER = _worker_kills()
TRIGGERER = _service_kills("triggerer")
SCHEDULER = _service_kills("scheduler")
DAG_PROCESSOR = _service_kills("dag-processor")
PEOPLE = [
    Fault("marked failed before submit", _mark_failed_before_submit),
    Fault("marked failed in the worker", _mark_failed_in_worker),
    Fault("marked failed while deferred", _mark_failed_deferred),
    Fault("marked success while deferred", _mark_success_deferred),
    Fault("run failed, task in the worker", _run_failed_in_worker),
    Fault("run failed, task deferred", _run_failed_deferred),
    Fault("cleared in the worker", _clear_in_worker),
    Fault("cleared while deferred", _clear_deferred),
    Fault("cleared after success", _clear_finished),
]
TIMEOUTS = [
    Fault("execution_timeout", _execution_timeout),
    Fault("deferral timeout, by the trigger", _given_up_by_trigger),
]
ALONE = [
    Fault("deferral timeout, no triggerer", _given_up_without_triggerer),
    Fault("local SageMaker restarts", _sagemaker_restarts),
]
AWS = [
    Fault("lost answer to a create", _lost_create_answer),
    Fault("lost answer, then 5xx to the retries", _lost_create_answers),
    Fault("quota reached, twice", _quota_reached),
    Fault("no capacity", _no_capacity),
    Fault("the job's own error", _algorithm_error),
    Fault("refused request", _refused_request),
    Fault("SIGKILL worker of a tuning job", _tuning),
]
