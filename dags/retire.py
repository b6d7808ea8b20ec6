"""Airflow's Dag that takes any model out of service: ``retire``."""

from __future__ import annotations

from include.deploy.retire_dag import retire_dag
from include.platform.catalogue import usable_models

retire_dag(usable_models())
