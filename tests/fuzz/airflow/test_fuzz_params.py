"""Any input to a Dag's form: Airflow refuses it, or the first task accepts it or says what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowException, ParamValidationError
from hypothesis import strategies as st

from include.deploy import form as deploy_form
from include.models.config import ConfigError, load_model
from include.platform.errors import PermanentError
from include.registry.history import Entry, History, promote
from include.score import form as score_form
from include.score.plan import choose_version
from include.score.tasks import day_of_run
from include.train import form as train_form
from include.train.tasks import _check_params
from tests.fuzz.examples import JSON, attempt, fuzz

MODEL = load_model("predictive_maintenance")
DAYS = ["", " ", "2015-06-01", "2015-13-01", "2015-06-01T00:00:00Z", "20150601", "31.12.2015", "2015-W23-1"]
NUMBERS = ["0", "-1", "3", "03", "3.5", "1e3", "٣", "true", "NaN", "9" * 400]
WORDS = ["champion_at", "current", "ml.m5.large", "ml.m5.huge", "x; rm", "\0", "\ud83d"]
TEXTS = st.sampled_from(DAYS + NUMBERS + WORDS)
NAMES = st.sampled_from(["num_leaves", "learning_rate", "seed", "num_leafs", ""])
VALUES = JSON | TEXTS | st.dictionaries(NAMES, TEXTS | JSON, max_size=3)
ENTRY = Entry(
    version=1,
    model_package_arn="arn:aws:sagemaker:eu-west-1:123456789012:model-package/m/1",
    artifact="s3://bucket/1/model.tar.gz",
    since=datetime(2015, 6, 3, tzinfo=UTC),
    endpoint_config="config",
    dag_id="deploy",
    run_id="1",
)
HISTORY = promote(History(), ENTRY)


def scored(params: Mapping[str, Any]) -> None:
    start = datetime(2015, 6, 1, tzinfo=UTC)
    run = SimpleNamespace(data_interval_start=start, logical_date=start, run_type="manual", partition_key=None)
    context: Any = {"params": params, "dag_run": run}
    day = day_of_run(context)
    assert datetime.fromisoformat(day)
    number, reason = choose_version(HISTORY, day, str(params["model_version"]))
    assert number > 0
    assert reason


def trained(params: Mapping[str, Any]) -> None:
    _check_params(MODEL, params)


def deployed(params: Mapping[str, Any]) -> None:
    context: Any = {"params": params}
    deploy_form.chosen_strategy(context)


FORMS: dict[str, tuple[dict[str, Param], Callable[[Mapping[str, Any]], None]]] = {
    "score": (score_form.params(), scored),
    "train": (train_form.form_of(MODEL), trained),
    "deploy": (deploy_form.params(MODEL), deployed),
}


def filled(params: Mapping[str, Param], given: Mapping[str, Any]) -> dict[str, Any]:
    form = ParamsDict({name: Param(param.value, **param.schema) for name, param in params.items()})
    form.update(given)
    return dict(form.validate())


@pytest.mark.parametrize("verb", sorted(FORMS))
def test_params(verb: str) -> None:
    params, first_task = FORMS[verb]

    def check(given: dict[str, Any]) -> None:
        entered, _ = attempt(lambda: filled(params, given), ParamValidationError)
        if entered is None:
            return
        _, error = attempt(lambda: first_task(entered), Exception)
        if error:
            assert isinstance(error, PermanentError | ConfigError | AirflowException), repr(error)
            assert str(error)

    fuzz(f"params of {verb}", st.dictionaries(st.sampled_from(sorted(params)), VALUES, max_size=4), check)
