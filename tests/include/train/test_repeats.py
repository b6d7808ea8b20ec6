"""When a training would repeat the last one, and when not."""

from __future__ import annotations

from typing import Any

import pytest

from include.models.config import ModelConfig, load_model
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.raw_files import RawFile
from include.platform.training_parts import SEVERAL_MACHINES
from include.train import repeats
from include.train.form import PREFIX, given_hyperparameters
from include.train.repeats import digest_of, ingredients, shared_by_machines, what_changed

MODEL = load_model("predictive_maintenance")
ENVIRONMENT = MlEnvironment.model_validate_json(EXAMPLE)
FORM: dict[str, Any] = {
    "data_from": None,
    "data_to": None,
    "must_learn": None,
    "tune": False,
    "instance_type": None,
}
FILES: list[RawFile] = [{"key": "a.csv", "bytes": 10**6, "etag": "1"}]


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "read_parts", lambda *_: {"code": "c", SEVERAL_MACHINES: "s"})


def made_of(model: ModelConfig = MODEL, files: list[RawFile] = FILES, **form: Any) -> Any:
    s3: Any = None
    return ingredients(model, FORM | form, s3, ENVIRONMENT, files)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"data_from": "2015-02-01"}, "data window"),
        ({"must_learn": "2015-10-01"}, "held out"),
        ({"tune": True}, "tuning"),
        ({"instance_type": "ml.m5.4xlarge"}, "instance type"),
        ({f"{PREFIX}num_leaves": 7}, "hyperparameters"),
    ],
)
def test_another_form_is_another_training_and_says_what_changed(form: dict[str, Any], name: str) -> None:
    usual, other = made_of(), made_of(**form)
    assert digest_of(usual) == digest_of(made_of())
    assert digest_of(usual) != digest_of(other)
    last: Any = {"run_id": "one", "made_of": usual}
    assert what_changed(last, other) == f"changed since run one: {name}"


def test_a_tuning_depends_on_what_it_searches() -> None:
    given = made_of(tune=True, **{f"{PREFIX}num_leaves": MODEL.training.hyperparameters["num_leaves"]})
    assert digest_of(given) != digest_of(made_of(tune=True)), "one hyperparameter fewer is tuned"
    assert made_of()["tuning"] is False


def test_without_monitoring_nothing_else_is_held_out() -> None:
    assert "held out" not in made_of(MODEL.model_copy(update={"monitoring": None}), must_learn="2015-10-01")
    assert "held out" not in made_of()


def test_only_a_training_of_several_machines_depends_on_their_code() -> None:
    limit = 3
    model = MODEL.model_copy(update={"processing": MODEL.processing.model_copy(update={"one_job_mb": limit})})
    large: list[RawFile] = [{"key": f"{number}.csv", "bytes": 2**20, "etag": "1"} for number in range(limit + 1)]
    assert not shared_by_machines(model, large[:limit]), "up to the limit, one job"
    assert shared_by_machines(model, large)
    assert SEVERAL_MACHINES in made_of(model, large)
    assert SEVERAL_MACHINES not in made_of(model, large[:limit])
    unlimited = MODEL.model_copy(update={"processing": MODEL.processing.model_copy(update={"one_job_mb": 0})})
    assert not shared_by_machines(unlimited, large)


def test_a_form_gives_what_is_filled_in_as_the_estimator_takes_it() -> None:
    electricity = load_model("electricity")
    given = {f"{PREFIX}history": "false", f"{PREFIX}num_leaves": 7, f"{PREFIX}learning_rate": None, "tune": True}
    assert given_hyperparameters(electricity, given) == {"history": False, "num_leaves": 7}
