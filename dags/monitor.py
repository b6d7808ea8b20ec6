"""Airflow's Dags that watch models' answers: one ``monitor_<model>`` for every model with a section ``scoring`` or
``monitoring``."""

from __future__ import annotations

from include.monitor.dag import monitor_dag
from include.platform.catalogue import usable_models

for model in usable_models():
    if model.scoring or model.monitoring:
        monitor_dag(model)
