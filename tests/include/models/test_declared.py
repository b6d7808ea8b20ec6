"""model.yaml's ``code`` describes the folder's modules correctly: it is read where they cannot be imported."""

from __future__ import annotations

import importlib
import math
import re
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.config import LINE, MODELS_FOLDER, Code, load_model, model_names
from include.models.config.code import LIGHTGBM, TABULAR
from include.models.loader import domain_evaluation, feature_builder

SMALL = {
    "machine_downtime": ["--days", "60"],
    "abalone_age": ["--rows", "600"],
    "electricity": ["--days", "60"],
    "predictive_maintenance": ["--machines", "2", "--days", "60"],
}
# how estimators remove their own hyperparameter from the given ones
TAKEN = re.compile(r'(?:parameters\.pop\(|hyperparameters\[)"(\w+)"')


def simulated(name: str, folder: Path) -> dict[str, pl.DataFrame]:
    importlib.import_module(f"include.models.{name}.simulate").main(["--out", str(folder), *SMALL[name]])
    config = load_model(name)
    return {
        table: clean_table(read_table(folder, table, declared), declared, config.data.time, Window()).frame.drop(LINE)
        for table, declared in config.data.tables.items()
    }


@pytest.mark.parametrize("name", model_names())
def test_the_modules_that_are_declared_are_there(name: str) -> None:
    code = load_model(name).code
    declared = {part for part in Code.model_fields if getattr(code, part)}
    assert declared == {part for part in Code.model_fields if (MODELS_FOLDER / name / f"{part}.py").exists()}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_features_make_the_columns_that_are_declared(name: str, tmp_path: Path) -> None:
    config = load_model(name)
    made = feature_builder(name).build_features(simulated(name, tmp_path)).columns
    assert config.code.features
    assert sorted(config.code.features.columns) == sorted(set(made) - set(config.data.not_features))


@pytest.mark.parametrize("name", [name for name in model_names() if load_model(name).code.evaluation])
def test_evaluations_give_the_metrics_that_are_declared(name: str, tmp_path: Path) -> None:
    config, own, tables = load_model(name), domain_evaluation(name), simulated(name, tmp_path)
    test = feature_builder(name).build_features(tables).select(config.data.not_features)
    truth = pl.col(config.data.label)
    predicted = truth.cast(pl.String) if config.data.classes else truth.cast(pl.Float64)
    assert own
    found = own.evaluate(test.with_columns(predicted.alias("predicted")), tables).metrics
    assert config.code.evaluation
    assert found.keys() == config.code.evaluation.metrics.keys()
    known = config.evaluation_metrics
    assert [metric for metric, value in found.items() if math.isfinite(value) and known[metric].refuses(value)] == []


@pytest.mark.parametrize("name", [*SMALL, "tabular"])
def test_estimators_take_the_hyperparameters_that_are_declared(name: str) -> None:
    declared = TABULAR if name == "tabular" else load_model(name).code.estimator
    source = (MODELS_FOLDER / name / "estimator.py").read_text(encoding="utf-8")
    assert declared
    assert set(TAKEN.findall(source)) == set(declared.hyperparameters)
    assert declared.intervals == ("\ndef intervals(" in source)
    assert (declared.library == "lightgbm") == ("(hyperparameters)\n" in source)  # passes the others on


def test_the_librarys_hyperparameters_are_its_own_names() -> None:
    """LightGBM silently ignores unknown hyperparameters."""
    names = lightgbm.basic._ConfigAliases._get_all_param_aliases()
    assert set(LIGHTGBM) - set(names) == set()


@pytest.mark.parametrize("name", sorted(LIGHTGBM))
def test_the_library_takes_what_is_allowed(name: str) -> None:
    rule = LIGHTGBM[name]
    x, y = np.arange(200.0).reshape(-1, 1) % 7, np.arange(200.0) % 3
    for value in {rule.default, *(end for end in (rule.min, rule.max) if end is not None and abs(end) <= 1000)}:
        parameters = {name: rule.typed(value), "verbose": -1, "num_threads": 1, "bagging_freq": 1}
        rows = lightgbm.Dataset(x, y, params={"verbose": -1})
        assert lightgbm.train(parameters, rows, 1).num_trees() == 1
