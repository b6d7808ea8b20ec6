"""Versions of a model in MLflow: one for each model package in SageMaker's registry, the one in production by alias.

The registered model has the model's name. A version is found by the tag ``model_package_arn``, so repeated calls have
no further effect. Unlike the tracking of runs, this fails when MLflow does: a champion alias on a model that is not in
production would be worse than a failed task.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING

from include.models.errors import JobError

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION = "champion"
PACKAGE = "model_package_arn"
MODEL_FOLDER = "model"  # among a run's artifacts


def client() -> MlflowClient:
    """Raises JobError if no store is configured."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise JobError("MLFLOW_TRACKING_URI is not set: the Variable ml_environment gives it as mlflow_tracking_uri.")
    from mlflow import MlflowClient  # seconds to import

    return MlflowClient(uri)


def _explained[**P, R](step: Callable[P, R]) -> Callable[P, R]:
    """Turns MLflow's errors into JobErrors, for the person on call."""

    @wraps(step)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        from mlflow.exceptions import MlflowException

        try:
            return step(*args, **kwargs)
        except MlflowException as error:
            uri = os.environ.get("MLFLOW_TRACKING_URI")
            raise JobError(
                f"MLflow at {uri} refused: {error}. Fix it and clear the task; it repeats nothing."
            ) from error

    return wrapped


@_explained
def register(store: MlflowClient, model: str, run_id: str, package_arn: str) -> str:
    """The version of a package, created from the run's logged model if missing.

    Raises:
        JobError: the run has no logged model, or MLflow failed.
    """
    from mlflow.exceptions import MlflowException

    if not any(item.path == f"{MODEL_FOLDER}/MLmodel" for item in store.list_artifacts(run_id, MODEL_FOLDER)):
        raise JobError(f"the MLflow run {run_id} has no model: the log of its training job says why.")
    try:
        store.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    if (there := _version_of(store, model, package_arn)) is not None:
        return there
    tags = {PACKAGE: package_arn}
    return str(store.create_model_version(model, f"runs:/{run_id}/{MODEL_FOLDER}", run_id, tags=tags).version)


@_explained
def move_champion(store: MlflowClient, model: str, package_arn: str) -> str:
    """Moves ``champion`` to the version of the package; returns that version.

    Raises:
        JobError: there is no such version, or MLflow failed.
    """
    version = _version_of(store, model, package_arn)
    if version is None:
        raise JobError(
            f"MLflow has no version of {model} for {package_arn}: its run was not tracked, or the store is another "
            "one. The package is in production regardless; only the alias champion was not moved."
        )
    store.set_registered_model_alias(model, CHAMPION, version)
    return version


def _version_of(store: MlflowClient, model: str, package_arn: str) -> str | None:
    """Compared here, as not every store can filter by tags."""
    found: list[str] = []
    token = None
    while True:
        page = store.search_model_versions(f"name='{model}'", max_results=200, page_token=token)
        found += [version.version for version in page if version.tags.get(PACKAGE) == package_arn]
        token = page.token
        if not token:
            return str(max(found, key=int)) if found else None
