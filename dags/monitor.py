"""Airflow's Dags that watch for drift: one ``monitor_<model>`` for every model with a section ``monitoring``."""

from __future__ import annotations

from include.monitor.dag import monitor_dag
from include.platform.catalogue import usable_models

for model in usable_models():
    if model.monitoring is not None:
        monitor_dag(model)
