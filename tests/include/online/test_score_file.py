"""A file of rows to scores, the same as a day's; what cannot be used is set aside and said."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from include.models.config import load_model
from include.models.errors import JobError
from include.online import score_file as module
from include.online.backends import Answers, UnavailableError
from include.online.score_file import score_file
from include.online.shape import Shape
from tests.include.online.conftest import MODEL, Tables, loaded_backend

SHAPE = Shape(load_model(MODEL))


@pytest.fixture
def folder(fleet: Tables, tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for name in SHAPE.tables:
        text = fleet[name].write_csv(datetime_format="%Y-%m-%d %H:%M:%S")
        (made / SHAPE.config.data.tables[name].file).write_text(text)
    return made


def test_scores_are_those_of_the_training_table_in_order_whatever_the_chunks(
    folder: Path, training_table: pl.DataFrame, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_ROWS", 100)
    backend, out = loaded_backend(MODEL, artifact), tmp_path / "out"
    out.mkdir()
    manifest = score_file(SHAPE, folder, backend, out)
    scores = pl.read_parquet(out / "scores.parquet")
    assert (manifest["passed"], manifest["version"], manifest["rows"]) == (True, "7", scores.height)
    features = training_table.drop("machineID", "datetime", "failure")
    expected = pl.DataFrame(backend.answer(features).answers)
    there = training_table.select("machineID", "datetime")
    found = there.join(scores, on=["machineID", "datetime"], how="left", maintain_order="left")
    assert found["prediction"].equals(expected["label"], null_equal=True)
    assert found["probability_none"].equals(expected["probabilities"].struct.field("none"))
    assert json.loads((out / "manifest.json").read_text()) == manifest


def test_rows_that_cannot_be_used_are_set_aside_and_too_many_of_them_stop_it(
    folder: Path, artifact: Path, tmp_path: Path
) -> None:
    telemetry = folder / "PdM_telemetry.csv"
    lines = telemetry.read_text().splitlines()
    backend = loaded_backend(MODEL, artifact)
    telemetry.write_text("\n".join([*lines[:-1], lines[-1].rsplit(",", 1)[0] + ",high", ""]))
    (tmp_path / "one").mkdir()
    manifest = score_file(SHAPE, folder, backend, tmp_path / "one")
    assert (manifest["passed"], manifest["rejected"]["telemetry"]) == (True, 1)
    assert "vibration: 'high'" in (tmp_path / "one" / "quarantine" / "telemetry.csv").read_text()
    telemetry.write_text("\n".join([lines[0], *(line.rsplit(",", 1)[0] + ",high" for line in lines[1:]), ""]))
    (tmp_path / "all").mkdir()
    manifest = score_file(SHAPE, folder, backend, tmp_path / "all")
    assert not manifest["passed"]
    assert not (tmp_path / "all" / "scores.parquet").exists()


@pytest.mark.parametrize(("content", "words"), [("", "an empty file"), ("a,b\n1,2\n", "no such column")])
def test_a_file_that_is_none_of_the_models_is_refused(content: str, words: str, artifact: Path, tmp_path: Path) -> None:
    file = tmp_path / "any.csv"
    file.write_text(content)
    manifest = score_file(SHAPE, file, loaded_backend(MODEL, artifact), tmp_path)
    assert (manifest["passed"], words in manifest["summary"]) == (False, True), manifest["summary"]


def test_a_chunk_that_is_throttled_is_tried_again_and_given_up_in_the_end(
    folder: Path, artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    backend = loaded_backend(MODEL, artifact)
    real, failures = backend.answer, iter([UnavailableError("throttled")] * 3)

    def answer(features: pl.DataFrame) -> Answers:
        if error := next(failures, None):
            raise error
        return real(features)

    backend.answer = answer  # type: ignore[method-assign]
    assert score_file(SHAPE, folder, backend, tmp_path)["passed"]
    failures = iter([UnavailableError("throttled")] * 100)
    with pytest.raises(JobError, match="not answered in 6 tries: throttled"):
        score_file(SHAPE, folder, backend, tmp_path)
