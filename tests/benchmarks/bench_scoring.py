"""Rows per second of the scoring path, compared with the model's predict on the same rows in one process.

    python tests/benchmarks/bench_scoring.py [--json] [--rows N]

The path: the transform job as the scoring Dag asks for it, on the local SageMaker: rows with their keys from S3, cut
into requests, parsed, predicted and rendered by the serving program, joined with their keys, back to S3; from its start
to its end, including the container's start and the model's loading. Both sides may use all cores. Needs the repository
on PYTHONPATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from include.models.config import load_model
from include.platform.run_folders import Run
from include.score import requests as scoring
from rows import Row, row
from tests.benchmarks.bench_serving import JOBS, local_sagemaker
from tests.benchmarks.day_jobs import environment, run_job, show
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting
from tests.include.local_sagemaker.local_server import ROOT

MODEL = "predictive_maintenance"
BOUND = 0.5
SHARDS = 20
# in the jobs' environment: a full-size model; shards of its rows; how many seconds predict alone takes
PREPARE = """
import sys, time
from pathlib import Path
import polars as pl
from include.jobs.serving.artifact import load_artifact, save_artifact
from include.jobs.features.feature_table import examples
from include.models.config import load_model
from include.models.loader import estimator, feature_builder
from include.models.predictive_maintenance.simulate import simulate

folder, rows, shards = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
config = load_model("predictive_maintenance")
table = feature_builder(config.name).build_features(simulate(seed=5, machines=20))
train, validation = examples(config, table), examples(config, table.gather_every(5))
model = estimator(config.name).fit(train, validation, config.training.hyperparameters)
chosen = {"hyperparameters": config.training.hyperparameters}
save_artifact(folder / "artifact", config, model, train, validation, chosen)
loaded = load_artifact(folder / "artifact")
names = loaded.columns.features
(folder / "rows").mkdir()
taken, each = 0.0, rows // shards
for shard in range(shards):
    part = table.sample(each, with_replacement=True, seed=shard)
    part.select(*config.data.key, *names).write_csv(folder / "rows" / f"shard-{shard:05}.csv", include_header=False)
    part = part.select(pl.col(names).cast(pl.Float64))
    began = time.perf_counter()
    loaded.answers(part)
    taken += time.perf_counter() - began
print(taken)
"""


def predict_seconds(folder: Path, rows: int) -> float:
    command = [str(JOBS / "python"), "-c", PREPARE, str(folder), str(rows), str(SHARDS)]
    variables = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout.split()[-1])


def transform_seconds(hosting: Hosting, folder: Path) -> float:
    """The rate of the job that scores ``folder/rows``."""
    s3, run = hosting.client("s3"), Run(BUCKET, "score", "bench").of_day("0" * 16, "2015-01-01")
    prefix = f"{run.day_features}/rows/".removeprefix(f"s3://{BUCKET}/")
    for shard in sorted((folder / "rows").iterdir()):
        s3.upload_file(str(shard), BUCKET, f"{prefix}{shard.name}")
    request = scoring.score(load_model(MODEL), environment("0" * 12), run, shards=1)
    job = run_job(hosting, "transform", "bench", ModelName=hosting.model(), **request)
    seconds: float = (job["TransformEndTime"] - job["TransformStartTime"]).total_seconds()
    return seconds


def measure(rows: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = predict_seconds(folder, rows)
        with local_sagemaker(folder, folder / "artifact") as hosting:
            path = transform_seconds(hosting, folder)
    ratio = alone / path
    value = f"{ratio:.2f} ({rows / path:,.0f} beside {rows / alone:,.0f} rows a second, {rows:,} rows)"
    return [row("scoring path / predict alone, rows per second", value, f">= {BOUND}", ratio >= BOUND)]


if __name__ == "__main__":
    sys.exit(show(measure, __doc__, 5_000_000))
