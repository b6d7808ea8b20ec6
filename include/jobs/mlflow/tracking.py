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
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING

from include.jobs.evaluation.metrics import plain
from include.jobs.mlflow.model_versions import MODEL_FOLDER

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE_SECONDS = 60.0  # a store's first use makes its tables: seconds, or many on a busy machine
HTTP_LIMITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def prepare() -> None:
    """Get ready in the background: importing and opening the store takes seconds."""
    _in_background(lambda client: client.search_experiments(max_results=1))


def start_run(
    experiment: str, parameters: Mapping[str, object], tags: Mapping[str, str], began: float
) -> Future[str] | None:
    """Make a run that began at ``began`` (seconds since 1970); its id is the result.

    MLFLOW_EXPERIMENT_NAME stands before ``experiment``.
    """
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", experiment)
    return _in_background(lambda client: _create(client, name, parameters, tags, began))


def log(
    run_id: str | None,
    metrics: Mapping[str, float],
    files: list[Path],
    write_model: Callable[[Path], None] | None = None,
) -> Future[None] | None:
    """Add metrics and files to a run, and the MLflow model that ``write_model`` writes into the folder it is given."""
    return _in_background(lambda client: _add(client, run_id, metrics, files, write_model)) if run_id else None


def wait_for[Result](work: Future[Result] | None, patience: float = PATIENCE_SECONDS) -> Result | None:
    """The result of background work. None where nothing is tracked and, after a warning, where it failed or is late."""
    if work is None:
        return None
    try:
        return work.result(patience)
    except Exception as error:  # noqa: BLE001 - whatever tracking meets, the model is not its business
        reason = f"no answer within {patience:.0f} s" if isinstance(error, TimeoutError) else repr(error)
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        print(f"WARNING: MLflow tracking at {uri} failed, and the job goes on without: {reason}", file=sys.stderr)
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
    client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in parameters.items()])
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
) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    known = {name: value for name, value in plain(metrics).items() if value is not None}
    client.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in known.items()])
    for file in files:
        client.log_artifact(run_id, str(file))
    if write_model:
        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / MODEL_FOLDER
            write_model(folder)
            client.log_artifacts(run_id, str(folder), MODEL_FOLDER)
    client.set_terminated(run_id)
