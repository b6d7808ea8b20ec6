"""Every shipped estimator reports its progress to a listener, and learns the same model with and without one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from include.models.config import load_model, model_names
from include.models.config.kinds import STRING
from include.models.config.references import feature_columns
from include.models.interface import Array, Examples
from include.models.loader import estimator
from include.models.rounds import EVERY, feval, telling

ROUNDS = 20


def drawn(name: str, rows: int = 300) -> Examples:
    """Random rows; the first number determines the target."""
    config, rng = load_model(name), np.random.default_rng(0)
    kinds = {column: kind for table in config.data.tables.values() for column, kind in table.kinds.items()}
    columns = feature_columns(config) or []
    frame = pl.DataFrame(
        {
            column: rng.choice(["M", "F", "I"], rows) if kinds.get(column) is STRING else rng.random(rows) * 100
            for column in columns
        }
    )
    told = next(frame[column].to_numpy() for column in columns if frame[column].dtype != pl.String)
    classes = config.data.classes or []
    target = (told * len(classes) / 100).astype(np.int64) if classes else told
    return Examples(frame, target, classes)


@pytest.mark.parametrize("name", model_names())
def test_it_tells_its_answers_to_the_validation_split(name: str) -> None:
    config, own, rows = load_model(name), estimator(name), drawn(name)
    few = {"num_boost_round": ROUNDS, "trees": ROUNDS, "early_stopping_rounds": ROUNDS}
    chosen = {
        **config.training.hyperparameters,
        **{one: value for one, value in few.items() if one in config.hyperparameters},
    }
    told: list[Array] = []
    with telling(told.append):
        heard = own.fit(rows, rows, chosen)
    assert [len(one) for one in told] == [len(rows.target)] * (ROUNDS // EVERY)
    silent = own.fit(rows, rows, chosen)
    assert np.array_equal(own.predict(heard, rows.features), own.predict(silent, rows.features))
    answers = own.predict(silent, rows.features)
    expected = answers[:, 1] if config.problem == "binary" else answers
    assert np.allclose(told[-1], expected), "no round beat the last"


def test_nobody_is_told_where_nobody_listens() -> None:
    assert feval() is None
