"""A day in its scoring jobs, run as programs: the results, and what happens to bad days."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include.jobs import build_features, score_day, split_days, validate_input, validate_scores
from include.jobs.features.drift_profile import count_rows
from include.jobs.serving.artifact import load_artifact
from include.jobs.serving.payload import CSV, parse, render
from include.jobs.serving.reasons import risks_of
from include.models.config import load_model
from include.models.config.columns import probability_columns
from include.models.config.files import DRIFT_PROFILE
from include.models.errors import JobError
from include.models.predictive_maintenance.features import LOOK_BACK_HOURS
from include.models.predictive_maintenance.features import build_features as features_of
from include.platform.code_parts import imported_files
from include.platform.scoring_parts import PROGRAM
from tests.include.jobs.job_programs import MODEL, Jobs, Trained

DAY = "2015-06-02"
FILES = {name: table.file for name, table in load_model(MODEL).data.tables.items()}
SCORED = ("telemetry", "errors", "maint", "machines")


@dataclass(frozen=True)
class Partitions:
    """The input of a scoring run of DAY: the day, and the windowed tables of the day before."""

    folder: Path

    def file(self, table: str, day: str = DAY) -> Path:
        return self.folder / f"date={day}" / f"{FILES[table]}.gz"

    def text(self, table: str, day: str = DAY) -> str:
        return gzip.decompress(self.file(table, day).read_bytes()).decode()

    def write(self, table: str, text: str, day: str = DAY) -> None:
        self.file(table, day).write_bytes(gzip.compress(text.encode()))

    def edit(self, table: str, line: int, change: Callable[[str], str]) -> None:
        lines = self.text(table).splitlines()
        lines[line - 1] = change(lines[line - 1])
        self.write(table, "\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def raw(tables: dict[str, pl.DataFrame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    for name, table in tables.items():
        table.write_csv(folder / FILES[name], datetime_format="%Y-%m-%d %H:%M:%S")
    return folder


@pytest.fixture(scope="session")
def days(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("days")
    arguments = ["--raw", raw, "--days", folder, "--first", "2015-05-31", "--last", "2015-06-04"]
    split_days.main(["--model", MODEL, *map(str, arguments)])
    return folder


@pytest.fixture
def partitions(days: Path, tmp_path: Path) -> Partitions:
    """Exactly what a plan for DAY names: telemetry and errors of the previous day, everything of the day."""
    folder = tmp_path / "partitions"
    before = f"date={datetime.fromisoformat(DAY).date() - timedelta(days=1)}"
    shutil.copytree(days / f"date={DAY}", folder / f"date={DAY}")
    (folder / before).mkdir()
    for name in ("telemetry", "errors"):
        shutil.copy(days / before / f"{FILES[name]}.gz", folder / before)
    return Partitions(folder)


RISK = 0.1  # from which on model.yaml explains rows


@dataclass(frozen=True)
class Scored:
    verdict: dict[str, Any]
    scores: pl.DataFrame
    folder: Path


def validated(partitions: Partitions, folder: Path) -> dict[str, Any]:
    """The verdict of validate_input."""
    arguments = ["--partitions", partitions.folder, "--day", DAY, "--validated", folder / "v", "--report", folder / "r"]
    validate_input.main(["--model", MODEL, *map(str, arguments)])
    verdict: dict[str, Any] = json.loads((folder / "r" / "validation.json").read_text())
    return verdict


def built(trained: Trained, folder: Path) -> None:
    arguments = ["--validated", folder / "v", "--artifact", trained.packed, "--features", folder / "f", "--day", DAY]
    build_features.main(["--model", MODEL, *map(str, arguments)])


def transformed(trained: Trained, folder: Path) -> None:
    """What a transform job with an input filter and a join writes: the key, then the model's answer."""
    loaded = load_artifact(trained.model)
    (folder / "p").mkdir()
    for shard in sorted((folder / "f" / "rows").glob("*.csv")):
        cells = [line.split(",", 2) for line in shard.read_text().splitlines()]
        rows = parse("\n".join(line[2] for line in cells).encode(), CSV, loaded.columns)
        said = render(loaded.explained(rows, loaded.answers(rows)), CSV).splitlines()
        joined = "".join(f"{line[0]},{line[1]},{answer}\n" for line, answer in zip(cells, said, strict=True))
        (folder / "p" / f"{shard.name}.out").write_text(joined)


def checked(folder: Path) -> dict[str, Any]:
    arguments = ["--shards", folder / "f" / "shards", "--scores", folder / "s", "--report", folder / "rs"]
    if (folder / "p").exists():
        arguments += ["--predictions", folder / "p"]
    validate_scores.main(["--model", MODEL, *map(str, arguments)])
    verdict: dict[str, Any] = json.loads((folder / "rs" / "validation.json").read_text())
    return verdict


def scored(partitions: Partitions, trained: Trained, folder: Path) -> pl.DataFrame:
    assert validated(partitions, folder)["passed"]
    built(trained, folder)
    transformed(trained, folder)
    assert checked(folder)["passed"]
    return pl.concat([pl.read_parquet(file) for file in sorted((folder / "s").glob("*.parquet"))])


def scored_in_one_job(partitions: Partitions, trained: Trained, folder: Path) -> dict[str, Any]:
    """The day's result; its scores in ``one``, its report in ``one-report``."""
    arguments = ["--partitions", partitions.folder, "--artifact", trained.packed, "--day", DAY]
    arguments += ["--scores", folder / "one", "--report", folder / "one-report"]
    score_day.main(["--model", MODEL, *map(str, arguments)])
    result: dict[str, Any] = json.loads((folder / "one-report" / "day.json").read_text())
    return result


@pytest.fixture(scope="session")
def expected(tables: dict[str, pl.DataFrame], trained: Trained) -> pl.DataFrame:
    """The day's predictions from the whole history, including the future."""
    frame = features_of(tables, with_label=False)
    start = datetime.fromisoformat(DAY)
    frame = frame.filter(pl.col("datetime").is_between(start, start + timedelta(days=1), closed="left"))
    loaded = load_artifact(trained.model)
    probabilities = pl.DataFrame(loaded.predict(frame), [f"probability_{name}" for name in loaded.classes])
    return pl.concat([frame.select("machineID", "datetime"), probabilities], how="horizontal")


def test_model_yaml_looks_back_as_far_as_the_features() -> None:
    scoring = load_model(MODEL).scoring
    assert scoring is not None
    assert scoring.look_back_hours == LOOK_BACK_HOURS


def test_a_days_scores_are_those_of_the_whole_history_bit_for_bit(
    partitions: Partitions, trained: Trained, expected: pl.DataFrame, tmp_path: Path
) -> None:
    scores = scored(partitions, trained, tmp_path)
    assert len(scores) == 8 * 20, "a row for every machine every three hours"
    assert scores.drop("prediction", "reasons").equals(expected)
    loaded = load_artifact(trained.model)
    decided = loaded.labels(expected.drop("machineID", "datetime").to_numpy())
    assert decided is not None
    assert scores["prediction"].to_list() == [loaded.classes[index] for index in decided]
    risks = risks_of(scores, list(probability_columns(loaded.classes).values()))
    assert scores["reasons"].is_not_null().to_list() == (risks >= RISK).tolist(), "a row with some risk has reasons"
    assert {len(json.loads(text)) for text in scores["reasons"].drop_nulls()} <= {3}


def test_one_job_leaves_what_four_leave(
    partitions: Partitions, trained: Trained, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    partitions.edit("telemetry", 5, lambda line: ",".join([*line.split(",")[:2], "not read", *line.split(",")[3:]]))
    scored(partitions, trained, tmp_path)
    result = scored_in_one_job(partitions, trained, tmp_path)
    assert result["passed"]
    assert result["tables"]["telemetry"]["rejected"] == 1
    parts = ["validate_input", "build_features", "score", "validate_scores"]
    assert list(result["seconds"]) == parts
    assert all(f"{DAY}: {part} {result['seconds'][part]:.2f} s" in capfd.readouterr().out for part in parts[:1])
    several, one = ({file.name: file.read_bytes() for file in (tmp_path / each).iterdir()} for each in ("s", "one"))
    assert one == several, "scores and their profile, byte for byte"
    reports = [(tmp_path / each) for each in ("r", "one-report")]
    assert len({(report / "validation.json").read_text() for report in reports}) == 1
    assert len({(report / "quarantine" / "telemetry.csv").read_text() for report in reports}) == 1
    said = json.loads((tmp_path / "rs" / "validation.json").read_text())
    assert json.loads((tmp_path / "one-report" / "scores.json").read_text()) == said


def test_one_job_of_a_bad_day_says_why_and_leaves_no_scores(
    partitions: Partitions, trained: Trained, tmp_path: Path
) -> None:
    partitions.write("telemetry", partitions.text("telemetry").replace("volt", "voltage", 1))
    result = scored_in_one_job(partitions, trained, tmp_path)
    assert not result["passed"]
    assert "no such column" in result["summary"]
    assert list(result["seconds"]) == ["validate_input"]
    assert not (tmp_path / "one").exists()


def test_how_the_days_features_lie_is_kept_beside_its_scores(
    partitions: Partitions, trained: Trained, tmp_path: Path
) -> None:
    scores = scored(partitions, trained, tmp_path)
    day = json.loads((tmp_path / "s" / "parts.json").read_text())["profile"]
    assert day["rows"] == len(scores)
    assert day["predictions"] == dict(scores["prediction"].value_counts().iter_rows())
    profile = json.loads((trained.model / DRIFT_PROFILE).read_text())
    rows = pl.concat(
        [pl.read_csv(file, has_header=False, infer_schema_length=None) for file in (tmp_path / "f" / "rows").iterdir()]
    )
    features = rows.rename(dict(zip(rows.columns, ["machineID", "datetime", *profile], strict=True)))
    assert day["features"] == count_rows(features, profile)
    assert {sum(counts) for counts in day["features"].values()} == {len(scores)}


def test_nothing_after_the_day_is_read(
    partitions: Partitions, trained: Trained, expected: pl.DataFrame, tmp_path: Path
) -> None:
    """Rows of later days in the partition, as in a table re-exported later, change nothing."""
    partitions.write("maint", partitions.text("maint") + "2015-06-03 06:00:00,1,comp1\n2015-06-03 00:00:00,2,comp2\n")
    partitions.write("telemetry", partitions.text("telemetry") + "2015-06-03 00:00:00,1,1,2,3,4\n")
    assert scored(partitions, trained, tmp_path).drop("prediction", "reasons").equals(expected)


def test_a_day_cut_into_chunks_gives_the_same_rows(
    partitions: Partitions, trained: Trained, expected: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions.edit("telemetry", 5, lambda line: ",".join([*line.split(",")[:2], "not read", *line.split(",")[3:]]))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    verdict = validated(partitions, whole)
    config = load_model(MODEL)
    assert config.scoring is not None
    small = config.model_copy(
        update={"scoring": config.scoring.model_copy(update={"chunk_mb": 0.05, "max_rejected_share": 0.1})}
    )
    for module in (validate_input, build_features, validate_scores):
        monkeypatch.setattr(module, "load_model", lambda name: small)
    in_chunks = validated(partitions, cut)
    assert int(in_chunks["facts"]["chunks"]) > 3
    rows = [{name: {**table, "file": None} for name, table in one["tables"].items()} for one in (verdict, in_chunks)]
    assert rows[0] == rows[1]
    quarantines = [folder / "r" / "quarantine" / "PdM_telemetry.csv" for folder in (whole, cut)]
    names = [sorted(path.name for path in file.parent.iterdir()) for file in quarantines]
    assert names == [["telemetry.csv"], ["telemetry.csv"]]
    first, second = (pl.read_csv(file.parent / "telemetry.csv", infer_schema=False) for file in quarantines)
    assert first.equals(second)
    assert first["file_line"].to_list() == ["5"]
    built(trained, cut)
    assert len(list((cut / "f" / "rows").iterdir())) > 3
    transformed(trained, cut)
    assert checked(cut)["passed"]
    scores = pl.concat([pl.read_parquet(file) for file in sorted((cut / "s").glob("*.parquet"))])
    keys = ["machineID", "datetime"]
    untouched = expected.filter(pl.col("machineID") != scores["machineID"].min())
    assert (
        scores.drop("prediction", "reasons")
        .sort(keys)
        .join(untouched, on=keys, how="semi")
        .equals(untouched.sort(keys))
    )


def test_rejected_rows_are_corrected_and_replayed_alone(
    partitions: Partitions, trained: Trained, expected: pl.DataFrame, tmp_path: Path
) -> None:
    right = partitions.text("telemetry").splitlines()[9]
    partitions.edit("telemetry", 10, lambda line: ",".join([*line.split(",")[:2], "not read", *line.split(",")[3:]]))
    verdict = validated(partitions, tmp_path / "before")
    assert verdict["passed"]
    assert verdict["tables"]["telemetry"]["rejected"] == 1
    quarantined = pl.read_csv(tmp_path / "before" / "r" / "quarantine" / "telemetry.csv", infer_schema=False)
    assert quarantined["file_line"].to_list() == ["10"]
    corrected = quarantined.with_columns(pl.lit(right.split(",")[2]).alias("volt"))
    replay = partitions.folder / f"date={DAY}" / "replay"
    replay.mkdir()
    corrected.write_csv(replay / FILES["telemetry"])
    after = tmp_path / "after"
    after.mkdir()
    assert scored(partitions, trained, after).drop("prediction", "reasons").equals(expected)
    assert json.loads((after / "r" / "validation.json").read_text())["tables"]["telemetry"]["rejected"] == 0


def test_a_day_on_which_nothing_happened(partitions: Partitions, trained: Trained, tmp_path: Path) -> None:
    for name in ("telemetry", "errors"):
        for day in (DAY, "2015-06-01"):
            partitions.write(name, partitions.text(name, day).splitlines()[0] + "\n", day)
    assert validated(partitions, tmp_path)["passed"]
    built(trained, tmp_path)
    assert not (tmp_path / "f" / "rows").exists()
    assert checked(tmp_path)["passed"]
    found = json.loads((tmp_path / "s" / "parts.json").read_text())
    counted = {name: table["rows"] for name, table in found["profile"].pop("tables").items()}
    assert counted["telemetry"] == counted["errors"] == 0
    assert counted["machines"] > 0, "its rows are counted, so that a dead feed is noticed"
    assert found == {"parts": [], "profile": {"rows": 0, "features": {}, "predictions": {"sum": 0.0}, "answers": []}}


def test_an_empty_day_still_has_what_its_windows_reach_back_to(
    partitions: Partitions, trained: Trained, expected: pl.DataFrame, tmp_path: Path
) -> None:
    partitions.write("telemetry", partitions.text("telemetry").splitlines()[0] + "\n")
    scores = scored(partitions, trained, tmp_path)
    assert scores["datetime"].unique().to_list() == [datetime.fromisoformat(DAY)], "the mark at midnight"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text.replace("volt", "voltage", 1), "no such column"),
        (lambda text: text.replace(",", ",new,", 1), "not known"),
        (
            lambda text: "\n".join([text.splitlines()[0], *(f"{line}x" for line in text.splitlines()[1:])]),
            "not a number",
        ),
        (lambda text: text[: text.rindex(",")], None),
    ],
    ids=["a column renamed", "a column more", "every row wrong", "one row cut off"],
)
def test_bad_days_stop_with_a_reason(
    partitions: Partitions, tmp_path: Path, damage: Callable[[str], str], said: str | None
) -> None:
    partitions.write("telemetry", damage(partitions.text("telemetry")))
    verdict = validated(partitions, tmp_path)
    if said is None:
        assert verdict["passed"], verdict["summary"]
        assert verdict["tables"]["telemetry"]["rejected"] == 1
        return
    assert not verdict["passed"]
    assert said in verdict["summary"]
    assert list((tmp_path / "v").iterdir()) == []


def test_a_bad_day_before_stops_the_day_and_is_named(partitions: Partitions, tmp_path: Path) -> None:
    before = "2015-06-01"
    partitions.write("telemetry", partitions.text("telemetry", before).replace("volt", "voltage", 1), before)
    verdict = validated(partitions, tmp_path)
    assert not verdict["passed"]
    assert f"date={before}/" in verdict["summary"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "159 rows"),
        (lambda lines: [*lines[:-1], lines[0]], "of the same key"),
        (lambda lines: [lines[0].rsplit(",", 2)[0] + ",,", *lines[1:]], "no value in 1 rows"),
        (lambda lines: [lines[0].rsplit(",", 2)[0] + ",0.5,", *lines[1:]], "a sum of 1"),
        (lambda lines: [line.replace(",none,", ",comp1,") for line in lines], "a share of 'none' of 0"),
        (lambda lines: [lines[0].replace(",none,", ",nothing,"), *lines[1:]], "labels such as"),
    ],
    ids=["a row lost", "a row twice", "no probability", "probabilities of more than one", "all fail", "a new label"],
)
def test_scores_that_cannot_be_are_not_published(
    partitions: Partitions, trained: Trained, tmp_path: Path, change: Callable[[list[str]], list[str]], said: str
) -> None:
    assert validated(partitions, tmp_path)["passed"]
    built(trained, tmp_path)
    transformed(trained, tmp_path)
    (file,) = (tmp_path / "p").iterdir()
    file.write_text("\n".join(change(file.read_text().splitlines())) + "\n")
    verdict = checked(tmp_path)
    assert not verdict["passed"]
    assert said in verdict["summary"]
    assert list((tmp_path / "s").iterdir()) == []


def test_features_that_the_version_wants_and_the_code_has_not(
    partitions: Partitions, trained: Trained, tmp_path: Path
) -> None:
    assert validated(partitions, tmp_path)["passed"]
    other = tmp_path / "model"
    shutil.copytree(trained.model, other)
    order = json.loads((other / "feature_order.json").read_text())
    (other / "feature_order.json").write_text(json.dumps([*order, "humidity"]))
    shutil.make_archive(str(tmp_path / "model"), "gztar", other)
    arguments = ["--validated", tmp_path / "v", "--artifact", tmp_path, "--features", tmp_path / "f", "--day", DAY]
    with pytest.raises(JobError, match="needs the feature humidity"):
        build_features.main(["--model", MODEL, *map(str, arguments)])


def test_partitions_of_a_history_hold_each_row_once(days: Path, tables: dict[str, pl.DataFrame]) -> None:
    for name in ("telemetry", "errors"):
        parts = [pl.read_csv(file) for file in sorted(days.glob(f"date=*/{FILES[name]}.gz"))]
        start = datetime.fromisoformat("2015-05-31")
        wanted = tables[name].filter(pl.col("datetime").is_between(start, start + timedelta(days=5), closed="left"))
        assert sum(map(len, parts)) == len(wanted)
    maint = pl.read_csv(days / f"date={DAY}" / f"{FILES['maint']}.gz")
    end = datetime.fromisoformat(DAY) + timedelta(days=1)
    assert len(maint) == len(tables["maint"].filter(pl.col("datetime") < end)), "its whole history, up to the day's end"
    assert len(list(days.glob(f"date=*/{FILES['failures']}*"))) == 5, "so are the tables for labels"


def test_scoring_imports_nothing_that_its_digest_does_not_count(
    partitions: Partitions, trained: Trained, jobs: Jobs, tmp_path: Path
) -> None:
    program = (
        "import json, sys; from include.jobs import score_day; score_day.main(sys.argv[1:]);"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'include']))"
    )
    arguments = ["--model", MODEL, "--partitions", partitions.folder, "--artifact", trained.packed, "--day", DAY]
    arguments += ["--scores", tmp_path / "s", "--report", tmp_path / "r"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=tmp_path,  # which comes before PYTHONPATH
        env={**os.environ, "PYTHONPATH": str(jobs.code)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    counted = {
        str(file)
        for module in (PROGRAM, f"include.models.{MODEL}.features")
        for file in imported_files(jobs.code, module)
    }
    assert set(json.loads(done.stdout.splitlines()[-1])) <= counted


def test_a_candidate_scores_the_day_too_and_one_that_cannot_says_why(
    trained: Trained, partitions: Partitions, tmp_path: Path
) -> None:
    other = shutil.copytree(trained.model, tmp_path / "other")
    order = json.loads((other / "feature_order.json").read_text())
    (other / "feature_order.json").write_text(json.dumps([*order, "humidity"]))
    (tmp_path / "packed").mkdir()
    shutil.make_archive(str(tmp_path / "packed" / "model"), "gztar", other)
    found = {}
    for name, candidate in (("same", trained.packed), ("other", tmp_path / "packed")):
        places = {"artifact": trained.packed, "scores": tmp_path / name / "s", "report": tmp_path / name / "r"}
        places |= {"partitions": partitions.folder, "challenger": candidate, "beside": tmp_path / name / "b"}
        flags = [str(part) for flag, place in places.items() for part in (f"--{flag}", place)]
        score_day.main(["--model", MODEL, "--day", DAY, *flags])
        found[name] = json.loads((tmp_path / name / "b" / "challenger.json").read_text())
        assert (tmp_path / name / "s" / "parts.json").exists(), "production's scores exist in any case"
    assert (found["same"]["rows"], found["same"]["agreed"], found["same"]["apart"]) == (160, 1.0, 0.0)
    assert "needs the feature humidity" in found["other"]["failed"]
