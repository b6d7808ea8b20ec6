"""A day gives the same rows, keys, quarantine and verdict, whether read whole or in chunks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.jobs.daily.chunks import merge_quarantine, split_day
from include.jobs.validate_input import judge, validate_chunk
from include.jobs.validate_raw_data import Suites
from include.jobs.validation.report import Report
from include.jobs.validation.suites import load_suite
from include.models.config import ModelConfig, load_model
from include.models.config.files import REPLAY, day_folder

DAY = "2026-01-01"
COLUMNS = {"id": "integer", "at": "timestamp", "x": "number", "name": "string"}
ROWS = 60


def column(check: str, name: str, **kwargs: Any) -> dict[str, Any]:
    kwargs = {"column": name, **kwargs}
    return {"type": f"expect_column_{check}", "kwargs": kwargs, "severity": "critical", "meta": {"action": "Look."}}


SUITE = [
    column("values_to_be_between", "x", min_value=0, max_value=50, mostly=0.8),
    column("values_to_not_be_null", "x", mostly=0.9),
    column("mean_to_be_between", "x", min_value=25, max_value=35),
    column("max_to_be_between", "x", min_value=59),
    column("distinct_values_to_contain_set", "name", value_set=["a", "b", "c"]),
    {
        "type": "expect_table_row_count_to_be_between",
        "kwargs": {"min_value": ROWS - 3},
        "severity": "warning",
        "meta": {"action": "Look."},
    },
]


@pytest.fixture(scope="session")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Suites:
    folder = tmp_path_factory.mktemp("suites")
    (folder / "rows.json").write_text(json.dumps({"name": "rows", "expectations": SUITE}))
    return {"rows": load_suite(folder, "rows")}


def model(**table: Any) -> ModelConfig:
    """One table with a key; a twentieth of its rows may be set aside."""
    config = load_model("tabular_classifier")
    rows = {"file": "rows.csv", "columns": COLUMNS, "key": ["id"], "max_rejected_share": 0.05, **table}
    data = {"tables": {"rows": rows}, "key": rows["key"], "label": "name", "classes": ["a", "b"]}
    whole = config.model_dump(exclude_unset=True) | {"data": data, "features": {"exclude": ["at"]}, "slices": []}
    whole["gates"] = [gate for gate in whole["gates"] if not gate.get("slice")]
    whole["scoring"] = {"tables": ["rows"], "instance_type": "ml.m5.large", "max_rejected_share": 0.05}
    return ModelConfig.model_validate(whole)


def good(number: int) -> str:
    return f"{number},2026-01-01 00:{number % 60:02}:00,{number},{'abc'[number % 3]}"


Outcome = tuple[dict[str, Any], list[tuple[Any, ...]], str | None]


def validated(config: ModelConfig, suites: Suites, partitions: Path, chunks: int, block_bytes: int) -> Outcome:
    """The verdict, the accepted rows by key, the text of the quarantine."""
    size = sum(file.stat().st_size for file in partitions.glob("*/*.csv"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = split_day(config, partitions, DAY, folder / "cut", 1.01 * size / chunks / 2**20, block_bytes)
        assert len(parts) == chunks
        found, accepted = [], []
        quarantines = [folder / f"q{number}" for number in range(chunks)]
        for part, quarantine in zip(parts, quarantines, strict=True):
            counted, rows = validate_chunk(config, part, DAY, suites, quarantine)
            found.append(counted)
            accepted += [rows["rows"]] if "rows" in rows else []
        merge_quarantine(quarantines, folder / "q", {name for (_, name), part in found[0].items() if part.is_whole})
        report = Report(config.name, "day", judge(config, DAY, found)).as_dict()
        file = folder / "q" / "rows.csv"
        quarantine_text = file.read_text() if file.exists() else None
    report["findings"] = [one for one in report["findings"] if one["expectation"] != "rows_are_sorted"]
    table = pl.concat(accepted).sort(config.data.key).rows() if accepted else []
    return report, table, quarantine_text


def write(folder: Path, content: bytes) -> Path:
    day = folder / day_folder(DAY)
    day.mkdir(parents=True)
    (day / "rows.csv").write_bytes(content)
    return folder


def assert_same(config: ModelConfig, suites: Suites, partitions: Path, chunks: int = 3, block_bytes: int = 97) -> None:
    whole = validated(config, suites, partitions, 1, 1 << 24)
    cut = validated(config, suites, partitions, chunks, block_bytes)
    assert cut[0] == whole[0]
    assert cut[1] == whole[1]
    assert cut[2] == whole[2]


HEADER = "id,at,x,name"
DAMAGES: dict[str, Callable[[list[str]], list[str]]] = {
    "nothing": lambda lines: lines,
    "quoted header": lambda lines: [",".join(f'"{name}"' for name in HEADER.split(",")), *lines[1:]],
    "columns in another order": lambda lines: ["name,x,at,id", *(",".join(reversed(x.split(","))) for x in lines[1:])],
    "blank lines": lambda lines: [*lines[:2], "", " ", *lines[2:]],
    "a short row": lambda lines: [*lines[:3], "7,2026", *lines[3:]],
    "a bad cell after a blank line": lambda lines: [*lines[:2], "", "99,2026-01-01,much,a", *lines[2:]],
    "a line break in a cell": lambda lines: [*lines[:9], '99,2026-01-01,1,"a\nb"', *lines[9:]],
    "rows repeated": lambda lines: [*lines, lines[5], lines[7].replace(",6,", ",16,")],
    "six bad rows of 66": lambda lines: [*lines, *(f"{900 + n},2026-01-01,much,a" for n in range(6))],
    "two bad rows of 62": lambda lines: [*lines, *(f"{900 + n},2026-01-01,inf,a" for n in range(2))],
    "keys spelled in several ways": lambda lines: [*lines, " 7 ,2026-01-01,7,a", "8.0,2026-01-01,8,b"],
    "a column misnamed": lambda lines: ["id,at,x,nam", *lines[1:]],
    "no rows": lambda lines: lines[:1],
    "all rows bad": lambda lines: [lines[0], *(f"{n},then,{n},a" for n in range(ROWS))],
    "numbers out of range": lambda lines: [*lines[:-30], *(line.replace(",5", ",15") for line in lines[-30:])],
    "an open quote": lambda lines: [*lines[:-4], '99,2026-01-01,1,"a', *lines[-4:]],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_day_is_judged_the_same_whole_and_in_chunks(damage: str, suites: Suites, tmp_path: Path) -> None:
    lines = DAMAGES[damage]([HEADER, *map(good, range(ROWS))])
    assert_same(model(), suites, write(tmp_path, ("\n".join(lines) + "\n").encode()))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.removesuffix("\n").encode("utf-8-sig"),
        lambda text: text.replace(",a\n", ",ä\n").encode("latin-1"),
        lambda text: text.encode("utf-16"),
    ],
    ids=["CRLF", "CR", "byte-order mark", "latin-1", "UTF-16"],
)
def test_line_ends_and_encodings(change: Callable[[str], bytes], suites: Suites, tmp_path: Path) -> None:
    assert_same(model(), suites, write(tmp_path, change("\n".join([HEADER, *map(good, range(ROWS))]) + "\n")))


def test_rows_that_are_known_by_their_place(suites: Suites, tmp_path: Path) -> None:
    config = model(row_number="row", key=["row"])
    lines = [HEADER, *map(good, range(20)), "", "7,2026", *map(good, range(20, ROWS))]
    assert_same(config, suites, write(tmp_path, "\n".join(lines).encode()))


def test_corrected_rows_stand_in_the_places_of_rejected_ones(suites: Suites, tmp_path: Path) -> None:
    partitions = write(tmp_path, "\n".join([HEADER, *map(good, range(20)), "7,2026", good(30)]).encode())
    replay = partitions / day_folder(DAY) / REPLAY
    replay.mkdir()
    (replay / "rows.csv").write_text("file_line,reason,id,at,x,name,malformed_row\n22,,77,2026-01-01,7,a,\n")
    assert_same(model(), suites, partitions, chunks=2)
    _, rows, quarantine = validated(model(), suites, partitions, 2, 64)
    assert rows[-1][0] == 77
    assert quarantine is None


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(1, ROWS),
            st.sampled_from(
                ["", "7,2026", "x,2026-01-01,1,a", "3,2026-01-01,3,a", '9,2026-01-01,"1\n",b', "9,,1_000,é", '5,"6,7']
            ),
        ),
        max_size=6,
    ),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    chunks=st.integers(2, 4),
    block_bytes=st.integers(1, 400),
)
def test_any_day(suites: Suites, changes: list[tuple[int, str]], ending: str, chunks: int, block_bytes: int) -> None:
    lines = [HEADER, *map(good, range(ROWS))]
    for place, line in changes:
        lines.insert(place, line)
    with tempfile.TemporaryDirectory() as folder:
        partitions = write(Path(folder), (ending.join(lines) + ending).encode())
        assert_same(model(), suites, partitions, chunks, block_bytes)
