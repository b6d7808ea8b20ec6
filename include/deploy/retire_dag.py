"""Takes a model out of service: its endpoints, alarms and scaling are removed; versions, scores and history are kept.

**For whom:** those responsible for the model and its costs. Trigger it, choose the model, answer its question. From
then on scheduled runs of the model's Dags are skipped.

**Reads** what serves the model and its production history. **Writes** the end of production into
`production/<model>/history.json`.

**Running it again is safe:** what is already gone is skipped. A promotion undoes it (`deploy_<model>` with a version's
number).

**Steps.** `find_serving` lists what would be removed, `approve_retirement` asks (*Required actions* in the UI; without
an answer in three days everything stays), `remove_serving` removes it and waits until the endpoints are gone,
`end_production` closes the history and tells people.

**When it fails** clear the task: it continues where it stopped. `find_serving` fails if nothing serves the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from airflow.sdk import DAG, Param, chain, dag

from include.deploy import retire_tasks as tasks
from include.models.config import ModelConfig
from include.platform.dag_settings import for_any_model, with_form
from include.platform.python_task import python_task
from include.platform.questions import QuestionNotifier

TIME_TO_ANSWER = timedelta(days=3)


def retire_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``retire``, for any of the models."""
    owners = {model.name: model.owner for model in models}

    @dag(
        dag_id="retire",
        dag_display_name="Retire a model",
        description="Take a model out of service: its endpoints are removed, its history is kept.",
        doc_md=f"# retire\n\n{__doc__}",
        max_active_runs=1,
        **for_any_model(owners),
    )
    def retire() -> None:
        serving = python_task(tasks.find_serving)()
        approve_retirement = tasks.RetirementOperator(
            task_id="approve_retirement",
            subject="Retire {{ params.model }}?",
            body="{{ ti.xcom_pull('find_serving')['text'] }}",
            options=[tasks.RETIRE, tasks.KEEP],
            defaults=tasks.KEEP,
            response_timeout=TIME_TO_ANSWER,
            notifiers=[QuestionNotifier(f"Without an answer in {TIME_TO_ANSWER.days} days everything stays.")],
            execution_timeout=None,
        )
        chain(serving, approve_retirement)
        removed = python_task(tasks.remove_serving)(answer=approve_retirement.output, serving=serving)
        python_task(tasks.end_production)(removed=removed)

    return with_form(
        retire(),
        {"model": Param(type="string", enum=list(owners), title="Model", description="The model to retire.")},
    )
