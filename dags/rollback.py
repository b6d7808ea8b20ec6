"""Airflow's rollback Dags: one ``rollback_<model>`` for every folder below include/models."""

from __future__ import annotations

from include.pipelines.catalogue import usable_models
from include.pipelines.rollback import rollback_dag

for model in usable_models():
    rollback_dag(model)
