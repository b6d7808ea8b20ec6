"""A file's rows are the same in blocks of any size, and so are the errors of an unreadable file."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include.models.config import LINE
from include.models.raw import reader
from include.models.raw.reader import Form, UnreadableFileError, no_rows, open_raw

COLUMNS = ["x", "y", "z"]
Found = tuple[list[tuple[object, ...]], list[tuple[object, ...]]] | str

cells = st.text('ab1 ,"\né', max_size=4).map(lambda text: '"' + text.replace('"', '""') + '"') | st.sampled_from(
    ["", "1", "-2.5", 'a"b', "é", '"', '"open', '"a"b', " ", "\0"]
)
rows = st.lists(cells, min_size=1, max_size=4).map(",".join)
endings = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\r\r", ""])
texts = st.lists(st.tuples(rows, endings), max_size=8).map(lambda lines: "".join(row + end for row, end in lines))
contents = st.builds(
    lambda mark, text, place, bad: mark + text.encode()[:place] + bad + text.encode()[place:],
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    texts,
    st.integers(0, 60),
    st.sampled_from([b"", b"", b"", b"", b"\xff", b"\xe9"]),
)


def read(path: Path, block_bytes: int, *, header: bool = False) -> Found:
    try:
        with open_raw(path, Form(header=header), block_bytes) as raw:
            blocks = [no_rows(COLUMNS), *raw.blocks(COLUMNS)]
    except UnreadableFileError as error:
        return str(error)
    lines, malformed = (pl.concat([getattr(one, part) for one in blocks]) for part in ("lines", "malformed"))
    assert lines[LINE].is_sorted()
    return lines.rows(), malformed.rows()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=contents, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=3), packed=st.booleans())
@example(content=b'\n""\n', sizes=[1], packed=False)
@example(content=b'a,b,"c\r\n', sizes=list(range(1, 9)), packed=False)
@example(content=b'a,b,c\r\n"d\r","e""\n",f\r\rg,h,i', sizes=list(range(1, 30)), packed=False)
@example(content=b"\xef\xbb\xbfa,b,c\n1,2,3\n4,5\n6,\xe9,7\n", sizes=list(range(1, 30)), packed=True)
def test_rows_do_not_depend_on_the_size_of_blocks(
    tmp_path: Path, content: bytes, sizes: list[int], packed: bool
) -> None:
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    for header in (False, True):
        whole = read(path, reader.BLOCK, header=header)
        for size in sizes:
            assert read(path, size, header=header) == whole


def test_lines_are_counted_past_blank_and_malformed_ones_and_breaks_in_cells(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'x,y,z\n\n1,2,3\n4,5\n , ,\n"a\nb",5,6\n7,8,9')
    with open_raw(path, block_bytes=5) as raw:
        assert raw.header == COLUMNS
        blocks = list(raw.blocks(COLUMNS))
    assert pl.concat([one.lines for one in blocks]).rows() == [
        ("1", "2", "3", 3),
        ("a\nb", "5", "6", 6),
        ("7", "8", "9", 7),
    ]
    assert pl.concat([one.malformed for one in blocks]).rows() == [(4, "4,5", "2 fields instead of 3")]


@pytest.mark.parametrize("before", [b"", b"\n", b"\r", b"\r\n\r\n", b" \n\n", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("block_bytes", [1, 7, reader.BLOCK])
def test_blank_lines_before_the_header_are_left_out_but_counted(
    tmp_path: Path, before: bytes, block_bytes: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(before + b"x,y,z\n1,2,3\n4,\xff,6\n")
    line = len(before.removeprefix(b"\xef\xbb\xbf").splitlines()) + 2
    with open_raw(path, block_bytes=block_bytes) as raw:
        assert raw.header == COLUMNS
        with pytest.raises(UnreadableFileError, match=f"column y: found a byte 0xff in line {line + 1};"):
            list(raw.blocks(COLUMNS))
    path.write_bytes(before + b"x,y,z\n1,2,3\n")
    with open_raw(path, block_bytes=block_bytes) as raw:
        assert [row for block in raw.blocks(COLUMNS) for row in block.lines.rows()] == [("1", "2", "3", line)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x,y,z\n1,Größe,2\n".encode("latin-1"), "column y: found a byte 0xf6 in line 2; allowed: UTF-8 text."),
        ("x,Größe,z\n1,2,3\n".encode("latin-1"), "t.csv: found a byte 0xf6 in line 1; allowed: UTF-8 text."),
        ("x,y,z\n1,2,3\n".encode("utf-16"), "found UTF-16 text, a byte 0xff in line 1; allowed: UTF-8 text."),
        ("x,y,z\n1,2,3\n".encode("utf-16-le"), "found UTF-16 text, a byte 0x00 in line 1; allowed: UTF-8 text."),
        (b"", "found an empty file; allowed: a header and at least one row."),
        (b" \n\r\n", "found an empty file; allowed: a header and at least one row."),
        (b'x,"y,z\n1,2,3\n', "t.csv: found a quote that is opened in line 1 and never closed"),
        (b'x,y,z\n1,2,3\n4,"5\n",6\n7,8,"9\n1,2,3\n', "column z: found a quote that is opened in line 5 and never"),
    ],
    ids=[
        "latin-1 cell",
        "latin-1 header",
        "UTF-16",
        "UTF-16 without mark",
        "empty",
        "blank",
        "open quote",
        "open quote of a cell",
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 7, reader.BLOCK])
def test_what_cannot_be_read_is_said_in_the_same_words(
    tmp_path: Path, content: bytes, words: str, block_bytes: int
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    found = read(path, block_bytes, header=True)
    assert isinstance(found, str)
    assert words in found


def test_a_quote_that_swallows_a_large_file_is_refused_before_memory_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LONGEST_ROW", 1 << 20)
    path = tmp_path / "t.csv"
    path.write_bytes(b'x,y,z\n1,2,3\n4,"5,6\n' + b"7,8,9\n" * 300_000)
    found = read(path, 1 << 16, header=True)
    assert isinstance(found, str)
    assert "a row of more than 1 MiB from line 3 on" in found
    assert "an unclosed quote" in found


def test_size_and_hash_are_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"x,y,z\n1,2,3\n"))
    with open_raw(path) as raw:
        list(raw.blocks(COLUMNS))
        assert raw.size == path.stat().st_size


@pytest.mark.parametrize("block_bytes", [1, 7, reader.BLOCK])
def test_a_byte_order_mark_within_the_text_is_its_cells_wherever_a_block_begins(
    tmp_path: Path, block_bytes: int
) -> None:
    """As if two exports had been concatenated."""
    path = tmp_path / "t.csv"
    path.write_bytes("\ufeffx,y,z\n1,2,3\n\ufeff4,5,6\n\ufeff7,8\n".encode())
    with open_raw(path, block_bytes=block_bytes) as raw:
        assert raw.header == ["x", "y", "z"]
        blocks = list(raw.blocks(COLUMNS))
    assert [row[0] for block in blocks for row in block.lines.rows()] == ["1", "\ufeff4"]
    assert [text for block in blocks for text in block.malformed["text"]] == ["\ufeff7,8"]


def test_a_separator_that_python_strips_is_text_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\x1c\n\x1d\n")
    with open_raw(path) as raw:
        assert raw.header == ["\x1c"]
        (block,) = list(raw.blocks(["x"]))
    assert block.lines.rows() == [("\x1d", 2)]


@pytest.mark.parametrize("blank", [b"\n", b" \t\r\n", b",,\n", b"\x0b\r", "\u00a0,\n".encode(), b'"",""\r\n'])
@pytest.mark.parametrize("block_bytes", [1, 7, reader.BLOCK])
def test_blank_rows_before_the_header_are_none(tmp_path: Path, blank: bytes, block_bytes: int) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(blank * 3 + b"x,y,z\n1,2,3\n")
    with open_raw(path, block_bytes=block_bytes) as raw:
        assert raw.header == ["x", "y", "z"]
        (block,) = list(raw.blocks(COLUMNS))
    assert block.lines.rows() == [("1", "2", "3", 5)]
