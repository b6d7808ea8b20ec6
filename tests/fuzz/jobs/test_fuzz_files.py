"""Raw files and replay files: what is read does not depend on how the file is cut, and an unreadable file is refused
with a message."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import strategies as st

from include.jobs.daily.replay import read_day
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.findings import UnusableFileError
from include.jobs.validation.reading import read_table
from include.models.config import LINE, Table, load_model
from include.models.config.kinds import WHITESPACE
from include.models.machine_downtime.simulate import main as simulate
from include.models.raw.reader import UnreadableFileError, open_raw
from tests.fuzz.examples import attempt, damaged, fuzz

FRAGMENTS = [b'"', b'""', b",", b";", b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b"\xff", b"\xef\xbb\xbf", "µ".encode()]
FRAGMENTS += [b"NaN", b"inf", b"1e999", b"-", b" ", b"\t", b"31-12-2021", b"2021-02-30", b"=1+1", b"<<<<<<< HEAD\n"]
CELLS = st.sampled_from([b"", b"1", b"a", b"-2.5", b'"x,y"', b'"q""q"', b'"l\nm"', b" ", "ü".encode(), b"NaN"])
ROWS = st.lists(st.lists(CELLS, min_size=3, max_size=3).map(b",".join), max_size=6)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
SMALL = st.builds(lambda rows, end: end.join([b"a,b,c", *rows]) + end, ROWS, ENDS)
TABLE: Table = load_model("machine_downtime").data.tables["readings"]


def read(path: Path, block_bytes: int) -> tuple[object, ...]:
    """Everything that is read from a file."""
    with open_raw(path, block_bytes=block_bytes) as raw:
        columns = [str(place) for place in range(len(raw.header or []))]
        blocks = list(raw.blocks(columns))
        lines = [row for block in blocks for row in block.lines.rows()]
        malformed = [row for block in blocks for row in block.malformed.rows()]
        return raw.header, lines, malformed, raw.size, raw.sha256


def read_or_refused(path: Path, block_bytes: int) -> tuple[object, ...]:
    found, error = attempt(lambda: read(path, block_bytes), UnreadableFileError)
    assert error is None or str(error).startswith(path.name)
    return (error.check,) if error else found or ()


def test_raw_files(tmp_path: Path) -> None:
    plain, packed = tmp_path / "raw.csv", tmp_path / "raw.csv.gz"

    def check(content: bytes) -> None:
        plain.write_bytes(content)
        packed.write_bytes(gzip.compress(content, 1))
        whole = read_or_refused(plain, 1 << 20)
        assert read_or_refused(plain, 7) == whole
        assert read_or_refused(packed, 11)[:3] == whole[:3]
        try:
            rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error):
            return
        if len(whole) > 1 and b"\0" not in content:
            _, lines, malformed, *_ = whole
            texts = list(csv.reader(text for _, text, _ in malformed))  # type: ignore[attr-defined]
            assert len(lines) + with_text(texts) == with_text(rows[header_row(rows) + 1 :])

    fuzz("raw files", damaged(SMALL, FRAGMENTS) | st.binary(max_size=60), check)


def with_text(rows: list[list[str]]) -> int:
    return sum(any(cell.strip(WHITESPACE) for cell in row) for row in rows)


def header_row(rows: list[list[str]]) -> int:
    """The first row with any text, or the last row."""
    return next((place for place, row in enumerate(rows) if any(cell.strip(WHITESPACE) for cell in row)), len(rows) - 1)


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("simulated")
    simulate(["--out", str(folder), "--days", "2"])
    return (folder / TABLE.file).read_bytes()


def test_tables_of_raw_files(tmp_path: Path, readings: bytes) -> None:
    def check(content: bytes) -> None:
        (tmp_path / TABLE.file).write_bytes(content)
        raw, error = attempt(lambda: read_table(tmp_path, "readings", TABLE), UnusableFileError)
        if error:
            assert error.findings
            assert all(finding.found and finding.allowed and finding.action for finding in error.findings)
        if raw is None:
            return
        cleaned = clean_table(raw, TABLE, None, Window())
        assert cleaned.frame.height <= raw.lines.height

    fuzz("tables", damaged(st.just(readings), FRAGMENTS), check)


def test_replay_files(tmp_path: Path, readings: bytes) -> None:
    """Corrected rows replace others, or are refused."""
    (tmp_path / "replay").mkdir()
    (tmp_path / TABLE.file).write_bytes(readings)
    raw = read_table(tmp_path, "readings", TABLE)
    good = raw.lines.head(3).rename(TABLE.headers).with_columns(pl.col(LINE).cast(pl.String)).rename({})
    text = good.select(LINE, *TABLE.columns) if set(TABLE.columns) <= set(good.columns) else raw.lines.head(3)
    replay = text.write_csv().encode()

    def check(content: bytes) -> None:
        (tmp_path / "replay" / TABLE.file).write_bytes(content)
        found, error = attempt(lambda: read_day(tmp_path, "readings", TABLE), UnusableFileError)
        if found is None:
            assert "replay/" in str(error)
            return
        assert not found.lines[LINE].is_duplicated().any()
        assert found.lines.height >= raw.lines.height

    fuzz("replay files", damaged(st.just(replay), [*FRAGMENTS, LINE.encode(), b"2,", b"3,"]), check)
