"""The shipped gates reject a sabotaged model and pass the honest one. This is at small scale and for one model; ``make
sabotage`` covers all models, with twenty seeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from include.jobs.evaluation import resampling
from include.models.config import load_model
from include.models.interface import Tables
from include.models.loader import feature_builder
from include.models.tabular.new_model import new_model
from tests.benchmarks import sabotage
from tests.benchmarks.sabotage import Trial, made_up, tables_of, trials
from tests.include.jobs.job_programs import Jobs
from tests.include.models.tabular.test_new_model import orders

MODELS = ("tabular_classifier", "abalone_age", "machine_downtime")  # make sabotage has the others, and real data
RUINED = (
    "5 % of the rows",
    "shuffled labels",
    "one dead feature",
    "a stump",
    "a leaked column",
    "yesterday's labels",
    "swapped classes",
)


@dataclass(frozen=True)
class Made:
    """A model's synthetic data, and the trials on it."""

    tables: Tables
    frame: pl.DataFrame
    trials: list[Trial]


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    config = load_model(request.param)
    tables = tables_of(config, made_up(config.name, tmp_path_factory.mktemp("raw")))
    frame = feature_builder(config.name).build_features(tables)
    return Made(tables, frame, list(trials(config, frame, seeds=1)))


@pytest.fixture(autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "DRAWS", 100)
        yield


@pytest.mark.parametrize("number", range(len(RUINED) + 1), ids=[*RUINED, "honest"])
def test_a_ruined_model_is_refused_and_the_honest_one_is_not(made: Made, number: int) -> None:
    trial = made.trials[number]
    line = trial.run(made.tables, made.frame)
    assert trial.sabotage == [*RUINED, "honest, seed 0"][number]
    assert line["refused"] == (number < len(RUINED)), line["by"]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_gates_of_a_new_model_refuse_them_too(jobs: Jobs, tmp_path: Path, kind: str) -> None:
    code = Path(shutil.copytree(jobs.code, tmp_path / "code"))
    raw = tmp_path / "raw"
    raw.mkdir()
    orders(kind).write_csv(raw / "orders.csv")
    new_model("bicycle_orders", kind, raw / "orders.csv", folder=code / "include" / "models")
    program = Path(sabotage.__file__).read_text(encoding="utf-8")
    done = Jobs(code).run_code(program, "--model", "bicycle_orders", "--data", raw, "--seeds", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads((code / sabotage.REPORT).read_text())
    assert {line["sabotage"] for line in lines if line["refused"]} == set(RUINED)
    (stump,) = [line["by"] for line in lines if line["sabotage"] == "a stump"]
    assert any("share_over_one_rule" in reason for reason in stump)
