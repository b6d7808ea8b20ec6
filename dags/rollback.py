"""Airflow's Dag that rolls back any model's production: ``rollback``."""

from __future__ import annotations

from include.deploy.rollback_dag import rollback_dag
from include.platform.catalogue import usable_models

rollback_dag(usable_models())
