"""Airflow's training Dags: one ``train_<model>`` for every folder below include/models."""

from __future__ import annotations

from include.pipelines.catalogue import usable_models
from include.pipelines.train import train_dag

for model in usable_models():
    train_dag(model)
