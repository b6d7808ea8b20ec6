"""Has no Dag: Airflow shows here, as an import error, every unusable model.yaml.

It is a separate file because Airflow does not schedule the Dags of a file with an import error: so a broken model does
not affect the Dags of others, which are in the other files.
"""

from __future__ import annotations

from include.platform.catalogue import require_all_models

require_all_models()
