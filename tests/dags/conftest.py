from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def dag_bag() -> DagBag:
    """The Dag folder as Airflow parses it."""
    return DagBag(ROOT / "dags")
