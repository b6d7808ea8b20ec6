"""Expectation suites name existing columns."""

# ruff: noqa: E501 - one line per case

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from include.models.config import MODELS_FOLDER, ConfigError, load_model, model_names

MODEL = "predictive_maintenance"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    kept = shutil.ignore_patterns("*.py", "__pycache__")
    return Path(shutil.copytree(MODELS_FOLDER / MODEL, tmp_path / MODEL, ignore=kept))


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_suites(name: str) -> None:
    assert list((MODELS_FOLDER / name / "expectations").glob("*.json"))


def _replace(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("telemetry", _replace('"column": "volt"', '"column": "volts"'), "in telemetry there is no column 'volts'. Did you mean 'volt'?"),
        ("features", _replace('"column": "volt_mean_3h"', '"column": "volt_mean"'), "in features there is no column 'volt_mean'"),
        ("telemetry_continuity", _replace("missing_rows", "missing_row"), "Did you mean 'missing_rows'?"),
        ("errors", _replace("machines__machineID", "machines__machine"), "in machines there is no column 'machine'"),
        ("errors", _replace("telemetry__datetime__min", "telemetri__datetime__min"), "there is no data set 'telemetri'"),
        ("errors", lambda text: text[:-20], "is not valid JSON"),
    ],
)  # fmt: skip
def test_a_column_that_there_is_not(home: Path, file: str, change: Callable[[str], str], words: str) -> None:
    suite = home / "expectations" / f"{file}.json"
    text = suite.read_text(encoding="utf-8")
    assert change(text) != text
    suite.write_text(change(text), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_model(MODEL, home.parent)
    assert words in str(error.value)
    assert f"{MODEL}/expectations/{file}.json:" in str(error.value)


def test_a_suite_that_is_missing_or_about_nothing(home: Path) -> None:
    (home / "expectations" / "errors.json").rename(home / "expectations" / "erors.json")
    with pytest.raises(ConfigError) as error:
        load_model(MODEL, home.parent)
    assert "erors.json:1: is not about a data set of the model. Did you mean 'errors'?" in str(error.value)
    assert "'errors' has no suite of expectations: write expectations/errors.json" in str(error.value)
