"""A policy's life: the order in which days are scored, judged and followed by trainings; jobs and S3 are stand-ins."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from include.models.config import load_model
from include.monitor.tasks import TrainingConf
from include.ops.local_stack.settings import Settings
from include.ops.replay import policy
from include.ops.replay.policy import Life, course_of, with_policy
from include.ops.replay.world import World, context_of
from include.platform.environment import VARIABLE

MODEL = load_model("electricity")
STARTED: TrainingConf = {"started_by": "monitor", "must_learn": "1998-01-02"}


@dataclass
class Told(Life):
    """A life that records its steps; the days in ``drifted`` start a training, those in ``part`` only of these
    policies."""

    drifted: tuple[str, ...] = ()
    part: dict[str, list[str]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def _score(self, first: str, last: str) -> None:
        self.done.append(f"score {first[-2:]}-{last[-2:]}")

    def _judge(self, day: str) -> Any:
        self.done.append(f"judge {day[-2:]}")
        return {"date": day}

    def _trainers(self, found: Any) -> list[str]:
        return self.part.get(found["date"], [])

    def _follow(self, found: Any) -> Any:
        return STARTED if found["date"] in self.drifted else None

    def train(self, day: str, *, started_by: str, must_learn: str | None, whatever: bool = False) -> None:
        self.done.append(f"train {day[-2:]} {started_by}")

    def _ended(self, day: str, found: Any) -> Any:
        return found["date"]


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "measure_weeks", lambda model, world, days: days)


def life(name: str, tmp_path: Path, **more: Any) -> Told:
    policies = name.split()
    world = World(Settings(tmp_path, 0, 0))
    return Told(with_policy(MODEL, policies[0]), course_of(policies, "1998-01-01"), world, **more)


def test_days_that_the_version_before_has_scored_already_are_scored_again(tmp_path: Path) -> None:
    lived = life("on_drift", tmp_path, drifted=("1998-01-02",))
    lived.live("1998-01-05", 3)
    assert lived.course["days"] == lived.course["weeks"] == [f"1998-01-0{day}" for day in range(1, 6)]
    assert lived.done == [
        *("score 01-03", "judge 01", "judge 02", "train 02 monitor"),
        *("score 03-05", "judge 03", "judge 04", "judge 05"),
    ]


def test_after_a_training_days_are_scored_up_to_the_next_possible_one(tmp_path: Path) -> None:
    lived = life("on_drift", tmp_path, drifted=("1998-01-02", "1998-01-16"))
    lived.live("1998-01-31", 28)
    scored = [each for each in lived.done if not each.startswith("judge")]
    assert MODEL.monitoring.cool_down_days == 14
    assert scored == [
        *("score 01-28", "train 02 monitor", "score 03-16", "train 16 monitor", "score 17-30"),
        "score 31-31",
    ]


def test_a_schedule_trains_on_its_days_before_any_day_is_scored(tmp_path: Path) -> None:
    lived = life("weekly", tmp_path)
    lived.live("1998-01-16", 28)
    scored = [each for each in lived.done if not each.startswith("judge")]
    assert scored == ["train 07 replay, weekly", "train 14 replay, weekly", "score 01-16"]


def test_one_day_at_a_time_a_schedule_trains_in_the_order_of_daily_runs(tmp_path: Path) -> None:
    lived = life("weekly", tmp_path)
    lived.live("1998-01-08", 1)
    assert lived.done[-5:] == ["score 07-07", "judge 07", "train 07 replay, weekly", "score 08-08", "judge 08"]


def test_policies_are_replayed_together_until_only_some_of_them_train(tmp_path: Path) -> None:
    together = life("never on_drift", tmp_path, part={"1998-01-03": ["on_drift"]})
    together.live("1998-01-05", 4)
    assert together.done == ["score 01-04", "judge 01", "judge 02", "judge 03"]
    assert (together.course["next"], together.course["parting"]) == ("1998-01-03", ["on_drift"])
    both = {one: life(one, tmp_path, drifted=("1998-01-03",) * (one == "on_drift")) for one in ("never", "on_drift")}
    for name, lived in both.items():
        lived.course = {**copy.deepcopy(together.course), "policies": [name]}
        lived.live("1998-01-05", 4)
        assert lived.course["days"] == [f"1998-01-0{day}" for day in range(1, 6)]
    assert both["never"].done == ["judge 04", "score 05-05", "judge 05"]  # what both have is not done again
    assert both["on_drift"].done == ["train 03 monitor", "score 04-05", "judge 04", "judge 05"]


def test_a_verdict_parts_the_policies_that_train_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Any = None
    monkeypatch.setattr(policy, "read_json", lambda *_: told)
    monkeypatch.setattr(Life, "_s3", None)

    def parting(policies: str, verdict: str) -> list[str]:
        world = World(Settings(tmp_path, 0, 0))
        lived = Life(with_policy(MODEL, "never"), course_of(policies.split(), "1998-01-01"), world)
        return lived._trainers({"date": "1998-01-05", "verdict": verdict, "training": STARTED})  # type: ignore[typeddict-item] # as far as it is read

    every = "never on_drift on_performance"
    assert parting(every, "fine") == parting(every, "data fault") == []
    assert parting(every, "drift without harm") == ["on_drift"]
    assert parting(every, "performance loss") == ["on_drift", "on_performance"]
    assert parting("on_drift on_performance", "performance loss") == []  # both train: they stay together
    told = {"trained": "1998-01-01", "trained_by": "before"}
    assert parting(every, "performance loss") == []  # within the cool-down


@pytest.mark.parametrize(("name", "when"), [("never", "never"), ("weekly", "never"), ("on_drift", "on_drift")])
def test_a_policy_is_all_that_differs(name: str, when: str) -> None:
    found = with_policy(MODEL, name).monitoring
    assert found is not None
    assert MODEL.monitoring is not None
    assert found.retrain.when == when
    assert found.retrain.holdout_days == MODEL.monitoring.retrain.holdout_days
    assert found.model_copy(update={"retrain": MODEL.monitoring.retrain}) == MODEL.monitoring


def test_tasks_find_what_earlier_ones_of_the_run_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context: Any = context_of("train_electricity", "replay__1", force=False)
    context["ti"].xcom_push(key="gates", value=[1])
    assert context["ti"].values == {"gates": [1]}
    assert context["ti"].xcom_pull(task_ids="register_model") is None
    monkeypatch.delenv(f"AIRFLOW_VAR_{VARIABLE.upper()}", raising=False)
    World(Settings(tmp_path, 0, 0)).use_code("0123456789ab")
    assert policy.ml_environment().code_hash == "0123456789ab"
    assert policy.ml_environment().mlflow_tracking_uri is None
