"""Airflow's Dag that asks production endpoints for what they answered in their test: ``probe``."""

from __future__ import annotations

from include.monitor.probe_dag import probe_dag
from include.platform.catalogue import usable_models

probe_dag(usable_models())
