"""A table as CSV, compressed and as Parquet gives the same frame; what does not match model.yaml is refused."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import read_table
from include.models.config import Table

TABLE = Table.model_validate(
    {
        "file": "readings.csv",
        "columns": {
            "at": "timestamp",
            "day": {"kind": "timestamp", "format": "%d.%m.%Y"},
            "machine": "string",
            "count": "integer",
            "volt": {"kind": "number", "decimal": ",", "header": "Volt (V)"},
        },
        "key": ["at"],
    }
)
TEXT = """at,day,machine,count,Volt (V)
2015-01-01 06:00:00.250000,31.01.2015,7,3,"1,5"
2015-01-01 07:00:00,01.02.2015,,,
2015-01-01 08:00:00,02.02.2015,"a, b",12,"0,1"
"""
FRAME = pl.DataFrame(
    {
        "at": [datetime(2015, 1, 1, 6, 0, 0, 250_000), datetime(2015, 1, 1, 7), datetime(2015, 1, 1, 8)],  # noqa: DTZ001
        "day": [date(2015, 1, 31), date(2015, 2, 1), date(2015, 2, 2)],
        "machine": ["7", None, "a, b"],
        "count": [3, None, 12],
        "Volt (V)": [1.5, float("nan"), 0.1],
    }
)


def store(folder: Path, name: str, frame: pl.DataFrame = FRAME) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    elif name.endswith(".zst"):
        with pa.CompressedOutputStream(str(path), "zstd") as packed:
            packed.write(TEXT.encode())
    else:
        path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith(".gz") else TEXT.encode())
    return folder


def read(folder: Path) -> pl.DataFrame:
    return clean_table(read_table(folder, "readings", TABLE), TABLE, None, Window()).frame


@pytest.mark.parametrize("name", ["readings.csv.gz", "readings.csv.zst", "readings.parquet"])
def test_the_same_rows_give_the_same_frame_and_the_same_lines(tmp_path: Path, name: str) -> None:
    plain, other = read(store(tmp_path / "plain", "readings.csv")), read(store(tmp_path / "other", name))
    assert plain.height == 3
    assert other.equals(plain)
    assert other.hash_rows().equals(plain.hash_rows())


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("at", [datetime(2015, 1, 1, hour, tzinfo=UTC) for hour in (6, 7, 8)]),
        ("count", [3.0, None, 12.0]),  # as pandas stores integers with gaps
        ("machine", [7, None, 8]),
        ("Volt (V)", ["1,5", "", "0,1"]),
    ],
)
def test_other_types_that_say_the_same_are_read(tmp_path: Path, column: str, values: list[Any]) -> None:
    frame = FRAME.with_columns(pl.Series(column, values))
    assert read(store(tmp_path, "readings.parquet", frame)).height == 3


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("at", [1.0, 2.0, 3.0], "a column of type Float64; allowed: timestamp"),
        ("count", [date(2015, 1, 1)] * 3, "a column of type Date; allowed: integer"),
        ("machine", [1.5, 2.5, 3.5], "a column of type Float64; allowed: string"),
        ("Volt (V)", [[1.0]] * 3, "a column of type List"),
    ],
)
def test_a_type_that_does_not_fit_is_refused(tmp_path: Path, column: str, values: list[Any], words: str) -> None:
    with pytest.raises(UnusableFileError, match=r"readings\.parquet") as caught:
        read(store(tmp_path, "readings.parquet", FRAME.with_columns(pl.Series(column, values))))
    assert words in str(caught.value)


def test_a_column_that_is_missing_a_broken_file_and_two_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="no such column"):
        read(store(tmp_path / "a", "readings.parquet", FRAME.drop("count")))
    folder = store(tmp_path / "b", "readings.parquet")
    content = (folder / "readings.parquet").read_bytes()
    (folder / "readings.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableFileError, match="not Parquet"):
        read(folder)
    store(tmp_path / "c", "readings.parquet")
    with pytest.raises(UnusableFileError, match=r"the table twice, as readings\.csv and readings\.parquet"):
        read(store(tmp_path / "c", "readings.csv"))
