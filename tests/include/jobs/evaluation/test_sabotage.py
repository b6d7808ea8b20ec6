"""The shipped gates refuse a model that was ruined, and let the honest one through: at a small scale and for one model
here, for all of them and with twenty seeds in ``make sabotage``."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from include.jobs.evaluation import resampling
from include.models.config import ModelConfig, load_model
from include.models.interface import Tables
from include.models.loader import feature_builder
from tests.benchmarks.sabotage import made_up, tables_of, trials

MODELS = ("tabular_classifier",)  # others: make sabotage
RUINED = (
    "5 % of the rows",
    "shuffled labels",
    "one dead feature",
    "a stump",
    "a leaked column",
    "yesterday's labels",
    "swapped classes",
)


@pytest.fixture(scope="module", params=MODELS)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ModelConfig, Tables, pl.DataFrame]:
    config = load_model(request.param)
    tables = tables_of(config, made_up(config.name, tmp_path_factory.mktemp("raw")))
    return config, tables, feature_builder(config.name).build_features(tables)


@pytest.fixture(autouse=True)
def few_draws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "DRAWS", 100)
        yield


@pytest.mark.parametrize("number", range(len(RUINED) + 1), ids=[*RUINED, "honest"])
def test_a_ruined_model_is_refused_and_the_honest_one_is_not(
    made: tuple[ModelConfig, Tables, pl.DataFrame], number: int
) -> None:
    config, tables, frame = made
    trial = list(trials(config, frame, seeds=1))[number]
    line = trial.run(tables, frame)
    assert trial.sabotage == ([*RUINED, "honest, seed 0"][number])
    assert line["refused"] == (number < len(RUINED)), line["by"]
