"""Airflow's deployment Dags: one ``deploy_<model>`` for every folder below include/models."""

from __future__ import annotations

from include.deploy.dag import deploy_dag
from include.platform.catalogue import usable_models

for model in usable_models():
    deploy_dag(model)
