"""Creates the pools for SageMaker jobs when Airflow starts, sized by ``sagemaker_jobs/account.yaml``.

A plugin, because only that works on a laptop, in containers and on MWAA, whose CLI lacks ``pools``. A task in a pool
that does not exist would wait forever, and only the scheduler's log would mention it.
"""

from __future__ import annotations

import sys
from typing import Any

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


@hookimpl
def on_starting(component: Any) -> None:
    """Called in every process of Airflow; only those with a Job may write to the database."""
    # imported here: every task loads this file, but none needs these
    from airflow.jobs.job import Job

    if not isinstance(component, Job):
        return
    from airflow.models.pool import Pool

    from sagemaker_jobs.account import account, pool_of

    for kind, slots in account().pools.items():
        Pool.create_or_update_pool(
            pool_of(kind),
            slots=slots,
            description=f"SageMaker {kind} jobs at once; set in plugins/sagemaker_jobs/account.yaml",
            include_deferred=True,
        )


class SageMakerPools(AirflowPlugin):
    """Registers this module as a listener."""

    name = "sagemaker_pools"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow declares it
