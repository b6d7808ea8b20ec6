"""Airflow's Dag that repeats the test's requests to production endpoints: ``probe``."""

from __future__ import annotations

from include.monitor.probe_dag import probe_dag
from include.platform.catalogue import usable_models

probe_dag(usable_models())
