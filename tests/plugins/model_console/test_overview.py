"""What a row says about a model."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from model_console.overview import Dags, Question, row, tone
from model_console.view import is_of_model, of_model, spark, version_of

TODAY = date(2026, 11, 29)


def index(**changes: Any) -> dict[str, Any]:
    """A model with version 2 in production, scored and watched up to the day before yesterday."""
    facts = {"promotion_by": "ada", "promotion_at": "2026-11-02T09:00:00+00:00", "promotion_decision": "promoted"}
    made: dict[str, Any] = {
        "model": "pumps",
        "description": "Whether a pump fails",
        "owner": "plant",
        "production": [{"version": 2, "from": "2026-11-02T10:00:00Z", "to": None, "dag_id": "deploy_pumps"}],
        "versions": [
            version(1, "Rejected", {}),
            version(2, "Approved", facts),
        ],
        "days": {"2026-11-27": day(120), "2026-11-28": day(100)},
        "drift": {"2026-11-28": {"verdict": "fine", "summary": "nothing moved", "version": 2, "drifted": []}},
        "performance": {"2026-11-27": {"metric": "accuracy", "value": 0.9123, "version": 2}},
    }
    return {**made, **changes}


def version(number: int, approval: str, facts: dict[str, str]) -> dict[str, Any]:
    at = f"2026-11-0{number}T08:00:00+00:00"
    return {"version": number, "arn": "arn", "registered_at": at, "approval": approval, "metrics": {}, "facts": facts}


def day(rows: int, instance_type: str = "ml.m5.large") -> dict[str, Any]:
    return {
        "rows": rows,
        "rejected": 0,
        "version": 2,
        "published_at": "2026-11-28T03:00:00+00:00",
        "run_id": "scheduled",
        "instance_seconds": {instance_type: 3600.0},
    }


def dag(dag_id: str, **changes: Any) -> dict[str, Any]:
    asleep = {"is_paused": False, "next_dagrun_run_after": None, "timetable_summary": "0 3 * * *"}
    return {"dag_id": dag_id, "description": "Score a day: Whether a pump fails", **asleep, **changes}


JOBS = {"job": {"dag_id": "train_pumps", "kind": "training", "seconds": 3600, "usd": 0.115}}
DAGS = Dags(by_id={f"{verb}_pumps": dag(f"{verb}_pumps") for verb in ("train", "score", "deploy", "monitor")})


def state(found: dict[str, Any] | None, dags: Dags = DAGS) -> str:
    return row("pumps", found, dags, TODAY, JOBS).state.word


def test_a_model_that_is_well() -> None:
    made = row("pumps", index(), DAGS, TODAY, JOBS)
    assert (made.state.word, made.state.tone, made.version, made.since, made.by) == (
        "fine",
        "good",
        2,
        "2026-11-02",
        "ada",
    )
    assert (made.last_day, made.days_late, made.waiting, made.failed) == ("2026-11-28", 0, 0, 0)
    assert (made.worth, made.worth_until) == ("accuracy 0.9123", "2026-11-27")
    assert list(made.realised[-2:]) == [0.9123, None]
    assert len(made.realised) == len(made.estimated) == 30
    assert (made.rows, made.usd) == (100, 0.115)


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("never trained", {"versions": [], "production": []}),
        ("not in production", {"production": []}),
        (
            "data fault",
            {"drift": {"2026-11-28": {"verdict": "data fault", "summary": "", "version": 2, "drifted": []}}},
        ),
        (
            "no decision",
            {"drift": {"2026-11-28": {"verdict": "too little to say", "summary": "", "version": 2, "drifted": []}}},
        ),
        ("late", {"days": {"2026-11-26": day(1)}}),
        ("not monitored", {"drift": {}}),
    ],
)
def test_the_word_for_what_is_wrong(word: str, changes: dict[str, Any]) -> None:
    assert state(index(**changes)) == word


def test_what_nothing_was_recorded_of() -> None:
    made = row("pumps", None, DAGS, TODAY, JOBS)
    assert (made.state.word, made.description, made.version) == ("never trained", "Whether a pump fails", None)


def test_a_failed_run_counts_and_a_drift_is_worse() -> None:
    failing = Dags(by_id=DAGS.by_id, failed={"score_pumps": 2, "score_others": 5})
    assert row("pumps", index(), failing, TODAY, JOBS).failed == 2
    assert state(index(), failing) == "failing"


@pytest.mark.parametrize(
    ("says", "late"),
    [
        ({}, 331),
        ({"is_paused": True}, None),
        ({"timetable_summary": "off"}, None),
        ({"timetable_summary": "when triggered"}, None),
    ],
)
def test_a_schedule_that_is_off_is_never_late(says: dict[str, Any], late: int | None) -> None:
    dags = Dags(by_id={"score_pumps": dag("score_pumps", **says)})
    assert row("pumps", index(days={"2026-01-01": day(1)}), dags, TODAY, JOBS).days_late == late


def test_what_waits_are_questions_and_versions_nobody_decided_about() -> None:
    question = Question("pumps", "deploy_pumps", "Promote?", "", "2026-11-28", "/dags", "anyone")
    asked = Dags(by_id=DAGS.by_id, questions=[question, Question("mills", "deploy_mills", "", "", "", "", "")])
    pending = [*index()["versions"], version(3, "PendingManualApproval", {})]
    assert row("pumps", index(versions=pending), asked, TODAY, JOBS).waiting == 2


@pytest.mark.parametrize(
    ("verdict", "colour"),
    [("fine", "good"), ("too little to say", "good"), ("drift without harm", "warn"), ("performance loss", "bad")],
)
def test_only_a_verdict_that_does_harm_is_red(verdict: str, colour: str) -> None:
    assert tone(verdict) == colour


def test_a_cost_without_a_price_is_unknown() -> None:
    assert row("pumps", index(), DAGS, TODAY, {**JOBS, "other": {"usd": None}}).usd is None


def test_next_run_is_the_first_of_all_dags_that_are_on() -> None:
    dags = {
        "score_pumps": dag("score_pumps", next_dagrun_run_after="2026-11-30T03:00:00Z"),
        "train_pumps": dag("train_pumps", next_dagrun_run_after="2026-11-29T03:00:00Z", is_paused=True),
    }
    assert row("pumps", index(), Dags(by_id=dags), TODAY, JOBS).next_run == "2026-11-30T03:00:00Z"


class TestPage:
    def test_versions_and_what_happened(self) -> None:
        page = of_model(index(), DAGS, "pumps", "us-east-1")
        assert [(found.version, found.stage) for found in page.versions] == [(2, "in production"), (1, "registered")]
        assert [what for _, what in page.timeline] == [
            "version 2 in production, by deploy_pumps",
            "version 2 promoted by ada",
            "version 2 registered (Approved)",
            "version 1 registered (Rejected)",
        ]

    def test_a_rollback_a_retirement_and_what_started_a_training_are_told(self) -> None:
        served = [
            {"version": 2, "from": "2026-11-02T10:00:00Z", "to": "2026-11-03T10:00:00Z", "dag_id": "deploy_pumps"},
            {"version": 1, "from": "2026-11-03T10:00:00Z", "to": "2026-11-04T10:00:00Z", "dag_id": "rollback"},
        ]
        versions = [version(1, "Approved", {"started_by": "monitor_pumps, 2026-10-30: performance loss"})]
        page = of_model(index(production=served, versions=versions), DAGS, "pumps", "us-east-1")
        assert [what for _, what in page.timeline] == [
            "retired: nothing is in production",
            "rolled back to version 1",
            "version 2 in production, by deploy_pumps",
            "version 1 registered (Approved), trained because of monitor_pumps, 2026-10-30: performance loss",
        ]

    def test_the_calendar_knows_what_failed_and_what_was_scored_again(self) -> None:
        days = {"2026-11-24": day(5), "2026-11-25": {**day(6), "again": True}}
        failed = replace(DAGS, failed_days={"score_pumps": ["2026-11-24", "2026-11-26", "2026-12-01"]})
        page = of_model(index(days=days, drift={}), failed, "pumps", "us-east-1")
        cells = {cell.day.isoformat(): cell for week in page.weeks for cell in week}
        kinds = [cells[one].kind for one in ("2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27", "2026-12-01")]
        assert kinds == ["scored", "changed", "failed", "missing", "failed"], "a day that has scores has not failed"
        assert cells["2026-11-25"].title == "2026-11-25: 6 rows, version 2, scored again"

    def test_performance_and_drift_are_lines_over_the_days_that_have_either(self) -> None:
        drift = {
            f"2026-11-{n}": {
                "verdict": "fine",
                "summary": "",
                "version": 2,
                "drifted": ["a"] * (n - 26),
                "estimated": 0.8,
            }
            for n in (26, 28)
        }
        performance, drifted = of_model(index(drift=drift), DAGS, "pumps", "us-east-1").plots
        assert (performance.title, performance.first, performance.last) == (
            "accuracy of the window up to each day",
            "2026-11-26",
            "2026-11-28",
        )
        assert (performance.low, performance.high) == (0.8, 0.9123)
        assert [name for name, _ in performance.lines] == ["realised", "estimated"]
        assert (drifted.low, drifted.high) == (0, 2)
        assert of_model(index(drift={}), DAGS, "pumps", "us-east-1").plots == [], "one day does not make a line"

    def test_a_version_has_its_intervals_and_gates_beside_its_metrics(self) -> None:
        facts = {"interval_auc": "0.812345 to 0.85", "git_commit": "abc"}
        made = {**version(3, "Approved", facts), "metrics": {"auc": 0.83}, "gates": {"auc": ["≥ 0.8"]}}
        found = version_of(index(versions=[made]), 3)
        assert found is not None
        assert (found.intervals, found.gates) == ({"auc": "0.8123 to 0.85"}, {"auc": ["≥ 0.8"]})
        assert version_of(index(), 9) is None
        assert version_of(None, 1) is None

    def test_the_calendar_knows_what_is_missing(self) -> None:
        days = {"2026-11-24": day(5), "2026-11-26": day(6)}
        drift = {"2026-11-26": {"verdict": "performance loss", "summary": "", "version": 2, "drifted": []}}
        page = of_model(index(days=days, drift=drift), DAGS, "pumps", "us-east-1")
        cells = {cell.day.isoformat(): cell.kind for week in page.weeks for cell in week}
        kinds = [cells[f"2026-11-{n}"] for n in range(23, 28)]
        assert kinds == ["outside", "scored", "missing", "drifted", "outside"]
        assert all(len(week) == 7 for week in page.weeks)

    def test_a_model_without_anything(self) -> None:
        page = of_model(None, DAGS, "pumps", "us-east-1")
        assert (page.versions, page.timeline, page.weeks, page.usd_per_day) == ([], [], (), None)


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("runs/train_pumps/monday/evaluate_model/evaluation/report.html", True),
        ("monitoring/pumps/date=2026-01-01/report.html", True),
        ("runs/train_mills/monday/report.html", False),
        ("monitoring/pumps_old/report.html", False),
        ("runs/train_pumps/../train_mills/report.html", False),
        ("production/pumps/history.json", True),  # it belongs to the model but is not a report, so it is not shown
    ],
)
def test_whose_report_it_is(key: str, own: bool) -> None:
    assert is_of_model(key, "pumps") is own


def test_a_line_of_values() -> None:
    assert spark([0, 5, 10]) == ["0.0,22.0 50.0,12.0 100.0,2.0"]
    assert spark([None, None]) == spark([]) == []


def test_a_line_has_gaps_where_no_value_is_known_and_the_scale_of_both() -> None:
    assert spark([1, None, 3], [5, None, None]) == ["0.0,22.0 0.0,22.0", "100.0,12.0 100.0,12.0"]
