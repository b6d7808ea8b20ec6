"""When a verdict starts a training: only once there is data to learn the change from."""

from __future__ import annotations

from typing import Any, cast

import pytest

from include.models.config import Monitoring, load_model
from include.monitor.verdict import Told, VerdictJson, changed_on, days_to_look_back, may_train

PDM = load_model("predictive_maintenance")  # gaps of a day between the parts
DAY = "2015-10-14"


def verdict(day: str, said: str, version: int = 1) -> VerdictJson:
    return cast(VerdictJson, {"date": day, "verdict": said, "model_version": version})


def of_faulty_days(day: str) -> VerdictJson:
    """A loss that labels show, of days with a data fault."""
    return cast(VerdictJson, {**verdict(day, "performance loss"), "performance": {"faulty": ["2015-10-09"]}})


def test_a_training_waits_until_what_it_learns_from_has_changed() -> None:
    days = days_to_look_back(PDM.model_copy(update={"monitoring": Monitoring(window_days=3)}), DAY)
    assert days == ["2015-09-28", "2015-09-29", "2015-09-30"], "7 to test, 3 to validate, 2 between, 1 without labels"
    drift, loss = "drift without harm", "performance loss"
    assert changed_on(1, [verdict(days[0], "fine"), None, verdict(days[2], drift)]) == days[2]
    assert changed_on(1, [verdict(days[0], loss), None, verdict(days[2], drift)]) == days[0]
    assert changed_on(1, [verdict(days[0], drift, version=2), verdict(days[1], "data fault")]) is None
    assert changed_on(1, [of_faulty_days(days[0]), verdict(days[2], drift)]) == days[2], "the first is of the data"


def test_a_training_that_holds_out_machines_learns_up_to_the_newest_label() -> None:
    watched = Monitoring.model_validate({"window_days": 3, "retrain": {"holdout_share": 0.2, "learn_days": 7}})
    days = days_to_look_back(PDM.model_copy(update={"monitoring": watched}), DAY)
    assert days == ["2015-10-04", "2015-10-05", "2015-10-06"], "7 days to learn, and one without labels"


def test_rows_split_by_chance_are_learned_at_once() -> None:
    by_chance = load_model("tabular_classifier")
    assert days_to_look_back(by_chance.model_copy(update={"monitoring": Monitoring()}), DAY) == [DAY]


@pytest.mark.parametrize(
    ("retrain", "said", "changed", "why_not"),
    [
        ("on_drift", "drift without harm", "2015-10-01", None),
        ("on_drift", "drift without harm", None, "too new"),
        ("on_drift", "data fault", "2015-10-01", "would be learned"),
        ("on_performance", "drift without harm", "2015-10-01", "the verdict drift without harm"),
        ("on_performance", "performance loss", "2015-10-01", None),
        ("schedule", "performance loss", "2015-10-01", "retrain is schedule"),
        ({"when": "on_drift", "holdout_days": 14}, "performance loss", "2015-10-01", None),
    ],
)
def test_what_starts_a_training(retrain: Any, said: str, changed: str | None, why_not: str | None) -> None:
    found = may_train(Monitoring(retrain=retrain), None, verdict(DAY, said), "run", changed)
    assert found is None if why_not is None else why_not in (found or "")


@pytest.mark.parametrize(
    ("last", "by", "why_not"),
    [
        ("2015-10-07", "another", None),  # the seventh day is past the rest
        ("2015-10-08", "another", "the last training was on 2015-10-08; monitoring.cool_down_days is 7"),
        ("2015-10-14", "another", "the last training was on 2015-10-14"),
        ("2015-10-14", "run", None),  # the run itself, cleared
        (None, None, None),
    ],
)
def test_a_training_is_not_started_again_while_the_last_one_is_new(
    last: str | None, by: str | None, why_not: str | None
) -> None:
    settings = Monitoring(retrain={"when": "on_drift"}, cool_down_days=7)  # type: ignore[arg-type] # as YAML has it
    told = cast(Told, {"verdict": "fine", "on": DAY, "trained": last, "trained_by": by})
    found = may_train(settings, told, verdict(DAY, "drift without harm"), "run", DAY)
    assert found is None if why_not is None else why_not in (found or "")


def test_a_loss_that_may_be_of_the_data_starts_no_training() -> None:
    settings = Monitoring(retrain="on_performance")  # type: ignore[arg-type] # as YAML has it
    refused = may_train(settings, None, of_faulty_days(DAY), "run", DAY)
    assert refused == "of the days whose labels show the loss, these have a data fault: 2015-10-09"


def test_the_newest_judged_day_decides_and_a_training_that_was_started_stays_so() -> None:
    settings, drift = Monitoring(retrain="on_drift"), verdict(DAY, "drift without harm")  # type: ignore[arg-type] # as YAML has it
    refused = may_train(settings, None, drift, "run", DAY, "2015-10-15")
    assert refused == "2015-10-15 has been judged already, and the newest day decides"
    told = cast(Told, {"verdict": "fine", "on": DAY, "trained": DAY, "trained_by": "run"})
    assert may_train(settings, told, drift, "run", DAY, "2015-10-15") is None, "the run itself, cleared"
