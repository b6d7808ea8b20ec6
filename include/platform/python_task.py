"""An Airflow task whose function is in a room's ``tasks`` module and has the task's id as its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, cast

from airflow.sdk import get_current_context, task

from include.platform.dag_settings import require_fields

if TYPE_CHECKING:
    from airflow.sdk.definitions.xcom_arg import PlainXComArg


def python_task(
    function: Callable[..., object], decorator: Callable[..., object] = task, **arguments: object
) -> Callable[..., PlainXComArg]:
    """Like ``@task``, for a function that is called the way operators call their builders.

    The task's id is the function's name. When it runs, the function gets the context first, then the arguments of the
    task's call in the Dag, by name. A first task refuses fields that the run's form does not have.

    Args:
        function: called as ``function(context, **arguments)``; or a ``partial`` that binds the model before the
            context.
        decorator: ``task``, or one of its kinds, such as ``task.branch``.
        arguments: the operator's arguments. ``multiple_outputs`` lets later tasks take single keys of a returned
            mapping.
    """
    named = function.func if isinstance(function, partial) else function
    _, *handed_on = inspect.signature(function).parameters.values()

    @wraps(named)
    def run(**given: object) -> object:
        context = get_current_context()
        if not context["task"].upstream_task_ids:
            require_fields(context)
        return function(context, **given)

    # from these Airflow reads the function's parameters and whether it returns several outputs
    run.__signature__ = inspect.Signature(handed_on)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return cast("Callable[..., PlainXComArg]", cast("Callable[..., object]", decorator(**arguments))(run))
