"""Days larger than memory: the four jobs of a scoring run over 20 million rows on two instances, and their memory.
One model has a single table without times; the other has five tables, in files like those that Azure published.

    python tests/benchmarks/bench_large_day.py [--json] [--rows N] [--model name]

The jobs run as the scoring Dag asks for them, on the local SageMaker, one after the other. Memory is the peak of any
instance of any job, summed over its processes. S3 is in the local SageMaker's memory, which does not count. Needs the
repository and plugins/ on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from include.models.config import load_model
from include.models.config.files import CHECKS
from include.platform.code_bundle import upload_code
from include.platform.run_folders import Run
from include.platform.storage import daily_partition, daily_prefix, split_uri
from include.score import requests as scoring
from rows import Row, end, parser, row
from tests.benchmarks.bench_serving import JOBS, local_sagemaker
from tests.benchmarks.day_jobs import environment, run_job
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.local_server import ROOT

DAYS = {"tabular_classifier": "2026-01-01", "predictive_maintenance": "2015-01-02"}
RAW_ROWS_OF_ONE = {"tabular_classifier": 1, "predictive_maintenance": 3}  # raw rows per row of features
INSTANCES = 2
BOUND_GIB = 2
MORE = 24_000  # a fleet is written a thousand machines at a time


class Watch(threading.Thread):
    """The peak memory of each kind of job, in bytes: all processes of one instance."""

    def __init__(self, server: int) -> None:
        super().__init__(daemon=True)
        self.largest: dict[str, int] = defaultdict(int)
        self._kind, self._began = "", time.monotonic()
        self.over = threading.Event()
        self._server = psutil.Process(server)

    @property
    def kind(self) -> str:
        return self._kind

    @kind.setter
    def kind(self, kind: str) -> None:
        """Announces the next step, as a whole day takes a long time."""
        if self._kind:
            gib, seconds = self.largest[self._kind] / 2**30, time.monotonic() - self._began
            print(f"{self._kind}: {gib:.2f} GiB, {seconds:.0f} s", file=sys.stderr, flush=True)
        self._kind, self._began = kind, time.monotonic()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for instance in self._server.children():
                self.largest[self._kind] = max(self.largest[self._kind], _held(instance))


def _held(process: psutil.Process) -> int:
    try:
        return sum(int(each.memory_info().rss) for each in [process, *process.children(recursive=True)])
    except psutil.NoSuchProcess:  # it has just ended
        return 0


@contextmanager
def watched(server: int) -> Iterator[Watch]:
    watch = Watch(server)
    watch.start()
    try:
        yield watch
    finally:
        watch.kind = ""
        watch.over.set()
        watch.join()


def score_day(hosting: Hosting, model: str, folder: Path, watch: Watch) -> int:
    """Runs all four jobs over the files of ``folder``; returns the number of scored rows."""
    config, day = load_model(model), DAYS[model]
    section = config.daily_scoring.model_copy(update={"instance_count": INSTANCES})
    config = config.model_copy(update={"scoring": section})
    s3, run = hosting.client("s3"), Run(BUCKET, "score", "large").of_day("0" * 16, day)
    keys = [f"{daily_partition(model, day)}{file.name}" for file in sorted(folder.iterdir())]
    for file, key in zip(sorted(folder.iterdir()), keys, strict=True):
        s3.upload_file(str(file), BUCKET, key)
    prefix = daily_prefix(model)
    manifest = [{"prefix": f"s3://{BUCKET}/{prefix}"}, *(key.removeprefix(prefix) for key in keys)]
    s3.put_object(Bucket=BUCKET, Key=split_uri(run.day_inputs)[1], Body=json.dumps(manifest).encode())
    s3.put_object(Bucket=BUCKET, Key=f"{split_uri(run.checks)[1]}/{CHECKS}", Body=b"{}")
    facts = environment(upload_code(s3, BUCKET, ROOT))

    def objects(uri: str) -> list[str]:
        prefix = split_uri(uri)[1]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    watch.kind = "validate_input"
    run_job(hosting, "processing", "validate", **scoring.validate_input(config, facts, run, day=day))
    chunks = len(objects(run.day_chunks))
    watch.kind = "build_features"
    features = scoring.build_features(config, facts, run, day=day, artifact=ARTIFACT, chunks=chunks)
    run_job(hosting, "processing", "features", **features)
    watch.kind = "score"
    shards = len(objects(f"{run.day_features}/rows"))
    run_job(
        hosting,
        "transform",
        "score",
        ModelName=hosting.model(),
        **scoring.score(config, facts, run, shards=shards),
    )
    watch.kind = "validate_scores"
    run_job(hosting, "processing", "scores", **scoring.validate_scores(config, facts, run, rows=True))
    parts = s3.get_object(Bucket=BUCKET, Key=f"{split_uri(run.staged_scores('validate_scores'))[1]}/parts.json")[
        "Body"
    ].read()
    return sum(int(part["rows"]) for part in json.loads(parts)["parts"])


def measure(model: str, rows: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [str(JOBS / "python"), "-m", "tests.benchmarks.large_days", model, str(folder), str(rows)]
        subprocess.run(command, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=True)
        with local_sagemaker(folder, folder / "artifact") as hosting:
            process = hosting.server.process
            assert process is not None
            with watched(process.pid) as watch:
                began = time.monotonic()
                came_through = score_day(hosting, model, folder / "day", watch)
                seconds = time.monotonic() - began
    gib = {kind: held / 2**30 for kind, held in watch.largest.items() if kind}
    of_each = ", ".join(f"{kind} {value:.2f}" for kind, value in gib.items())
    largest, expected = max(gib.values()), rows // RAW_ROWS_OF_ONE[model]
    return [
        row(
            f"largest memory of an instance, {model}, day of {rows:,} rows on {INSTANCES}",
            f"{largest:.2f} GiB ({of_each})",
            f"<= {BOUND_GIB}",
            largest <= BOUND_GIB,
        ),
        row(
            f"rows of features of that day that came through, {model}",
            f"{came_through:,} in {seconds:.0f} s",
            f">= {int(expected * 0.98):,}",  # model.yaml allows two per cent to be set aside
            expected * 0.98 <= came_through < expected + MORE,
        ),
    ]


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=20_000_000)
    options.add_argument("--model", choices=DAYS, action="append", help="one, or all")
    arguments = options.parse_args()
    sys.exit(end([each for model in arguments.model or DAYS for each in measure(model, arguments.rows)], arguments))
