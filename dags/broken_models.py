"""Holds no Dag: Airflow shows here, as an import error, every model.yaml that cannot be used.

It is a separate file because Airflow does not schedule the Dags of a file that has an import error: so one broken
model leaves the Dags of all others, in the other files, alone.
"""

from __future__ import annotations

from include.platform.catalogue import require_all_models

require_all_models()
