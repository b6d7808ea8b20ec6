"""Airflow's Dag that scores files as they arrive, of any model: ``score_file``."""

from __future__ import annotations

from include.platform.catalogue import usable_models
from include.score.file_dag import score_file_dag

score_file_dag(usable_models())
