"""Run by MWAA's Python as a script, with an unpacked Airflow home: parses the Dag folder as the Dag processor does and
prints the result as one line of JSON."""

from __future__ import annotations

import contextlib
import json
import sys

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag

HEAVY = ("pandas", "numpy", "polars", "sklearn", "lightgbm", "great_expectations", "sagemaker", "mlflow")

with contextlib.redirect_stdout(sys.stderr):
    already = {name for name in HEAVY if name in sys.modules}
    bundle = DagBundlesManager().get_bundle("dags-folder")
    bundle.initialize()
    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)

print(
    json.dumps(
        {
            "import_errors": bag.import_errors,
            "dag_ids": sorted(bag.dags),
            "seconds": {stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats},
            "heavy": sorted({name for name in HEAVY if name in sys.modules} - already),
        }
    )
)
