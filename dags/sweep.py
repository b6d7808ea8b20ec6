"""Airflow's Dags that look for late data: one ``sweep_<model>`` for every model that is scored daily."""

from __future__ import annotations

from include.platform.catalogue import usable_models
from include.score.sweep_dag import sweep_dag

for model in usable_models():
    if model.scoring is not None:
        sweep_dag(model)
