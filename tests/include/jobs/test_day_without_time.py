"""Days of models with rows without a time: the partition names the day, and rows are numbered from its start."""

from __future__ import annotations

import gzip
import importlib
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from include.jobs import split_days, validate_input
from include.jobs.daily.chunks import shard_column
from include.jobs.daily.day import read_chunk
from include.jobs.daily.day_features import day_features
from include.jobs.split_days import BATCHES
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.config import LINE, ModelConfig, load_model
from include.models.loader import feature_builder

DAYS = {"electricity": date(1996, 6, 10), "machine_downtime": date(2021, 12, 20), "abalone_age": date(2026, 1, 2)}
SIZE = {"electricity": "--days=60", "machine_downtime": "--days=60", "abalone_age": "--rows=1000"}


@pytest.fixture(scope="module")
def raws(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, size in SIZE.items():
        folders[name] = tmp_path_factory.mktemp(name)
        importlib.import_module(f"include.models.{name}.simulate").main(["--out", str(folders[name]), size])
    return folders


def whole_features(config: ModelConfig, raw: Path) -> pl.DataFrame:
    """The features of the whole history, computed together."""
    tables = {
        name: clean_table(read_table(raw, name, table), table, config.data.time, Window()).frame.drop(LINE)
        for name, table in config.data.tables.items()
    }
    return feature_builder(config.name).build_features(tables, with_label=False)


def days_of(name: str, raw: Path, into: Path, *, first: date, last: date) -> None:
    arguments = ["--raw", raw, "--days", into, "--first", first, "--last", last]
    split_days.main(["--model", name, *map(str, arguments)])


def validated(name: str, partitions: Path, folder: Path, day: date) -> list[pl.DataFrame]:
    """The day's feature rows, by chunk."""
    arguments = ["--partitions", partitions, "--day", day, "--validated", folder / "v", "--report", folder / "r"]
    validate_input.main(["--model", name, *map(str, arguments)])
    verdict = json.loads((folder / "r" / "validation.json").read_text())
    assert verdict["passed"], verdict["summary"]
    config = load_model(name)
    found = [day_features(config, read_chunk(file), str(day)) for file in sorted((folder / "v").glob("chunk-*.tar"))]
    return [frame for frame in found if frame is not None]


def partition(name: str, folder: Path, day: date) -> Path:
    (table,) = load_model(name).data.tables.values()
    return folder / f"date={day}" / f"{table.file}.gz"


def numbered(config: ModelConfig) -> ModelConfig:
    """A model with a key that counts the file's rows instead of identifying them by content."""
    table = config.data.tables["abalone"].model_copy(update={"content_key": None, "row_number": "specimen"})
    return config.model_copy(update={"data": config.data.model_copy(update={"tables": {"abalone": table}})})


def edit(file: Path, change: dict[int, str | None]) -> None:
    """Replace lines, numbered from 0; None removes a line."""
    lines = dict(enumerate(gzip.decompress(file.read_bytes()).decode().splitlines())) | change
    file.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines.values() if line is not None).encode()))


def test_half_hours_come_from_the_clock_and_are_those_of_the_whole_history(
    raws: dict[str, Path], tmp_path: Path
) -> None:
    name = "electricity"
    config, day = load_model(name), DAYS[name]
    days_of(name, raws[name], tmp_path / "p", first=day - timedelta(days=7), last=day)
    (frame,) = validated(name, tmp_path / "p", tmp_path, day)
    start = datetime.combine(day, datetime.min.time())
    of_day = pl.col("half_hour").is_between(start, start + timedelta(days=1), closed="left")
    assert frame.equals(whole_features(config, raws[name]).filter(of_day))
    assert len(frame) == 48


def test_a_half_hour_that_is_set_aside_moves_no_other(
    raws: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, day = "electricity", DAYS["electricity"]
    days_of(name, raws[name], tmp_path / "p", first=day, last=day)
    (whole,) = validated(name, tmp_path / "p", tmp_path / "whole", day)
    edit(partition(name, tmp_path / "p", day), {11: f"{10 / 47:.6f},not read,0.1,0.1,0.1,0.1,1"})
    config = load_model(name)
    assert config.scoring is not None
    lenient = config.model_copy(update={"scoring": config.scoring.model_copy(update={"max_rejected_share": 0.1})})
    monkeypatch.setattr(validate_input, "load_model", lambda name: lenient)
    (frame,) = validated(name, tmp_path / "p", tmp_path / "hole", day)
    assert frame["half_hour"].to_list() == [*whole["half_hour"][:10], *whole["half_hour"][11:]]
    assert frame.head(10).equals(whole.head(10))
    assert frame["nswprice_1"][10] is None, "the following half-hour"
    assert frame["nswprice_1"].to_list()[11:] == whole["nswprice_1"].to_list()[12:]


def test_half_hours_of_a_day_that_breaks_off_are_as_they_were(raws: dict[str, Path], tmp_path: Path) -> None:
    name, day = "electricity", DAYS["electricity"]
    days_of(name, raws[name], tmp_path / "p", first=day, last=day)
    whole = validated(name, tmp_path / "p", tmp_path / "whole", day)[0]
    edit(partition(name, tmp_path / "p", day), dict.fromkeys(range(20, 49)))
    (frame,) = validated(name, tmp_path / "p", tmp_path / "part", day)
    assert frame.equals(whole.head(19))


def test_readings_count_from_the_days_first(raws: dict[str, Path], tmp_path: Path) -> None:
    name = "machine_downtime"
    config, day = load_model(name), DAYS[name]
    days_of(name, raws[name], tmp_path / "p", first=day, last=day)
    (frame,) = validated(name, tmp_path / "p", tmp_path, day)
    wanted = whole_features(config, raws[name]).filter(pl.col("date").dt.date() == day)
    assert frame.drop("reading").equals(wanted.drop("reading"))
    assert frame["reading"].to_list() == list(range(1, len(wanted) + 1))


def test_rows_without_any_time_are_dealt_out_to_days_and_none_twice(raws: dict[str, Path], tmp_path: Path) -> None:
    name, first = "abalone_age", DAYS["abalone_age"]
    days_of(name, raws[name], tmp_path / "p", first=first, last=first + timedelta(days=BATCHES))
    texts = [gzip.decompress(file.read_bytes()).decode() for file in sorted((tmp_path / "p").glob("date=*/*"))]
    whole = (raws[name] / "abalone.data.csv").read_text()
    assert sorted("".join(texts[:-1]).splitlines()) == sorted(whole.splitlines())
    assert texts[-1] == texts[0]
    days_of(name, raws[name], tmp_path / "again", first=first + timedelta(days=1), last=first + timedelta(days=1))
    assert gzip.decompress(next((tmp_path / "again").glob("*/*")).read_bytes()).decode() == texts[1]


def test_labels_need_not_be_known_and_a_day_may_be_empty(raws: dict[str, Path], tmp_path: Path) -> None:
    name, day = "abalone_age", DAYS["abalone_age"]
    days_of(name, raws[name], tmp_path / "p", first=day, last=day)
    file = partition(name, tmp_path / "p", day)
    text = gzip.decompress(file.read_bytes()).decode()
    labelled = validated(name, tmp_path / "p", tmp_path / "labelled", day)
    file.write_bytes(gzip.compress("".join(f"{row.rsplit(',', 1)[0]},\n" for row in text.splitlines()).encode()))
    unlabelled = validated(name, tmp_path / "p", tmp_path / "unlabelled", day)
    assert unlabelled[0].equals(labelled[0])
    file.write_bytes(gzip.compress(b""))  # no header, no rows: nothing was measured
    assert validated(name, tmp_path / "p", tmp_path / "empty", day) == []


@pytest.mark.parametrize("by", ["specimen", LINE])
def test_a_day_cut_into_chunks_by_what_rows_hold_or_by_its_lines_is_the_same(
    raws: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    name, day = "abalone_age", DAYS["abalone_age"]
    config = load_model(name) if by == "specimen" else numbered(load_model(name))
    monkeypatch.setattr(validate_input, "load_model", lambda name: config)
    days_of(name, raws[name], tmp_path / "p", first=day, last=day)
    (whole,) = validated(name, tmp_path / "p", tmp_path / "whole", day)
    assert config.scoring is not None
    assert shard_column(config, config.scoring.tables) == by
    small = config.model_copy(update={"scoring": config.scoring.model_copy(update={"chunk_mb": 0.002})})
    monkeypatch.setattr(validate_input, "load_model", lambda name: small)
    chunks = validated(name, tmp_path / "p", tmp_path / "cut", day)
    assert len(chunks) == 3
    assert pl.concat(chunks).sort("specimen").equals(whole)


@pytest.mark.parametrize("name", SIZE)
def test_the_newest_days_end_with_one_that_has_rows(name: str, raws: dict[str, Path], tmp_path: Path) -> None:
    split_days.main(["--model", name, "--raw", str(raws[name]), "--days", str(tmp_path), "--newest", "3"])
    days = sorted(date.fromisoformat(folder.name.removeprefix("date=")) for folder in tmp_path.iterdir())
    assert [day - days[0] for day in days] == [timedelta(days=number) for number in range(3)]
    assert len(gzip.decompress(partition(name, tmp_path, days[-1]).read_bytes()).splitlines()) > 1
    days_of(name, raws[name], tmp_path / "later", first=days[-1] + timedelta(days=1), last=days[-1] + timedelta(days=1))
    assert any((tmp_path / "later").iterdir()) == (load_model(name).data.time is None), "nothing after the last day"


def test_the_newest_days_may_be_said_alone(
    raws: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = next(iter(raws))
    split_days.main(["--model", name, "--raw", str(raws[name]), "--days", str(tmp_path), "--newest", "3", "--say"])
    first, last = map(date.fromisoformat, capsys.readouterr().out.split())
    assert (last - first).days == 2
    assert list(tmp_path.iterdir()) == []


def test_of_fewer_days_than_asked_for_the_first_is_said(
    tables: dict[str, pl.DataFrame], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = load_model("predictive_maintenance")
    for name, table in tables.items():
        table.write_csv(tmp_path / config.data.tables[name].file, datetime_format="%Y-%m-%d %H:%M:%S")
    asked = ["--model", config.name, "--raw", str(tmp_path), "--days", str(tmp_path), "--newest", "100000", "--say"]
    split_days.main(asked)
    assert capsys.readouterr().out.split()[0] == str(min(tables["telemetry"]["datetime"]).date())


@pytest.mark.parametrize("which", [[], ["--first", "2015-06-01"], ["--newest", "3", "--first", "2015-06-01"]], ids=str)
def test_which_days_are_asked_for_in_one_way(which: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        split_days.main(["--model", "electricity", "--raw", ".", "--days", ".", *which])
    assert "either --first and --last, or --newest" in capsys.readouterr().err
