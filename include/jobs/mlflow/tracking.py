"""Tracking in MLflow, if ``MLFLOW_TRACKING_URI`` names a store.

Tracking never fails a job and never delays it for long: it works in a background thread, its waits are bounded, and
errors become warnings in the job's log.
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

PATIENCE_SECONDS = 60.0  # a store's first use creates its tables, which takes seconds, or longer on a busy machine
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


class IncompleteError(Exception):
    """A run is incomplete; the message says what is missing and why."""


def prepare(model: str) -> Future[None] | None:
    """Imports MLflow and opens the store in the background, which takes seconds; ends the model's runs whose job or
    server died before ``start_run`` could: they would seem to run forever."""
    return _in_background(lambda client: _end_abandoned(client, model))


def start_run(
    model: str, parameters: Mapping[str, object], tags: Mapping[str, str], began: float
) -> Future[str] | None:
    """Creates a run that started at ``began`` (seconds since 1970); returns its id.

    It is FAILED until ``log`` completes it, so a job that dies earlier leaves no run that seems to be running.
    It is in the experiment MLFLOW_EXPERIMENT_NAME, by default the model's.
    """
    return _in_background(lambda client: _create(client, _experiment(model), parameters, tags, began))


def log(
    run_id: str | None,
    metrics: Mapping[str, float],
    files: list[Path],
    write_model: Callable[[Path], None] | None = None,
    *,
    first: bool = False,
) -> Future[None] | None:
    """Adds metrics and files to a run, and the MLflow model that ``write_model`` writes into the folder it is given.

    This ends the run, as FAILED if something could not be added, now or by the earlier job; the rest is kept.

    Args:
        first: nothing was added to the run before.
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
    """The result of background work. None if nothing is tracked or, after a warning, if it failed or is late.

    Args:
        problems: collects the errors for the caller.
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
        print(f"WARNING: MLflow tracking at {uri} failed, and the job continues without: {reason}", file=sys.stderr)
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


def _end_abandoned(client: MlflowClient, model: str) -> None:
    if experiment := client.get_experiment_by_name(_experiment(model)):
        running = f"attributes.status = 'RUNNING' and tags.model = '{model}'"
        for run in client.search_runs([experiment.experiment_id], running):
            client.set_terminated(run.info.run_id, "FAILED")


def _experiment(model: str) -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", model)


def _create_experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    location = None
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith("sqlite:///"):  # otherwise artifacts land in the job's working folder, and are lost
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
    except MlflowException:  # a rejected batch loses everything: one by one, only the bad ones are lost
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
