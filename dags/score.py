"""Airflow's scoring Dags: one ``score_<model>`` for every model whose model.yaml has a section ``scoring``."""

from __future__ import annotations

from include.platform.catalogue import usable_models
from include.score.dag import score_dag

for model in usable_models():
    if model.scoring is not None:
        score_dag(model)
