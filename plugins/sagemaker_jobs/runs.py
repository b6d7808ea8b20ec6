"""The operator that starts a run of another Dag.

The standard provider's imports Airflow's whole database layer (``airflow.models``): half a second and some 10 MB in
every process that parses such a Dag, a task's too. Airflow 3 needs only an exception of its SDK.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from airflow.sdk import BaseOperator, BaseOperatorLink, Context, XComArg
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import DagRunTriggerException

RUN_ID = "trigger_run_id"  # the XCom in which Airflow stores the id of the started run


class RunLink(BaseOperatorLink):
    """Button to the run that was started."""

    name = "Started run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The run's address; empty if no run was started."""
        # imported late: nothing else here needs it
        from airflow.utils.helpers import build_airflow_dagrun_url

        run_id = BaseXCom.get_value(ti_key=ti_key, key=RUN_ID)
        return build_airflow_dagrun_url(dag_id=operator.trigger_dag_id, run_id=run_id) if run_id else ""


class TriggerRunOperator(BaseOperator):
    """Starts a run of a Dag without a logical date; skips itself if that run exists.

    Args:
        trigger_dag_id: which Dag.
        trigger_run_id: the run's id; templated.
        conf: the values of the Dag's form; templated, or a task's output.
    """

    template_fields: Sequence[str] = ("trigger_run_id", "conf")
    operator_extra_links: Sequence[BaseOperatorLink] = (RunLink(),)

    def __init__(
        self,
        *,
        trigger_dag_id: str,
        trigger_run_id: str,
        conf: Mapping[str, Any] | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.trigger_dag_id = trigger_dag_id
        self.trigger_run_id = trigger_run_id
        self.conf = conf

    def execute(self, context: Context) -> NoReturn:
        """Asks the task's supervisor, which alone may start runs."""
        raise DagRunTriggerException(
            trigger_dag_id=self.trigger_dag_id,
            dag_run_id=self.trigger_run_id,
            conf=dict(cast("Mapping[str, Any]", self.conf) or {}),
            logical_date=None,
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=0,
            deferrable=False,
        )
