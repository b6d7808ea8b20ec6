"""The same data, code, hyperparameters and libraries give the same model.tar.gz, to the byte, in another process.
``test_train_model`` covers predictive_maintenance."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import IO, cast

import pytest

from include.jobs.features.splitting import split
from include.local_sagemaker.containers.s3_transfer import upload_archive
from include.models.config import load_model
from include.models.loader import feature_builder
from tests.benchmarks.sabotage import tables_of
from tests.include.jobs.job_programs import Jobs

MODELS = {
    "abalone_age": {"num_boost_round": "20"},
    "electricity": {"num_boost_round": "20"},
    "tabular_classifier": {"num_boost_round": "20"},
    "machine_downtime": {"algorithm": "random_forest", "trees": "10"},
}
SIZES = {"electricity": ("--days", "90")}
ROWS = 2000  # per split, at most
TRAIN = """
import json, sys
from pathlib import Path
from include.jobs.train_model import train
from include.models.config import load_model
features, into = map(Path, sys.argv[1:3])
for model, given in json.loads(sys.argv[3]).items():
    channels = {name: features / model / name for name in ("train", "validation")}
    train(load_model(model), given, channels, into / model, into / f"{model}_output")
"""


class Kept:
    """An S3 that keeps uploads in memory."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    def upload_fileobj(self, body: IO[bytes], bucket: str, key: str, **_: object) -> None:
        self.bodies[key] = body.read()


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    for model in MODELS:
        raw = tmp_path_factory.mktemp("raw")
        importlib.import_module(f"include.models.{model}.simulate").main(["--out", str(raw), *SIZES.get(model, ())])
        config = load_model(model)
        parts = split(config, feature_builder(model).build_features(tables_of(config, raw)))
        for name in ("train", "validation"):
            (folder / model / name).mkdir(parents=True)
            parts[name].tail(ROWS).write_parquet(folder / model / name / "features.parquet")
    return folder


def test_each_model_gives_the_same_bytes_twice(jobs: Jobs, features: Path, tmp_path: Path) -> None:
    found = []
    for number in ("1", "2"):
        done = jobs.run_code(
            TRAIN, features, tmp_path / number, json.dumps(MODELS), PYTHONHASHSEED=number, RUN_ID=f"manual__{number}"
        )
        assert done.returncode == 0, done.stderr
        s3 = Kept()
        for model in MODELS:
            upload_archive(cast("object", s3), [tmp_path / number / model], f"s3://lake/{model}/model.tar.gz")  # type: ignore[arg-type]
        found.append((files_of(tmp_path / number), s3.bodies))
    (first, packed), (second, packed_again) = found
    assert [name for name in first if first[name] != second[name] and "_output/" not in name] == []
    assert "machine_downtime/model.skops" in first
    assert first.keys() == second.keys()
    assert packed == packed_again


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
