"""Latency of an endpoint compared with ``mlflow models serve`` with the same model, and requests that an update drops.

    python tests/benchmarks/bench_serving.py [--json]

Both serve with one process, and the same clients ask them in turn over plain HTTP, so that neither pays for a client
library; the endpoint is asked through InvokeEndpoint. Needs the repository on PYTHONPATH.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rows import Row, end, parser, row
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.local_server import ROOT, LocalSageMaker, free_port

JOBS = ROOT / ".venv" / "jobs" / "bin"
CLIENTS = 8
ROUNDS = 6
REQUESTS = 100  # per client and round
PAUSE_SECONDS = 0.05  # 20 requests per second while an endpoint is updated
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sagemaker/aws4_request, SignedHeaders=host, "
MLFLOW_MODEL = """
import json, sys
from pathlib import Path
import polars as pl
from include.jobs.mlflow.mlflow_model import write_mlflow_model
artifact = Path(sys.argv[1])
rows = [entry["features"] for entry in json.loads((artifact / "golden_requests.json").read_text())]
write_mlflow_model(artifact, pl.DataFrame(rows, infer_schema_length=None).cast(pl.Float64), Path(sys.argv[2]))
"""


@dataclass(frozen=True)
class Target:
    """A target of requests, and how to send one row."""

    port: int
    path: str
    headers: dict[str, str]
    bodies: list[str]

    def seconds_of_each(self, requests: int) -> list[float]:
        """One client's requests, one after the other over one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        taken = []
        for number in range(requests):
            began = time.perf_counter()
            connection.request("POST", self.path, self.bodies[number % len(self.bodies)], self.headers)
            answer = connection.getresponse()
            content = answer.read()
            taken.append(time.perf_counter() - began)
            if answer.status != 200:
                raise RuntimeError(f"{self.path} answered {answer.status}: {content[:500]!r}")
        connection.close()
        return taken


def p99(taken: list[float]) -> float:
    return sorted(taken)[int(len(taken) * 0.99) - 1]


def under_load(targets: list[Target]) -> list[list[float]]:
    """Seconds of every request to each target; ``CLIENTS`` clients ask the targets in turn."""
    found: list[list[float]] = [[] for _ in targets]
    with ThreadPoolExecutor(CLIENTS) as pool:
        for number in range(ROUNDS + 1):
            for target, taken in zip(targets, found, strict=True):
                round_ = pool.map(target.seconds_of_each, [REQUESTS] * CLIENTS)
                if number:  # the first round is a warm-up
                    taken.extend(one for client in round_ for one in client)
    return found


class Soaking:
    """Clients that ask targets in turns until they are stopped."""

    def __init__(self, targets: list[Target], clients: int = CLIENTS) -> None:
        self._targets, self._stop = targets, threading.Event()
        self.failures: list[str] = []
        self.sent = 0
        self._clients = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def _ask(self, number: int) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            number += 1
            self.sent += 1
            try:
                self._targets[number % len(self._targets)].seconds_of_each(1)
            except (RuntimeError, OSError) as error:
                self.failures.append(str(error))

    def __enter__(self) -> Soaking:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()


@contextmanager
def local_sagemaker(folder: Path, artifact: Path) -> Iterator[Hosting]:
    server = LocalSageMaker(folder / "state", ("--path", str(ROOT / "include/jobs/bin")))
    server.start()
    try:
        hosting = Hosting(server)
        hosting.client("s3").create_bucket(Bucket=BUCKET)
        with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
            tar.add(artifact, ".")
        key = ARTIFACT.removeprefix(f"s3://{BUCKET}/")
        hosting.client("s3").upload_file(str(folder / "model.tar.gz"), BUCKET, key)
        yield hosting
    finally:
        server.stop()


@contextmanager
def mlflow_server(model: Path) -> Iterator[int]:
    """Its port, once it answers."""
    port = free_port()
    command = [JOBS / "mlflow", "models", "serve", "--model-uri", model, "--env-manager", "local", "--port", str(port)]
    environment = {**os.environ, "PATH": f"{JOBS}{os.pathsep}{os.defpath}"}
    with (model.parent / "mlflow.log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            deadline = time.monotonic() + 120
            while not answers_ping(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"mlflow models serve did not start: {log.read()[-2000:]}")
                time.sleep(0.2)
            yield port
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def answers_ping(port: int, path: str = "/ping") -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def dropped_by_an_update(hosting: Hosting, endpoint: str, targets: list[Target]) -> tuple[list[str], int]:
    """Failed requests, and how many were sent, while an endpoint moved to a new configuration by a canary."""
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": 5, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 30}}
    with Soaking(targets) as soaking:
        hosting.sagemaker.update_endpoint(
            EndpointName=endpoint,
            EndpointConfigName=hosting.config(hosting.model()),
            DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}},
        )
        hosting.settled(endpoint, 180)
    return soaking.failures, soaking.sent


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        variables = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
        program = ROOT / "tests/include/local_sagemaker/train_artifact.py"
        subprocess.run([JOBS / "python", program, folder / "artifact"], env=variables, check=True)
        command = [JOBS / "python", "-c", MLFLOW_MODEL, folder / "artifact", folder / "mlflow"]
        subprocess.run(command, env=variables, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rows = [entry["features"] for entry in json.loads((folder / "artifact/golden_requests.json").read_text())]
        with local_sagemaker(folder, folder / "artifact") as hosting, mlflow_server(folder / "mlflow") as port:
            endpoint = hosting.endpoint(hosting.config(hosting.model()))
            content = {"Content-Type": "application/json"}
            ours = Target(
                hosting.server.port,
                f"/endpoints/{endpoint}/invocations",
                {**content, "Authorization": f"{AUTHORIZATION}Signature=0"},
                [json.dumps(one) for one in rows],
            )
            split = [{"columns": list(one), "data": [list(one.values())]} for one in rows]
            theirs = Target(port, "/invocations", content, [json.dumps({"dataframe_split": one}) for one in split])
            taken, mlflows = under_load([ours, theirs])
            failures, sent = dropped_by_an_update(hosting, endpoint, [ours])
    ratio = p99(taken) / p99(mlflows)
    about = f"p99 {p99(taken) * 1000:.1f} ms beside {p99(mlflows) * 1000:.1f} ms of mlflow models serve"
    name = f"endpoint's p99 / mlflow's, {CLIENTS} clients"
    return [
        row(name, f"{ratio:.2f} ({about})", "<= 1", ratio <= 1),
        row("requests dropped by an update under load", f"{len(failures)} of {sent}", "0", not failures and sent > 0),
    ]


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    return end(measure(), arguments)


if __name__ == "__main__":
    sys.exit(main())
