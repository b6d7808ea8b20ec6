"""Airflow's Dag that scores a model's past days: ``backfill``."""

from __future__ import annotations

from include.platform.catalogue import usable_models
from include.score.backfill_dag import backfill_dag

backfill_dag([model for model in usable_models() if model.scoring is not None])
