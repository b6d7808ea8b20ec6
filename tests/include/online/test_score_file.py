"""From a file of rows to scores, the same as a day's; unusable rows are set aside and reported."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from include.jobs.files import endpoint_answers
from include.jobs.serving.artifact import load_artifact
from include.jobs.serving.endpoint import Endpoint
from include.jobs.serving.payload import CSV, asks_why, parse, render
from include.models.config import load_model
from include.models.errors import JobError
from include.online.backends import Version
from include.online.score_file import Champion, score_file
from tests.include.online.conftest import MODEL, Tables

CONFIG = load_model(MODEL)
TABLES = CONFIG.daily_scoring.tables


class Runtime:
    """An endpoint with the artifact's answers; late, throttled and failing as told."""

    def __init__(self, artifact: Path) -> None:
        self.loaded, self.failures = load_artifact(artifact), 0
        self.at_once = self.most_at_once = self.requests = 0
        self._lock = threading.Lock()

    def invoke_endpoint(self, EndpointName: str, Body: bytes, Accept: str, **_: str) -> dict[str, Any]:  # noqa: N803
        with self._lock:
            self.requests += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            fails, self.failures = self.failures > 0, self.failures - 1
            late = self.requests % 2
        try:
            if fails:
                raise ClientError({"Error": {"Code": "ThrottlingException"}}, "InvokeEndpoint")
            rows = parse(Body, CSV, self.loaded.columns)
            time.sleep(0.02 * late)  # so that later chunks are answered first
            found = self.loaded.answers(rows)
            if asks_why(Body, CSV, Accept):
                found = self.loaded.explained(rows, found, asked=True)
            return {"Body": io.BytesIO(render(found, CSV).encode())}
        finally:
            with self._lock:
                self.at_once -= 1


@pytest.fixture
def champion(artifact: Path) -> Champion:
    return Champion(CONFIG, Version("7", "s3://bucket/model.tar.gz"), artifact)


@pytest.fixture
def folder(fleet: Tables, tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for name in TABLES:
        text = fleet[name].write_csv(datetime_format="%Y-%m-%d %H:%M:%S")
        (made / CONFIG.data.tables[name].file).write_text(text)
    return made


def out_of(tmp_path: Path, name: str = "out") -> Path:
    (tmp_path / name).mkdir()
    return tmp_path / name


def through(champion: Champion, runtime: object) -> Champion:
    return Champion(CONFIG, champion.version, champion.artifact, Endpoint(runtime, "pumps-production"))  # type: ignore[arg-type]


def test_scores_are_those_of_the_training_table_whatever_answers(
    folder: Path, champion: Champion, training_table: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = score_file(champion, folder, out := out_of(tmp_path))
    scores = pl.read_parquet(out / "scores.parquet")
    assert (result["passed"], result["rows"]) == (True, scores.height)
    assert json.loads((out / "file.json").read_text()) == result
    expected = load_artifact(champion.artifact).answers(training_table.drop("machineID", "datetime", "failure"))
    found = training_table.select("machineID", "datetime").join(
        scores, on=["machineID", "datetime"], how="left", maintain_order="left"
    )
    assert found["prediction"].equals(expected["label"], null_equal=True)
    assert found["probability_none"].equals(expected["probabilities"].struct.field("none"))

    monkeypatch.setattr(endpoint_answers, "CHUNK_ROWS", 100)
    monkeypatch.setattr(endpoint_answers, "WAIT_SECONDS", 0.001)
    runtime = Runtime(champion.artifact)
    runtime.failures = 5
    score_file(through(champion, runtime), folder, by_endpoint := out_of(tmp_path, "endpoint"))
    assert pl.read_parquet(by_endpoint / "scores.parquet").equals(scores)
    explained = scores.filter(pl.col("reasons").is_not_null())
    assert CONFIG.explain
    assert 0 < explained.height <= CONFIG.explain.rows < scores.height
    assert (1 - explained["probability_none"]).min() >= CONFIG.explain.above - 1e-9  # type: ignore[operator] # a number
    assert 1 < runtime.most_at_once <= endpoint_answers.AT_ONCE
    assert runtime.requests == -(-scores.height // 100) + 5


def test_an_endpoint_that_never_answers_is_given_up_and_one_of_another_version_is_told(
    folder: Path, champion: Champion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_answers, "WAIT_SECONDS", 0.001)
    runtime = Runtime(champion.artifact)
    runtime.failures = 10_000
    with pytest.raises(JobError, match=r"not answered in 8 tries: .*ThrottlingException"):
        score_file(through(champion, runtime), folder, out_of(tmp_path))

    class Another:
        def invoke_endpoint(self, **_: object) -> None:
            said = {"OriginalStatusCode": 400, "OriginalMessage": '{"error": "lacks the column age."}'}
            raise ClientError({"Error": {"Code": "ModelError"}, **said}, "InvokeEndpoint")  # type: ignore[arg-type]

    with pytest.raises(JobError, match=r"lacks the column age.*another version"):
        score_file(through(champion, Another()), folder, out_of(tmp_path, "another"))


@pytest.mark.parametrize("ending", [".csv.gz", ".csv.zst", ".parquet"])
def test_a_single_file_is_read_however_it_is_stored(
    fleet: Tables, champion: Champion, tmp_path: Path, ending: str
) -> None:
    rows = fleet["telemetry"].head(100)
    text = rows.write_csv(datetime_format="%Y-%m-%d %H:%M:%S").encode()
    plain, file = tmp_path / "any.csv", tmp_path / f"any{ending}"
    plain.write_bytes(text)
    if ending == ".parquet":
        rows.write_parquet(file)
    elif ending == ".csv.zst":
        with pa.CompressedOutputStream(str(file), "zstd") as packed:
            packed.write(text)
    else:
        file.write_bytes(gzip.compress(text))
    for data in (plain, file):
        assert score_file(champion, data, out_of(tmp_path, data.name[3:]))["passed"]
    one, other = (pl.read_parquet(tmp_path / name / "scores.parquet") for name in (".csv", ending))
    assert one.equals(other)


def test_a_file_larger_than_a_chunk_has_the_same_scores(folder: Path, champion: Champion, tmp_path: Path) -> None:
    scoring = CONFIG.daily_scoring.model_copy(update={"chunk_mb": 0.2})
    small = Champion(CONFIG.model_copy(update={"scoring": scoring}), champion.version, champion.artifact)
    telemetry = folder / "PdM_telemetry.csv"
    telemetry.write_text(f"{telemetry.read_text()}2015-01-01 06:00:00,1,high,1,1,1\n")
    whole, cut = (score_file(one, folder, out_of(tmp_path, name)) for one, name in ((champion, "1"), (small, "2")))
    assert {**whole, "shards": 0, "summary": ""} == {**cut, "shards": 0, "summary": ""}
    assert cut["shards"] > whole["shards"] == 1
    parts = [pl.read_parquet(part) for part in (tmp_path / "2").glob("scores-*.parquet")]
    together = pl.concat(parts).sort("machineID", "datetime")
    assert together.drop("reasons").equals(
        pl.read_parquet(tmp_path / "1" / "scores.parquet").sort("machineID", "datetime").drop("reasons")
    )
    for name in ("1", "2"):
        assert "volt: 'high'" in (tmp_path / name / "quarantine" / "telemetry.csv").read_text()


def test_rows_that_cannot_be_used_are_set_aside_and_too_many_of_them_stop_it(
    folder: Path, champion: Champion, tmp_path: Path
) -> None:
    telemetry = folder / "PdM_telemetry.csv"
    lines = telemetry.read_text().splitlines()
    telemetry.write_text("\n".join([lines[0], *(line.rsplit(",", 1)[0] + ",high" for line in lines[1:]), ""]))
    result = score_file(champion, folder, out := out_of(tmp_path))
    assert not result["passed"]
    assert not list(out.glob("*.parquet"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "an empty file"),
        ("a.csv", b"a,b\n1,2\n", "no such column"),
        ("a.parquet", b"PAR1 and then the upload was interrupted", "not Parquet"),
        ("a.csv.zst", b"\x28\xb5\x2f\xfd and then", "zstd stream that is corrupt"),
        ("a.csv.gz", gzip.compress(b"datetime,machineID\n" * 500)[:-9], "ends early"),
    ],
)
def test_a_file_that_is_none_of_the_models_is_refused(
    name: str, content: bytes, words: str, champion: Champion, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    result = score_file(champion, tmp_path / name, out_of(tmp_path))
    assert (result["passed"], words in result["summary"]) == (False, True), result["summary"]


def test_what_scores_a_file_needs_none_of_what_the_online_image_leaves_out() -> None:
    imports = "import sys, include.online.lambda_app, include.online.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=True).stdout.split()
    assert not {"great_expectations", "mlflow", "sagemaker", "airflow"} & set(loaded)
