"""The beginning of files, as shown in a browser."""

from __future__ import annotations

import gzip
import io

import pytest

from include.local_sagemaker.pages.previews import ROWS, PreviewError, can_preview, preview


def of(key: str, content: bytes) -> tuple[bool, list[str], int, str]:
    """Whether it is complete, columns, number of rows, text."""
    shown = preview(key, io.BytesIO(content), len(content))
    return shown.whole, list(shown.columns), len(shown.rows), shown.text


def test_a_table_and_its_beginning() -> None:
    assert of("a/x.csv", b'a,b\n1,"2, 3"\n') == (True, ["a", "b"], 1, "")
    assert of("x.csv", b"a\n" + b"1\n" * 500) == (False, ["a"], ROWS, "")
    assert of("x.tsv", b"a\tb\n1\t2\n")[1] == ["a", "b"]
    assert of("empty.csv", b"") == (True, [], 0, "")


def test_a_large_table_is_cut_at_a_line() -> None:
    whole, columns, rows, _ = of("x.csv", b"a,b\n" + b"1," + b"2" * 300_000)
    assert (whole, columns, rows) == (False, ["a", "b"], 0)


@pytest.mark.parametrize("rows", [1, 100_000])
def test_packed_tables(rows: int) -> None:
    whole, columns, shown, _ = of("x.csv.gz", gzip.compress(b"a\n" + b"1\n" * rows))
    assert (whole, columns, shown) == (rows == 1, ["a"], min(rows, ROWS))


def test_a_packed_bomb_takes_no_memory() -> None:
    whole, _, _, text = of("x.txt.gz", gzip.compress(b"0" * 300_000_000))
    assert not whole
    assert len(text) <= 256 * 1024


def test_json_is_laid_out_and_damaged_json_shown_as_it_is() -> None:
    assert of("x.json", b'{"a":[1]}')[3] == '{\n  "a": [\n    1\n  ]\n}'
    assert of("x.json", b'{"a":')[3] == '{"a":'
    assert of("x.jsonl", b"{}\n{}\n")[3] == "{}\n{}\n"


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [("x.csv.gz", b"not packed", "not a gzip file"), ("x.tar", b"x", "no preview of this kind")],
)
def test_what_cannot_be_shown_says_why(key: str, content: bytes, reason: str) -> None:
    with pytest.raises(PreviewError, match=reason):
        preview(key, io.BytesIO(content), len(content))


def test_what_a_folder_offers_a_preview_of() -> None:
    assert can_preview("runs/x/part-00000.parquet")
    assert can_preview("x.csv.gz")
    assert not can_preview("model.tar.gz")
