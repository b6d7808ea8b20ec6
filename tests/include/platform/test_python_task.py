"""A task made from a room's function: its id, its arguments, and what it returns."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from airflow.sdk import DAG, Context, task
from airflow.sdk.execution_time.context import set_current_context

from include.platform.python_task import python_task


def add_up(first: int, context: Context, *, second: int) -> dict[str, object]:
    """Both arguments, with the run."""
    return {"sum": first + second, "run_id": context["run_id"]}


def choose(context: Context) -> str:
    return f"next_of_{context['run_id']}"


def operator_of(dag: DAG, task_id: str) -> Any:
    return dag.get_task(task_id)


def call(operator: Any) -> object:
    """Call it as Airflow does when the task runs: with the parts of the context that the function has parameters
    for."""
    context: Any = {"run_id": "one", "ti": None, "task": operator, "dag": operator.dag, "params": {}}
    with set_current_context(context):
        return operator.python_callable(**operator.determine_kwargs({**context, **operator.op_kwargs}))


def test_the_function_gets_what_is_bound_the_context_and_what_is_handed_on() -> None:
    with DAG("numbers") as dag:
        added = python_task(partial(add_up, 1), retries=3)(second=2)
    operator = operator_of(dag, "add_up")
    assert (added.operator, operator.retries, operator.multiple_outputs) == (operator, 3, False)
    assert operator.doc_md == "Both arguments, with the run."
    assert "first + second" in operator.get_python_source()
    assert call(operator) == {"sum": 3, "run_id": "one"}


def test_a_branch_is_a_kind_of_task() -> None:
    with DAG("numbers") as dag:
        python_task(choose, task.branch)()
    operator = operator_of(dag, "choose")
    assert operator.task_type == "_BranchPythonDecoratedOperator"
    assert call(operator) == "next_of_one"


@pytest.mark.parametrize("given", [{}, {"secnd": 2}, {"second": 2, "context": {}}])
def test_a_wrong_call_is_noticed_when_the_dag_is_parsed(given: dict[str, Any]) -> None:
    with DAG("numbers"), pytest.raises(TypeError):
        python_task(partial(add_up, 1))(**given)
