"""Airflow's Dag that reminds people of pending decisions: ``remind``."""

from __future__ import annotations

from include.deploy.remind_dag import remind_dag
from include.platform.catalogue import usable_models

remind_dag(usable_models())
