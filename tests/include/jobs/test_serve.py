"""The server, started as on SageMaker: from the code in model.tar.gz, on a port, until SIGTERM."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import polars as pl
import pytest
from starlette.testclient import TestClient

from include.jobs.serve import application
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.payload import Columns
from include.models.quoting import VARIABLE
from tests.include.jobs.job_programs import Trained

PORT_RANGE = range(14210, 14260)


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    client: httpx.Client

    def invoke(self, body: str, content_type: str = "text/csv", accept: str | None = None) -> httpx.Response:
        headers = {"Content-Type": content_type, **({"Accept": accept} if accept else {})}
        return self.client.post("/invocations", content=body, headers=headers)


def free_port() -> int:
    for port in PORT_RANGE:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port
    raise RuntimeError(f"no free port in {PORT_RANGE}")


def start(model: Path, port: int, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "include.jobs.serve"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(model / "code"),
            "PYTHONDONTWRITEBYTECODE": "1",  # the artifact is shared with other tests
            "SM_MODEL_DIR": str(model),
            "SERVE_HOST": "127.0.0.1",
            "SAGEMAKER_BIND_TO_PORT": str(port),
            **variables,
        },
        cwd=model,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[Server]:
    port = free_port()
    process = start(trained.model, port, SAGEMAKER_MAX_PAYLOAD_IN_MB="1")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        wait_for_ping(client, process)
        yield Server(process, client)
    process.terminate()
    process.communicate(timeout=30)


def wait_for_ping(client: httpx.Client, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        assert process.poll() is None, process.communicate()[1]
        try:
            assert client.get("/ping").status_code == 200
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("no answer to /ping within a minute")


def until_it_listens_no_more(url: str) -> None:
    deadline = time.monotonic() + 30
    with contextlib.suppress(httpx.TransportError):
        while httpx.get(url, trust_env=False).status_code:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def golden(trained: Trained) -> list[dict[str, dict[str, object]]]:
    found: list[dict[str, dict[str, object]]] = json.loads((trained.model / "golden_requests.json").read_text())
    return found


def as_csv(golden: list[dict[str, dict[str, object]]]) -> str:
    return pl.DataFrame([entry["features"] for entry in golden], infer_schema_length=None).write_csv(
        include_header=False
    )


def test_golden_requests_are_answered_as_expected(server: Server, golden: list[dict[str, dict[str, object]]]) -> None:
    expected = [entry["expected"] for entry in golden]
    sent = [entry["features"] for entry in golden]
    answer = server.invoke(json.dumps({"instances": sent}), "application/json")
    assert answer.json()["predictions"] == expected
    lines = server.invoke("\n".join(map(json.dumps, sent)), "application/jsonlines").text.splitlines()
    assert [json.loads(line) for line in lines] == expected


def test_csv_lines_in_are_as_many_lines_out_in_order(
    server: Server, golden: list[dict[str, dict[str, object]]]
) -> None:
    lines = server.invoke(as_csv(golden)).text.splitlines()
    assert [line.split(",")[0] for line in lines] == [entry["expected"]["label"] for entry in golden]
    assert len(lines[0].split(",")) == 6


def test_accept_chooses_the_answers_format(server: Server, golden: list[dict[str, dict[str, object]]]) -> None:
    line = as_csv(golden[:1])
    assert server.invoke(line, accept="application/json").json()["predictions"] == [golden[0]["expected"]]
    assert server.invoke(line, accept="*/*").headers["content-type"].startswith("text/csv")
    assert server.invoke(line, accept="application/pdf, application/jsonlines;q=0.5").json() == golden[0]["expected"]
    assert server.invoke(line, accept="image/png").status_code == 406


def test_bad_requests_get_4xx_and_the_server_lives_on(
    server: Server, golden: list[dict[str, dict[str, object]]]
) -> None:
    line = as_csv(golden[:1]).strip()
    short = server.invoke(line.rsplit(",", 1)[0])
    assert short.status_code == 400
    assert short.json()["error"] == "line 1 has 29 values instead of 30: column 'age' and those after it are missing."
    assert server.invoke("a" + line).status_code == 400
    assert server.invoke("").status_code == 400
    assert server.invoke("x", "application/x-parquet").status_code == 415
    too_large = server.invoke("1" * (5 * 1024 * 1024))
    assert too_large.status_code == 413
    assert "larger than 1048576 bytes" in too_large.json()["error"]
    assert server.client.get("/invocations").status_code == 405
    assert server.invoke(line).status_code == 200


def test_concurrent_clients_get_their_own_answers(server: Server, golden: list[dict[str, dict[str, object]]]) -> None:
    def ask(index: int) -> bool:
        entry = golden[index % len(golden)]
        answer = server.invoke(json.dumps(entry["features"]), "application/json")
        return bool(answer.json()["predictions"] == [entry["expected"]])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


@pytest.mark.parametrize("quotes", [True, False])
def test_an_error_of_the_model_is_logged_with_values_only_where_they_may_be_quoted(
    quotes: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        columns = Columns(["volt", "rotate"])

        def answers(self, rows: pl.DataFrame) -> pl.DataFrame:
            raise ValueError(f"volt is {rows.item(0, 0)}")

    if not quotes:
        monkeypatch.setenv(VARIABLE, "no")
    client = TestClient(application(cast("LoadedModel", Broken()), 1000))
    answer = client.post("/invocations", content="40404,2\n", headers={"content-type": "text/csv"})
    assert answer.status_code == 500
    assert "the model failed on this request: ValueError" in answer.json()["error"]
    assert "in answers" in caplog.text
    assert ("40404" in caplog.text) == quotes


def test_sigterm_lets_requests_under_way_finish(trained: Trained, golden: list[dict[str, dict[str, object]]]) -> None:
    port = free_port()
    process = start(trained.model, port)
    lines, ping = as_csv(golden).encode(), f"http://127.0.0.1:{port}/ping"

    def body() -> Iterator[bytes]:
        yield lines
        httpx.get(ping, trust_env=False)  # answered once the server has received the beginning
        process.send_signal(signal.SIGTERM)
        until_it_listens_no_more(ping)
        yield lines

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as client:
        wait_for_ping(client, process)
        answer = client.post("/invocations", content=body(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 200
    assert len(answer.text.splitlines()) == 2 * len(golden)
    process.communicate(timeout=30)
    assert process.returncode in (0, -signal.SIGTERM)
    with pytest.raises(httpx.ConnectError):
        httpx.get(ping, trust_env=False)


def test_a_damaged_model_ends_the_server_with_the_reason(trained: Trained, tmp_path: Path) -> None:
    for path in (trained.model / "metadata.json", trained.model / "code"):
        (tmp_path / path.name).symlink_to(path)
    process = start(tmp_path, free_port())
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "feature_order.json is missing: this is not an artifact of train_model" in said
