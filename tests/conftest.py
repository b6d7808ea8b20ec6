"""The tests' surroundings: an empty Airflow home, never the person's own, and no AWS endpoint of theirs."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-tests-")
os.environ.pop("AWS_ENDPOINT_URL", None)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(Path(__file__).resolve().parents[1] / "plugins")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

with contextlib.suppress(ImportError):  # not in every environment
    import hypothesis

    hypothesis.settings.register_profile("busy", deadline=None)  # a machine that does much else is no failure
    hypothesis.settings.load_profile("busy")
