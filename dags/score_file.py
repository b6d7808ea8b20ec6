"""Airflow's Dag that scores any model's files as they arrive: ``score_file``."""

from __future__ import annotations

from include.platform.catalogue import usable_models
from include.score.file_dag import score_file_dag

score_file_dag(usable_models())
