"""Airflow's deployment Dags: one ``deploy_<model>`` for every folder below include/models."""

from __future__ import annotations

from include.pipelines.catalogue import usable_models
from include.pipelines.deploy import deploy_dag

for model in usable_models():
    deploy_dag(model)
