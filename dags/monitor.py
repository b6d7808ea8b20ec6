"""Airflow's Dags that watch what is scored: one ``monitor_<model>`` for every model with a section ``scoring``."""

from __future__ import annotations

from include.monitor.dag import monitor_dag
from include.platform.catalogue import usable_models

for model in usable_models():
    if model.scoring is not None:
        monitor_dag(model)
