"""The online service beside the endpoint's own server with the same model.

    python tests/benchmarks/bench_online.py [--json] [--data FOLDER] [--rounds 6]

``--data`` is a folder of predictive maintenance's tables, such as the real ones; without it they are simulated. Both
servers are asked in turns, by the same clients. Needs the repository on PYTHONPATH, in the environment of the jobs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import bench_serving
from bench_serving import CLIENTS, Target, answers_ping, p99, under_load
from bench_skew import tables_of
from include.jobs.features.feature_table import examples
from include.jobs.serving.artifact import save_artifact
from include.models.config import load_model
from include.models.loader import estimator, feature_builder
from include.models.predictive_maintenance.simulate import simulate
from rows import Row, end, parser, row
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


@contextmanager
def server(command: list[str], port: int, path: str, **told: str) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **told})
    try:
        deadline = time.monotonic() + 120
        while not answers_ping(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command} did not start")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


def speeds(fleet: Tables, artifact: Path, folder: Path) -> list[Row]:
    config = load_model(MODEL)
    golden = json.loads((artifact / "golden_requests.json").read_text())
    features = [json.dumps({"instances": [one["features"]]}) for one in golden]
    last = fleet["telemetry"]["datetime"].max()
    assert isinstance(last, datetime)
    hour = last.replace(hour=6) - timedelta(days=1)
    machines = fleet["machines"]["machineID"].head(8).to_list()
    questions = [json.dumps({"machineID": machine, "datetime": str(hour)}) for machine in machines]
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
        for machine in machines:
            Target(online, "/events", JSON, [json.dumps(until(fleet, machine, hour))]).seconds_of_each(1)
        targets = [
            Target(endpoint, "/invocations", JSON, features),
            Target(online, "/predict", JSON, features),
            Target(online, "/predict", JSON, questions),
        ]
        own, built, raw = under_load(targets)
    took = sum(built) / CLIENTS
    times = {"features in the request": (built, 1.5), "24 h of history from the store": (raw, 2.5)}
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


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--data", type=Path)
    options.add_argument("--rounds", type=int, default=bench_serving.ROUNDS)
    given = options.parse_args()
    bench_serving.ROUNDS = given.rounds
    fleet = tables_of(given.data) if given.data else simulate(seed=11, machines=20)
    table = feature_builder(MODEL).build_features(fleet)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows_of = examples(load_model(MODEL), table)
        fitted = estimator(MODEL).fit(rows_of, rows_of, {**FEW_TREES, "num_boost_round": 40})
        save_artifact(folder / "artifact", load_model(MODEL), fitted, rows_of, rows_of, {})
        rows = speeds(fleet, folder / "artifact", folder)
    return end(rows, given)


if __name__ == "__main__":
    sys.exit(main())
