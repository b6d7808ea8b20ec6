"""The Dag that replaces a model's Dags while its model.yaml is invalid."""

from __future__ import annotations

from airflow.sdk import DAG, dag, task
from airflow.sdk.exceptions import AirflowFailException

from include.platform.catalogue import BrokenModel
from include.platform.dag_settings import NO_BACKFILLS, in_words, when_triggered
from include.platform.notifications import notify_failure


def broken_dag(model: BrokenModel) -> DAG:
    @dag(
        dag_id=f"broken_{model.name}",
        dag_display_name=f"{in_words(model.name)}: its model.yaml is invalid",
        description=model.reason.splitlines()[0],
        doc_md=f"""
        The other Dags of `{model.name}` are missing until this is corrected:

        ```
        {model.reason.replace(chr(10), chr(10) + " " * 8)}
        ```
        """,
        schedule=when_triggered(),
        allowed_run_types=NO_BACKFILLS,
        catchup=False,
        max_active_runs=1,
        tags=[in_words(model.name), "broken"],
        default_args={"on_failure_callback": notify_failure},
    )
    def broken() -> None:
        @task(retries=0)
        def explain() -> None:
            raise AirflowFailException(model.reason)

        explain()

    return broken()
