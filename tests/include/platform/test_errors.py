"""One policy for all tasks: an error is either permanent, and fails its task immediately, or worth another try."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import AirflowFailException

import include
from include.deploy.asked_endpoint import RefusedError
from include.platform.environment import NoMlEnvironmentError
from include.platform.errors import PermanentError
from include.registry.history import HistoryConflictError
from include.registry.model_index import IndexConflictError

ROOMS = ("platform", "registry", "train", "score", "deploy", "monitor")
WORTH_ANOTHER_TRY: set[type[Exception]] = {
    NoMlEnvironmentError,
    HistoryConflictError,
    IndexConflictError,
    RefusedError,  # those who ask decide what a refusal means
}


def errors() -> Iterator[type[Exception]]:
    """Every error class of the rooms, except for those that do not leave their module."""
    for room in ROOMS:
        package = importlib.import_module(f"include.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                own = found.__module__ == module.name and not name.startswith("_")
                if own and issubclass(found, Exception):
                    yield found


@pytest.mark.parametrize("error", sorted(set(errors()), key=lambda one: one.__name__), ids=lambda one: one.__name__)
def test_what_no_retry_fixes_fails_at_once(error: type[Exception]) -> None:
    assert issubclass(error, PermanentError) is (error not in WORTH_ANOTHER_TRY)
    assert issubclass(error, AirflowFailException) is issubclass(error, PermanentError)


def test_every_room_is_looked_at() -> None:
    rooms = {name for _, name, is_package in pkgutil.iter_modules(include.__path__) if is_package}
    elsewhere = {"client", "jobs", "local_sagemaker", "models", "online", "ops"}
    assert rooms - set(ROOMS) == elsewhere, "none of these runs in an Airflow task"
