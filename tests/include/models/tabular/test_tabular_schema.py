"""What a model learned about its columns applies to every later row: kinds, categories, derived columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from include.models.config import Derived
from include.models.errors import JobError
from include.models.tabular.schema import MAX_CATEGORIES, Schema, infer

ROWS = 400
RATIO = Derived(name="per hour", kind="ratio", of=["pieces", "hours"])


def table(**columns: object) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    usual = {
        "pieces": rng.normal(100, 5, ROWS),
        "hours": rng.integers(0, 4, ROWS).astype(float),
        "plant": rng.choice(["north", "south", "west"], ROWS, p=[0.6, 0.3, 0.1]),
    }
    return pl.DataFrame({**usual, **columns})


def test_categories_are_numbered_by_frequency_and_the_rest_is_other() -> None:
    plant = ["north"] * 300 + ["south"] * 90 + ["rare"] * 2 + [None] * 8
    schema = infer(table(plant=plant), [])
    rows = pl.DataFrame(
        {"pieces": [1.0] * 5, "hours": [1.0] * 5, "plant": ["north", "south", "rare", "never seen", None]}
    )
    assert schema.matrix(rows)[:, 2].tolist()[:4] == [0, 1, 2, 2]
    assert np.isnan(schema.matrix(rows)[4, 2])
    assert schema.categories == [2]


def test_many_categories_keep_the_most_frequent() -> None:
    values = [f"v{number}" for number in range(MAX_CATEGORIES + 50) for _ in range(6)]
    column = infer(pl.DataFrame({"x": values}), []).columns[0]
    assert len(column.values) == MAX_CATEGORIES


def test_what_teaches_nothing_is_dropped_and_said() -> None:
    frame = table(
        name=[f"machine {number}" for number in range(ROWS)],
        constant=1.0,
        empty=pl.Series([None] * ROWS, dtype=pl.String),
    )
    dropped = {column.name: column.dropped for column in infer(frame, []).columns if column.dropped}
    assert dropped == {"name": "400 different texts in 400 rows", "constant": "has one value", "empty": "has no values"}
    with pytest.raises(ValueError, match="no column is left to learn from: x: has one value"):
        infer(pl.DataFrame({"x": [1.0, 1.0]}), [])


@pytest.mark.parametrize(("kind", "value"), [("ratio", 100 / 4), ("difference", 100 - 4), ("product", 100 * 4)])
def test_derived_columns(kind: str, value: float) -> None:
    one = Derived.model_validate({"name": "new", "kind": kind, "of": ["pieces", "hours"]})
    schema = infer(table(), [one])
    rows = pl.DataFrame({"pieces": [100.0, 100.0, None], "hours": [4.0, 0.0, 4.0], "plant": ["north"] * 3})
    derived = schema.matrix(rows)[:, schema.names.index("new")]
    assert derived[0] == value
    assert np.isnan(derived[2])
    assert np.isnan(derived[1]) == (kind == "ratio")  # a division by zero is missing rather than infinite


def test_a_derived_column_may_be_of_another_and_of_numbers() -> None:
    given = [
        {"name": "slow", "kind": "comparison", "of": [5, "hours"]},
        {"name": "many", "kind": "comparison", "of": ["pieces", 100]},
        {"name": "many and slow", "kind": "product", "of": ["slow", "many"]},
    ]
    schema = infer(table(), [Derived.model_validate(one) for one in given])
    rows = pl.DataFrame({"pieces": [101.0, 100.0, 101.0], "hours": [4.0, 4.0, None], "plant": ["north"] * 3})
    both = schema.matrix(rows)[:, schema.names.index("many and slow")]
    assert both[:2].tolist() == [1.0, 0.0]
    assert np.isnan(both[2])


def test_derived_columns_of_what_there_is_not() -> None:
    for of, words in (
        (["pieces", "minutes"], "is of 'minutes'; allowed are the numbers pieces, hours"),
        (["plant", "hours"], "is of 'plant'"),
    ):
        with pytest.raises(ValueError, match=words):
            infer(table(), [Derived(name="new", kind="ratio", of=of)])
    with pytest.raises(ValueError, match="has the name of a column"):
        infer(table(), [Derived(name="hours", kind="ratio", of=["pieces", "hours"])])


def test_it_is_the_same_after_saving(tmp_path: Path) -> None:
    schema = infer(table(), [RATIO])
    schema.save(tmp_path)
    assert Schema.load(tmp_path) == schema
    np.testing.assert_array_equal(Schema.load(tmp_path).matrix(table()), schema.matrix(table()))


def test_rows_of_another_form_are_refused() -> None:
    schema = infer(table(), [])
    with pytest.raises(JobError, match="trained with the column 'plant', which is missing; found are pieces, hours"):
        schema.matrix(table().drop("plant"))
    with pytest.raises(JobError, match="column 'pieces' is String, but in training it was numbers"):
        schema.matrix(table().with_columns(pl.col("pieces").cast(pl.String)))
    with pytest.raises(JobError, match="column 'plant' is Float64, but in training it was texts"):
        schema.matrix(table(plant=1.0))
    assert np.isnan(schema.matrix(table(plant=pl.Series([None] * ROWS, dtype=pl.Null)))[:, 2]).all()


def test_a_rows_numbers_depend_on_nothing_but_the_row() -> None:
    schema = infer(table(), [RATIO])
    np.testing.assert_array_equal(schema.matrix(table())[17:18], schema.matrix(table()[17:18]))
