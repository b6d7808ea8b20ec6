"""Airflow's Dags of models that cannot be used: one ``broken_<model>``, which says why, for each such model.yaml.

While a model.yaml is broken its other Dags are not there, so that runs which wait for a job are left as they are and go
on when the file is right again. ``broken_models.py`` shows the same as an import error.
"""

from __future__ import annotations

from include.platform.broken_dag import broken_dag
from include.platform.catalogue import broken_models

for model in broken_models():
    broken_dag(model)
