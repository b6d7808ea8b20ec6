"""Airflow's Dag that takes any model's production back: ``rollback``."""

from __future__ import annotations

from include.deploy.rollback_dag import rollback_dag
from include.platform.catalogue import usable_models

rollback_dag(usable_models())
