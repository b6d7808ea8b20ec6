"""Probes production endpoints every few minutes with the requests of their test (`serving.probe_minutes`).

**For whom:** the person on call, by mail, chat and the console, before callers notice.

**Reads** which version of each model is in production, and its golden requests. No SageMaker job runs.
**Writes** `monitoring/<model>/probes.json`: the newest thousand probes; and CloudWatch's metrics `ProbeFailed` and
`ProbeLatency` (namespace `ModelMonitoring`). The console's page *Health* and `make health` show the last probe.

**Running it again is safe:** a model is probed again only after its interval.

**Steps.** `probe_endpoints` does all of it, for the models that are due. It finds wrong answers, an unreachable
endpoint, one that fails some requests (5xx, or throttled), and one slower than `serving.latency` allows. People are
notified of wrong answers at once, of the others after two probes in a row, daily while it lasts, and when it is over.
While a deployment or a rollback changes the endpoint, another version's answers are no failure: the probe is `being
changed`. It is reported two hours after traffic should have moved. Models without a version in production are skipped,
and so are those with `probe_minutes: 0`.

**When it fails** the message names the models that could not be probed, with the reason: a file that is missing or
broken, or AWS could not be reached. All others were probed. The next run tries again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from airflow.sdk import DAG, dag

from include.models.config import ModelConfig
from include.monitor.probes import probe_endpoints
from include.platform.dag_settings import NO_BACKFILLS, next_time_only, task_defaults
from include.platform.environment import ml_environment
from include.platform.python_task import python_task


def probe_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``probe``, for all models; runs as often as the shortest interval."""
    minutes = [model.serving.probe_minutes for model in models if model.serving.probe_minutes]

    @dag(
        dag_id="probe",
        description="Probe production endpoints every few minutes with the requests of their test.",
        doc_md=f"# probe\n\n{__doc__}",
        schedule=next_time_only(f"*/{min(minutes)} * * * *" if minutes else None),
        allowed_run_types=NO_BACKFILLS,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=1),
        tags=["probe"],
        user_defined_macros={"ml_environment": ml_environment},
        default_args=task_defaults(", ".join(sorted({model.owner for model in models}))),
    )
    def probe() -> None:
        python_task(partial(probe_endpoints, models))()

    return probe()
