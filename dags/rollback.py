"""Airflow's rollback Dags: one ``rollback_<model>`` for every folder below include/models."""

from __future__ import annotations

from include.deploy.rollback_dag import rollback_dag
from include.platform.catalogue import usable_models

for model in usable_models():
    rollback_dag(model)
