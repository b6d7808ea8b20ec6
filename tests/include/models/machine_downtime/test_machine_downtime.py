"""Both algorithms handle empty cells, and are stored without executable content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from include.models.config import load_model
from include.models.interface import Examples
from include.models.machine_downtime import estimator
from include.models.machine_downtime.features import build_features

HYPERPARAMETERS = {**load_model("machine_downtime").training.hyperparameters, "trees": 20}


@pytest.fixture
def rows() -> Examples:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(300, 3))
    target = (values[:, 0] > 0).astype(np.int64)
    frame = pl.DataFrame(values, schema=["a", "b", "c"]).with_columns(
        pl.when(pl.int_range(300) % 9 > 0).then("b").alias("b")
    )
    return Examples(frame, target, ["no", "yes"])


@pytest.mark.parametrize("algorithm", ["random_forest", "lightgbm"])
def test_it_learns_with_empty_cells_and_reads_back_bit_for_bit(rows: Examples, tmp_path: Path, algorithm: str) -> None:
    model = estimator.fit(rows, rows, {**HYPERPARAMETERS, "algorithm": algorithm})
    found = estimator.predict(model, rows.features)
    assert np.mean(found.argmax(axis=1) == rows.target) > 0.9
    estimator.save(model, tmp_path)
    again = estimator.load(tmp_path)
    assert np.array_equal(estimator.predict(again, rows.features), found)
    assert np.array_equal(estimator.predict(again, rows.features[7:8]), found[7:8])
    assert max(estimator.importance(again), key=estimator.importance(again).__getitem__) == "a"


@pytest.mark.parametrize("algorithm", ["random_forest", "lightgbm"])
def test_the_same_rows_give_the_same_bytes(rows: Examples, tmp_path: Path, algorithm: str) -> None:
    kept = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        junk = [object() for _ in range(1000 * number)]  # the second model's objects are elsewhere in memory
        estimator.save(estimator.fit(rows, rows, {**HYPERPARAMETERS, "algorithm": algorithm}), folder)
        kept.append({path.name: path.read_bytes() for path in folder.iterdir()})
        del junk
    assert kept[0] == kept[1]


def test_an_unknown_algorithm_is_refused(rows: Examples) -> None:
    with pytest.raises(ValueError, match="algorithm is 'svm'; allowed are random_forest and lightgbm"):
        estimator.fit(rows, rows, {**HYPERPARAMETERS, "algorithm": "svm"})


def test_a_file_with_anything_else_in_it_is_not_loaded(tmp_path: Path) -> None:
    skops.io.dump({"pipeline": print, "features": [Path]}, tmp_path / estimator.FOREST_FILE)
    with pytest.raises(UntrustedTypesFoundException):
        estimator.load(tmp_path)


def test_impossible_readings_are_unknown_and_features_are_of_the_row_alone() -> None:
    columns = load_model("machine_downtime").data.tables["readings"].kinds
    numbers = {name: [4.0, -1.0] for name, kind in columns.items() if kind.is_quantity}
    frame = pl.DataFrame({**numbers, "reading": [1, 2], "machine_id": ["m", "m"], "date": [None, None]})
    found = build_features({"readings": frame}, with_label=False)
    assert found["hydraulic_pressure_bar"].to_list() == [4.0, None]
    assert found["pressure_differential_bar"].to_list() == [0.0, None]
    assert found["vibration_ratio"].to_list() == [1.0, None]
    assert found["pressure_force_bar_kn"].to_list() == [16.0, None]
    assert build_features({"readings": frame[1:]}, with_label=False).equals(found[1:])
