"""Airflow's Dags for unusable models: a ``broken_<model>`` for each invalid model.yaml, which says what is wrong.

While a model.yaml is broken its other Dags are absent, so that runs waiting for a job are left alone and continue once
the file is fixed. ``broken_models.py`` shows the same as an import error.
"""

from __future__ import annotations

from include.platform.broken_dag import broken_dag
from include.platform.catalogue import broken_models

for model in broken_models():
    broken_dag(model)
