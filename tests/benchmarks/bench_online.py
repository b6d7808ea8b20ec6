"""The online service compared with the endpoint's own server with the same model.

    python tests/benchmarks/bench_online.py [--json] [--data FOLDER] [--rounds 6] [--update]
        [--soak MINUTES [--clients 4]]

With ``--soak`` it measures instead whether memory stays flat and no request fails for that many minutes, while the
champion is swapped every half minute; with ``--update`` how many requests of eight clients fail, to a local SageMaker's
endpoint and to the service in front of it, while the endpoint moves to another model. ``--data`` is a folder with
predictive maintenance's tables, such as the real ones; without it they are simulated. The same clients ask both servers
in turn. Needs the repository on PYTHONPATH, in the environment of the jobs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

import bench_serving
from bench_serving import (
    AUTHORIZATION,
    CLIENTS,
    Soaking,
    Target,
    answers_ping,
    dropped_by_an_update,
    local_sagemaker,
    p99,
    under_load,
)
from bench_skew import tables_of
from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import save_artifact
from include.models.config import load_model
from include.models.loader import estimator, feature_builder
from include.models.predictive_maintenance.simulate import simulate
from rows import Row, end, parser, row
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.local_server import free_port
from tests.include.online.conftest import FEW_TREES, MODEL, Tables, until

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
SERVICE = """
import sys
from pathlib import Path
import uvicorn
from include.online.app import application
from include.online.settings import Settings
from tests.include.online.conftest import MODEL, service_of
service = service_of(MODEL, Path(sys.argv[1]), Path(sys.argv[2]))
uvicorn.run(application(Settings(model=MODEL, bucket="-"), service), port=int(sys.argv[3]), log_level="warning")
"""
# the same with a champion named by a file next to its archive
SWAPPED = """
import shutil, sys
from pathlib import Path
import uvicorn
from include.models.config import load_model
from include.online import backends
from include.online.app import application
from include.online.settings import Settings
from tests.include.online.conftest import MODEL, service_of
artifact, state, port = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
class Disk:
    def download_file(self, bucket, key, path):
        shutil.copy(artifact.parent / key, path)
def champion():
    return backends.Version((artifact.parent / "champion").read_text(), "s3://bucket/model.tar.gz")
backends.LOOK_SECONDS = 2.0
backend = backends.LocalBackend(load_model(MODEL), champion, Disk())
backend.look()
backend.start()
uvicorn.run(application(Settings(model=MODEL, bucket="-"), service_of(MODEL, artifact, state, backend)), port=port,
            log_level="warning")
"""
START_SECONDS = 600  # of a server on a busy machine
SWAP_SECONDS = 30
PAUSE_SECONDS = 0.1  # between two requests of each client in a soak test
SAMPLES_A_MINUTE = 6
MOST_GROWTH = 1.05


@contextmanager
def server(command: list[str], port: int, path: str, **told: str) -> Iterator[int]:
    """Its process id."""
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **told})
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers_ping(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start")
            time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def resident_mb(process: int) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def soak(fleet: Tables, artifact: Path, folder: Path, minutes: float, clients: int) -> list[Row]:
    """Memory and failures over the given minutes, except for the first, in which the process warms up."""
    features, events, questions, readings = bodies_of(fleet, artifact)
    shutil.make_archive(str(folder / "model"), "gztar", artifact)
    (folder / "champion").write_text("1")
    port, resident = free_port(), list[float]()
    versions = set[str]()
    with server(["-c", SWAPPED, str(artifact), str(folder / "state.db"), str(port)], port, "/ready") as process:
        targets = [
            Target(port, "/predict", JSON, features),
            Target(port, "/predict", JSON, questions),
            Target(port, "/predict", JSON, readings),
            Target(port, "/events", JSON, events),
        ]
        targets[-1].seconds_of_each(len(events))
        with Soaking(targets, clients) as soaking:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < minutes * 60:
                (folder / "champion").write_text(str(1 + int(passed / SWAP_SECONDS)))
                time.sleep(60 / SAMPLES_A_MINUTE)
                resident.append(resident_mb(process))
                versions.add(json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/ready"))["version"])
    warm = resident[SAMPLES_A_MINUTE:] or resident
    third = len(warm) // 3
    parts = (warm[:3], warm[third:][:3], warm[2 * third :][:3], warm[-3:])
    resident_at = [sum(part) / len(part) for part in parts]
    return [
        row(
            f"online, {minutes:g} minutes, {len(versions)} champions: MB of memory at the start and after each third",
            ", ".join(f"{mb:.0f}" for mb in resident_at),
            f"≤ {MOST_GROWTH} × the start",
            resident_at[-1] <= MOST_GROWTH * resident_at[0],
        ),
        row(
            f"online: failed requests of {soaking.sent:,} while the champion is swapped",
            f"{len(soaking.failures)}{''.join(f': {one[:200]}' for one in soaking.failures[:1])}",
            "0",
            not soaking.failures and len(versions) > 1,
        ),
    ]


def bodies_of(fleet: Tables, artifact: Path) -> tuple[list[str], list[str], list[str], list[str]]:
    """Requests with features, the events of some machines up to an hour, requests about them as of that hour, and the
    same each with a new reading."""
    golden = json.loads((artifact / "golden_requests.json").read_text())
    last = fleet["telemetry"]["datetime"].max()
    assert isinstance(last, datetime)
    hour = last.replace(hour=6) - timedelta(days=1)
    machines = fleet["machines"]["machineID"].head(8).to_list()
    readings = fleet["telemetry"].filter(pl.col("datetime") == hour + timedelta(hours=1)).to_dicts()
    return (
        [json.dumps({"instances": [one["features"]]}) for one in golden],
        [json.dumps(until(fleet, machine, hour)) for machine in machines],
        [json.dumps({"machineID": machine, "datetime": str(hour)}) for machine in machines],
        [json.dumps(reading, default=str) for reading in readings if reading["machineID"] in machines],
    )


def speeds(fleet: Tables, artifact: Path, folder: Path) -> list[Row]:
    config = load_model(MODEL)
    features, events, questions, readings = bodies_of(fleet, artifact)
    endpoint, online = free_port(), free_port()
    with (
        server(
            ["-m", "include.jobs.serve"],
            endpoint,
            "/ping",
            SM_MODEL_DIR=str(artifact),
            SERVE_HOST="127.0.0.1",
            SAGEMAKER_BIND_TO_PORT=str(endpoint),
        ),
        server(["-c", SERVICE, str(artifact), str(folder / "state.db"), str(online)], online, "/ready"),
    ):
        Target(online, "/events", JSON, events).seconds_of_each(len(events))
        targets = [
            Target(endpoint, "/invocations", JSON, features),
            Target(online, "/predict", JSON, features),
            Target(online, "/predict", JSON, questions),
            Target(online, "/predict", JSON, readings),
        ]
        own, built, raw, new = under_load(targets)
    took = sum(built) / CLIENTS
    times = {
        "features in the request": (built, 1.5),
        "24 h of history from the store": (raw, 2.5),
        "a reading in the request, and 24 h of history from the store": (new, 2.5),
    }
    found = [
        row(
            f"{config.name} online: p99 with {name}, to the endpoint's own",
            f"{p99(taken) / p99(own):.2f}",
            f"≤ {most}",
            p99(taken) / p99(own) <= most,
        )
        for name, (taken, most) in times.items()
    ]
    return [
        *found,
        row(
            "online: requests a second, features in the request",
            f"{len(built) / took:.0f}",
            "≥ 500",
            len(built) / took >= 500,
        ),
    ]


def updates(fleet: Tables, artifact: Path, folder: Path) -> list[Row]:
    """Requests to the endpoint, and to the service in front of it, while the endpoint moves to another model."""
    features, events, questions, _ = bodies_of(fleet, artifact)
    port = free_port()
    with local_sagemaker(folder / "sagemaker", artifact) as hosting:
        endpoint = hosting.endpoint(hosting.config(hosting.model()))
        told = {
            "MODEL": MODEL,
            "BUCKET": BUCKET,
            "BACKEND": "endpoint",
            "ENDPOINT": endpoint,
            "STATE": f"sqlite:///{folder / 'endpoint.db'}",
            "PORT": str(port),
            "AWS_ENDPOINT_URL": hosting.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with server(["-m", "include.online"], port, "/ready", **told):
            Target(port, "/events", JSON, events).seconds_of_each(len(events))
            signed = {**JSON, "Authorization": f"{AUTHORIZATION}Signature=0"}
            targets = [
                Target(hosting.server.port, f"/endpoints/{endpoint}/invocations", signed, features),
                Target(port, "/predict", JSON, features),
                Target(port, "/predict", JSON, questions),
            ]
            failures, sent = dropped_by_an_update(hosting, endpoint, targets)
    what = "endpoint and online service in front of it: failed requests while the endpoint is updated"
    first = "".join(f": {one[:200]}" for one in failures[:1])
    return [row(what, f"{len(failures)} of {sent}{first}", "0", not failures and sent > 0)]


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--data", type=Path)
    options.add_argument("--rounds", type=int, default=bench_serving.ROUNDS)
    options.add_argument("--soak", type=float, metavar="MINUTES")
    options.add_argument("--clients", type=int, default=4, help="that ask during a soak")
    options.add_argument("--update", action="store_true", help="measure what an update of the endpoint drops instead")
    given = options.parse_args()
    bench_serving.ROUNDS = given.rounds
    fleet = tables_of(given.data) if given.data else simulate(seed=11, machines=20)
    table = feature_builder(MODEL).build_features(fleet)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows_of = examples(load_model(MODEL), table)
        fitted = estimator(MODEL).fit(rows_of, rows_of, {**FEW_TREES, "num_boost_round": 40})
        save_artifact(folder / "artifact", load_model(MODEL), fitted, rows_of, rows_of, {})
        artifact = folder / "artifact"
        if given.soak:
            rows = soak(fleet, artifact, folder, given.soak, given.clients)
        else:
            rows = (updates if given.update else speeds)(fleet, artifact, folder)
    return end(rows, given)


if __name__ == "__main__":
    sys.exit(main())
