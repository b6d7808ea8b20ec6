"""Airflow's training Dags: one ``train_<model>`` for every folder below include/models."""

from __future__ import annotations

from include.platform.catalogue import usable_models
from include.train.dag import train_dag

for model in usable_models():
    train_dag(model)
