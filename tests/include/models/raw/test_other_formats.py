"""Files named .csv that are not CSV: every reader names the real format, and what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.csv as pa_csv
import pyarrow.feather as feather
import pyarrow.orc as orc
import pytest

from include.models.errors import JobError
from include.models.raw.other_formats import other_format, wide_encoding
from include.models.raw.reader import UnreadableFileError, open_raw
from include.models.tabular.first_look.file_form import find_form

TEXT = "x,n,y\n" + "".join(f"{row}.5,{row % 10},{'no' if row % 3 else 'yes'}\n" for row in range(100))
FRAME = pl.read_csv(TEXT.encode())


def packed(kind: str) -> bytes:
    file = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("rows.csv", TEXT)
    elif kind == "tar":
        with tarfile.open(fileobj=file, mode="w") as archive_of_tapes:
            archive_of_tapes.addfile(tarfile.TarInfo("rows.csv"))
    elif kind == "xlsx":
        FRAME.write_excel(file)
    elif kind == "parquet":
        FRAME.write_parquet(file)
    elif kind == "arrow":
        FRAME.write_ipc(file)
    elif kind == "avro":
        FRAME.write_avro(file)
    elif kind == "feather":
        feather.write_feather(FRAME.to_arrow(), file, version=1)
    elif kind == "orc":
        orc.write_table(pa_csv.read_csv(io.BytesIO(TEXT.encode())), file)
    elif kind == "numpy":
        np.save(file, FRAME["n"].to_numpy())
    return file.getvalue()


FORMATS: dict[str, tuple[bytes, str]] = {
    **{
        kind: (packed(kind), words)
        for kind, words in {
            "zip": "a zip archive, not delimited text. Unpack it",
            "tar": "a tar archive",
            "xlsx": "an Excel workbook, not delimited text. Its name has to end in .xlsx",
            "parquet": "a Parquet file, not delimited text. Its name has to end in .parquet",
            "arrow": "an Arrow",
            "avro": "an Avro file",
            "feather": "an Arrow",
            "orc": "an ORC file",
            "numpy": "a NumPy array",
        }.items()
    },
    "gzip": (gzip.compress(TEXT.encode()), "gzip data, not delimited text. Its name has to end in .gz"),
    "bzip2": (bz2.compress(TEXT.encode()), "bzip2 data"),
    "xz": (lzma.compress(TEXT.encode()), "xz data"),
    "sqlite": (b"SQLite format 3\x00\x10\x00", "an SQLite database"),
    "JSON Lines": (b'{"x": 1, "y": "a"}\n{"x": 2, "y": "b"}\n', "JSON Lines, not delimited text. Write its objects"),
    "JSON": (b'\n[{"x": 1, "y": "a"}]', "JSON, not"),
    "indented JSON": (b'{\n  "x": [1, 2]\n}\n', "JSON, not"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "a Git LFS pointer, not .*git lfs",
    ),
    "a page": (b"\xef\xbb\xbf\n <!doctype HTML>\n<title>Sign in</title>", "a web page, not .* without signing in"),
    "S3's answer": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML, not"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook"),
    "PDF": (b"%PDF-1.7\n", "a PDF"),
    "ARFF": (b"@RELATION iris\n@ATTRIBUTE x NUMERIC\n", "an ARFF file"),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_new_model_and_the_reader_name_what_it_is(tmp_path: Path, kind: str) -> None:
    content, words = FORMATS[kind]
    file = tmp_path / "rows.csv"
    file.write_bytes(content)
    with pytest.raises(JobError, match=f"rows.csv is {words}"):
        find_form(file, assume=True)
    with pytest.raises(UnreadableFileError, match=f"found {words.split(',')[0]}"), open_raw(file):
        pass
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(content))
    with pytest.raises(JobError, match=r"rows\.csv\.gz is "):
        find_form(tmp_path / "rows.csv.gz", assume=True)


@pytest.mark.parametrize(
    "line", ["{x},y", "[cm],[kg]", "BZ,ORC", "PARTY,y", "<5,>5", "version,y", "Objective,y", "RD,X"]
)
def test_a_header_may_begin_like_one(line: str) -> None:
    assert other_format(f"{line}\n1,2\n".encode()) is None


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_is_known_with_a_mark_and_without(tmp_path: Path, encoding: str) -> None:
    assert wide_encoding(TEXT.encode(encoding)) == encoding
    assert wide_encoding("\ufeffГород,y\n1,2\n".encode(encoding)) == encoding[:6]
    assert wide_encoding("Город,Улица,y\n12,34,5\n".encode(encoding)) == encoding
    file = tmp_path / "rows.csv"
    file.write_bytes(TEXT.encode(encoding))
    with pytest.raises(JobError, match=rf"this is {encoding[:6].upper()} text.*ENCODING={encoding}"):
        find_form(file)
    form = find_form(file, assume=True).form
    with open_raw(file, form) as raw:
        assert raw.header == ["x", "n", "y"]
        assert sum(block.lines.height for block in raw.blocks(raw.header)) == 100


def test_plain_text_is_not_wide() -> None:
    assert wide_encoding(TEXT.encode()) is None
    assert wide_encoding(b"x,y\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00") is None
    assert wide_encoding(b"") is None
