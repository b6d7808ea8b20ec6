"""The quality bar on the real Azure data: tested from August on, trained on everything before."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from include.jobs.build_features import split_features
from include.jobs.evaluation.metrics import measure
from include.jobs.features.feature_table import examples
from include.models.config import load_model
from include.models.predictive_maintenance import estimator
from include.models.predictive_maintenance.evaluation import evaluate
from include.models.predictive_maintenance.features import build_features
from include.models.raw.kinds import reading_of

ROOT = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("SHARED_DATA", ROOT.parent / "shared" / "data")) / "azure_pdm"


@pytest.mark.slow
@pytest.mark.skipif(
    not DATA.is_dir(),
    reason=f"the real Azure data is not at {DATA}; set SHARED_DATA to the folder that holds azure_pdm/",
)
def test_macro_f1_and_every_failure_caught_on_the_real_data() -> None:
    config = load_model("predictive_maintenance")
    tables = {}
    for name, table in config.data.tables.items():
        schema = {header: reading_of(column.kind).dtype for header, column in table.columns.items()}
        tables[name] = pl.read_csv(DATA / f"{table.file}.gz", schema=schema)
    splits = split_features(config, build_features(tables))
    assert splits["test"]["datetime"].min() >= datetime.fromisoformat("2015-08-01")
    train, validation, test = (examples(config, splits[name]) for name in ("train", "validation", "test"))
    model = estimator.fit(train, validation, config.training.hyperparameters)
    probabilities = estimator.predict(model, test.features)
    metrics = measure(config.problem, test.target, probabilities, test.classes)
    predicted = pl.Series([test.classes[index] for index in probabilities.argmax(axis=1)])
    in_the_field = evaluate(splits["test"].with_columns(predicted.alias("predicted")), tables).metrics
    assert metrics["macro_f1"] >= 0.99
    assert in_the_field["failure_events_caught"] == 1
    assert in_the_field["failure_events"] > 250
    assert in_the_field["false_alarms_per_machine_month"] < 0.1
