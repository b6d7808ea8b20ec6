"""MLflow, where ``MLFLOW_TRACKING_URI`` names a store; nothing where it does not.

Tracking never fails a job and never holds it up for long: it works in a thread beside the job, its waits are bounded,
and what goes wrong becomes a warning in the job's log.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

from include.jobs.evaluation.metrics import plain
from include.jobs.mlflow.model_versions import MODEL_FOLDER
from include.jobs.mlflow.names import LONGEST_VALUE, entries

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE_SECONDS = 60.0  # a store's first use makes its tables: seconds, or many on a busy machine
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


class IncompleteError(Exception):
    """A run has not all that was logged; the message says what is missing and why."""


def prepare() -> None:
    """Get ready in the background: importing and opening the store takes seconds."""
    _in_background(lambda client: client.search_experiments(max_results=1))


def start_run(
    experiment: str, parameters: Mapping[str, object], tags: Mapping[str, str], began: float
) -> Future[str] | None:
    """Make a run that began at ``began`` (seconds since 1970); its id is the result.

    It is FAILED until ``log`` has put into it what there is: a job that dies before leaves none that seems to run.
    MLFLOW_EXPERIMENT_NAME overrides ``experiment``.
    """
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", experiment)
    return _in_background(lambda client: _create(client, name, parameters, tags, began))


def log(
    run_id: str | None,
    metrics: Mapping[str, float],
    files: list[Path],
    write_model: Callable[[Path], None] | None = None,
    *,
    first: bool = False,
) -> Future[None] | None:
    """Add metrics and files to a run, and the MLflow model that ``write_model`` writes into the folder it is given.

    The run ends with it, as FAILED where something could not be added, then or by the job before; all else is there.

    Args:
        first: nothing was put into the run before.
    """
    if not run_id:
        return None
    return _in_background(lambda client: _add(client, run_id, metrics, files, write_model, first=first))


def address(run_id: str | None) -> Future[str] | None:
    """Where a person finds a run in MLflow's pages, if it is a server that has some."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if not run_id or not uri.startswith("http"):
        return None
    return _in_background(
        lambda client: f"{uri}/#/experiments/{client.get_run(run_id).info.experiment_id}/runs/{run_id}"
    )


def wait_for[Result](
    work: Future[Result] | None, patience: float = PATIENCE_SECONDS, problems: list[str] | None = None
) -> Result | None:
    """The result of background work. None where nothing is tracked and, after a warning, where it failed or is late.

    Args:
        problems: gets what went wrong, for who says it further.
    """
    if work is None:
        return None
    try:
        return work.result(patience)
    except Exception as error:  # noqa: BLE001 - whatever tracking meets, the model is not its business
        reason = f"no answer within {patience:.0f} s" if isinstance(error, TimeoutError) else repr(error)
        if isinstance(error, IncompleteError):
            reason = str(error)
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        print(f"WARNING: MLflow tracking at {uri} failed, and the job goes on without: {reason}", file=sys.stderr)
        if problems is not None:
            problems.append(reason)
        return None


def _in_background[Result](work: Callable[[MlflowClient], Result]) -> Future[Result] | None:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        return None
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work(_client(uri)))
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            done.set_exception(error)

    Thread(target=run, daemon=True, name="tracking").start()  # a daemon: a dead server must not keep the job alive
    return done


def _client(uri: str) -> MlflowClient:
    for name, value in HTTP_LIMITS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient  # seconds to import: only where tracking is wanted

    return MlflowClient(uri)


def _create(
    client: MlflowClient, name: str, parameters: Mapping[str, object], tags: Mapping[str, str], began: float
) -> str:
    from mlflow.entities import Param

    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else _create_experiment(client, name)
    run = client.create_run(experiment_id, int(began * 1000), dict(tags), run_name=tags.get("run"))
    client.set_terminated(run.info.run_id, "FAILED")
    described = {name: str(value)[:LONGEST_VALUE] for name, value in entries(parameters).items()}
    client.log_batch(run.info.run_id, params=[Param(key, value) for key, value in described.items()])
    return str(run.info.run_id)


def _create_experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    location = None
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith("sqlite:///"):  # else artifacts land in the job's working folder, and are gone with it
        location = (Path(uri.removeprefix("sqlite:///")).resolve().parent / "artifacts" / name).as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:  # another job was faster
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            raise
        return str(experiment.experiment_id)


def _add(
    client: MlflowClient,
    run_id: str,
    metrics: Mapping[str, float],
    files: list[Path],
    write_model: Callable[[Path], None] | None,
    *,
    first: bool,
) -> None:
    from mlflow.entities import Metric
    from mlflow.exceptions import MlflowException

    now = int(time.time() * 1000)
    known = [Metric(name, value, now, 0) for name, value in entries(plain(metrics)).items() if value is not None]
    failed_before = not first and client.get_run(run_id).info.status == "FAILED"
    missing = ["what the training job could not add"] if failed_before else []

    def add(what: str, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001 - one that is refused costs none of the others
            missing.append(f"{what} ({error})")

    try:
        client.log_batch(run_id, metrics=known)
    except MlflowException:  # a refused batch loses all of it: one by one, each loses itself
        for metric in known:
            add(metric.key, partial(client.log_metric, run_id, metric.key, metric.value, now, 0))
    for file in files:
        add(file.name, partial(client.log_artifact, run_id, str(file)))
    if write_model:
        add("the model", lambda: _log_model(client, run_id, write_model))
    client.set_terminated(run_id, "FAILED" if missing else "FINISHED")
    if missing:
        raise IncompleteError(f"run {run_id} lacks {', '.join(missing)}")


def _log_model(client: MlflowClient, run_id: str, write_model: Callable[[Path], None]) -> None:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / MODEL_FOLDER
        write_model(folder)
        client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
