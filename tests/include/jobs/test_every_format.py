"""The same rows as text, packed and as Parquet are the same wherever raw rows are read; other types are refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.jobs.daily.day import day_tables
from include.jobs.files.tables import GivenTables, folder_of
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import StoredTable, read_table
from include.jobs.watching.truth import read_labels
from include.models.config import LINE, load_model

CONFIG = load_model("predictive_maintenance")
TABLE = CONFIG.data.tables["telemetry"]
STEM = TABLE.file.removesuffix(".csv")
ROWS = pl.DataFrame(
    {
        "datetime": ["2015-01-01 06:00:00", "2015-01-01 07:00:00", "2015-01-01 08:00:00"],
        "machineID": [1, 1, 2],
        "volt": [176.217853015625, 0.1 + 0.2, None],
        "rotate": [418.504078221616, 402.74748957423, 1e-7],
        "pressure": [113.077935462083, 95.4605253823187, 75.0],
        "vibration": [45.0876857639276, 43.4139726834815, 34.0],
    }
).with_columns(pl.col("datetime").str.to_datetime())
LABELS = ROWS.select("machineID", "datetime", failure=pl.Series(["none", "comp1", "comp2"]))


def text_of(rows: pl.DataFrame) -> bytes:
    return rows.write_csv(datetime_format="%Y-%m-%d %H:%M:%S").encode()


def as_zstd(content: bytes) -> bytes:
    into = pa.BufferOutputStream()
    with pa.CompressedOutputStream(into, "zstd") as packing:
        packing.write(content)
    return bytes(into.getvalue())


FORMATS: dict[str, Callable[[Path, pl.DataFrame], object]] = {
    ".csv": lambda path, rows: path.write_bytes(text_of(rows)),
    ".csv.gz": lambda path, rows: path.write_bytes(gzip.compress(text_of(rows))),
    ".csv.zst": lambda path, rows: path.write_bytes(as_zstd(text_of(rows))),
    ".parquet": lambda path, rows: rows.write_parquet(path),
}


def raw(folder: Path, ending: str) -> pl.DataFrame:
    FORMATS[ending](folder / f"{STEM}{ending}", ROWS)
    return clean_table(read_table(folder, "telemetry", TABLE), TABLE, None, Window()).frame.drop(LINE)


def partition(folder: Path, ending: str) -> pl.DataFrame:
    FORMATS[ending](folder / f"{STEM}{ending}", ROWS)
    table = day_tables(CONFIG, "2015-01-01")["telemetry"]
    return clean_table(StoredTable(folder, "telemetry", table), table, None, Window()).frame.drop(LINE)


def inbox(folder: Path, ending: str, name: str = "from the plant") -> pl.DataFrame:
    FORMATS[ending.lower()](folder / f"{name}{ending}", ROWS)
    with folder_of(CONFIG, folder) as tables:
        [found] = GivenTables(CONFIG, tables, folder / "quarantine").chunks()
    return pl.DataFrame(found["telemetry"])


def labels(folder: Path, ending: str, name: str = "told") -> pl.DataFrame:
    FORMATS[ending.lower()](folder / f"{name}{ending}", LABELS)
    schema = {"machineID": pl.Int64(), "datetime": pl.Datetime("us")}
    return read_labels(CONFIG, folder, schema)


@pytest.mark.parametrize("read", [raw, partition, inbox, labels])
def test_each_format_holds_the_same_rows(read: Callable[[Path, str], pl.DataFrame], tmp_path: Path) -> None:
    found = {}
    for ending in FORMATS:
        folder = tmp_path / ending
        folder.mkdir()
        found[ending] = read(folder, ending)
    expected = found[".csv"]
    assert expected.height == 3
    for ending, rows in found.items():
        assert rows.equals(expected), ending
        assert rows.schema == expected.schema, ending
        assert rows.hash_rows().to_list() == expected.hash_rows().to_list(), ending


@pytest.mark.parametrize("read", [inbox, labels])
def test_a_file_of_any_name_may_end_in_capitals(read: Callable[[Path, str], pl.DataFrame], tmp_path: Path) -> None:
    for ending in FORMATS:
        for folder in (tmp_path / ending, tmp_path / ending.upper()):
            folder.mkdir()
        small = read(tmp_path / ending, ending)
        assert read(tmp_path / ending.upper(), ending.upper()).equals(small)


def test_parts_packed_one_after_the_other_are_one_file(tmp_path: Path) -> None:
    header, *rows = text_of(ROWS).splitlines(keepends=True)
    for pack, ending in ((gzip.compress, ".csv.gz"), (as_zstd, ".csv.zst")):
        folder = tmp_path / ending
        folder.mkdir()
        (folder / f"{STEM}{ending}").write_bytes(pack(header + rows[0]) + pack(b"".join(rows[1:])))
        assert read_table(folder, "telemetry", TABLE).rows == 3


def with_column(name: str, values: pa.Array) -> pa.Table:
    table = ROWS.to_arrow()
    return table.set_column(table.column_names.index(name), name, values)


BERLIN = (
    ROWS["datetime"]
    .dt.replace_time_zone("UTC")
    .dt.convert_time_zone("Europe/Berlin")
    .cast(pl.Datetime("ns", "Europe/Berlin"))
)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("datetime", BERLIN.to_arrow()),
        ("machineID", pa.array([1, 1, 2]).dictionary_encode()),
        ("machineID", pa.array([1.0, 1.0, 2.0])),
        ("volt", pa.array(["176.217853015625", "0.30000000000000004", None]).dictionary_encode()),
    ],
)
def test_types_that_hold_the_same_values_are_read_the_same(name: str, values: pa.Array, tmp_path: Path) -> None:
    for folder in ("plain", "typed"):
        (tmp_path / folder).mkdir()
    expected = raw(tmp_path / "plain", ".csv")
    pq.write_table(with_column(name, values), tmp_path / "typed" / f"{STEM}.parquet")
    found = clean_table(read_table(tmp_path / "typed", "telemetry", TABLE), TABLE, None, Window()).frame.drop(LINE)
    assert found.equals(expected)


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("volt", pa.array([[1.0], [2.0], None]), r"column volt: found a column of type List\(Float64\)"),
        ("volt", pa.array([{"of": 1.0}] * 3), "column volt: found a column of type Struct"),
        ("volt", pa.array([True, False, None]), "column volt: found a column of type Boolean"),
        ("volt", pa.array([b"1", b"2", b"3"]), "column volt: found a column of type Binary"),
        ("datetime", pa.array([1420092000, 1420095600, 1420099200]), "column datetime: found a column of type Int64"),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(name: str, values: pa.Array, found: str, tmp_path: Path) -> None:
    pq.write_table(with_column(name, values), tmp_path / f"{STEM}.parquet")
    with pytest.raises(UnusableFileError, match=found):
        read_table(tmp_path, "telemetry", TABLE)


def test_a_file_that_ends_early_or_has_no_rows_is_refused(tmp_path: Path) -> None:
    for ending, found in ((".csv.gz", "ends early"), (".csv.zst", "ends early"), (".parquet", "not Parquet")):
        path = tmp_path / f"{STEM}{ending}"
        FORMATS[ending](path, ROWS)
        path.write_bytes(path.read_bytes()[:-7])
        with pytest.raises(UnusableFileError, match=found):
            read_table(tmp_path, "telemetry", TABLE)
        FORMATS[ending](path, ROWS.clear())
        with pytest.raises(UnusableFileError, match="a header and no rows"):
            read_table(tmp_path, "telemetry", TABLE)
        path.unlink()
