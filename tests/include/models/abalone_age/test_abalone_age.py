"""Values with intervals of the promised coverage, one-hot sex, and files that are read back unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.jobs.evaluation.metrics import interval_metrics
from include.models.abalone_age import estimator
from include.models.abalone_age.features import build_features
from include.models.abalone_age.simulate import simulate
from include.models.config import load_model
from include.models.interface import Examples

HYPERPARAMETERS = load_model("abalone_age").training.hyperparameters


@pytest.fixture(scope="module")
def parts() -> list[Examples]:
    frame = build_features({"abalone": simulate(rows=3000).with_row_index("specimen")}).drop("specimen")
    return [
        Examples(part.drop("rings"), part["rings"].cast(pl.Float64).to_numpy(), [])
        for part in (frame[:1800], frame[1800:2400], frame[2400:])
    ]


def test_intervals_hold_about_the_share_that_they_promise_and_reads_back(parts: list[Examples], tmp_path: Path) -> None:
    train, validation, test = parts
    model = estimator.fit(train, validation, HYPERPARAMETERS)
    found = interval_metrics(test.target, estimator.intervals(model, test.features))
    assert found["interval_coverage"] == pytest.approx(0.9, abs=0.05)
    values = estimator.predict(model, test.features)
    low, high = estimator.intervals(model, test.features).T
    assert np.all((low <= values) & (values <= high))
    assert np.mean((values - test.target) ** 2) < 0.7 * np.var(test.target)
    estimator.save(model, tmp_path)
    again = estimator.load(tmp_path)
    assert np.array_equal(estimator.predict(again, test.features), values)
    assert np.array_equal(estimator.intervals(again, test.features[5:6]), np.column_stack([low, high])[5:6])


def test_an_unknown_sex_is_none_of_the_three(parts: list[Examples]) -> None:
    rows = parts[0].features[:2].with_columns(sex=pl.Series(["M", None], dtype=pl.String))
    assert estimator.design(rows).select("sex_f", "sex_i", "sex_m").rows() == [(0.0, 0.0, 1.0), (0.0, 0.0, 0.0)]


def test_a_coverage_that_cannot_be_is_refused(parts: list[Examples]) -> None:
    with pytest.raises(ValueError, match=r"interval_coverage is 1\.5"):
        estimator.fit(parts[0], parts[1], {**HYPERPARAMETERS, "interval_coverage": 1.5})
