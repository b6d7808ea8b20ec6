"""The verdict on a day: which evidence takes precedence."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.monitor.verdict import BAD, REMIND_AFTER, Judged, faulty_days, since_of, to_tell, what_of

ENOUGH = 100
FAULT: Any = SimpleNamespace()


def judged(rows: int, *, faulty: bool, late: bool, loss: str | None, drifted: bool) -> Judged:
    drift: Any = SimpleNamespace(rows=rows, settings=SimpleNamespace(min_rows=ENOUGH), has_drifted=drifted)
    performance: Any = {"loss": None if loss == "unclear" else loss, "unclear": loss == "unclear"}
    return Judged(drift, [FAULT] if faulty else [], FAULT if late else None, performance)


@pytest.mark.parametrize(
    ("verdict", "rows", "faulty", "late", "loss", "drifted"),
    [
        # broken data says nothing about the model, whatever else was found
        ("data fault", ENOUGH, True, True, "realised", True),
        ("data fault", 1, True, False, None, False),
        # a loss that labels show needs no number of rows
        ("performance loss", 1, False, True, "realised", False),
        ("performance loss", ENOUGH, False, False, "realised", True),
        # with few rows an estimate and drift say nothing; late labels are still reported
        ("too little to say", ENOUGH - 1, False, False, "estimated", True),
        ("data fault", ENOUGH - 1, False, True, "estimated", True),
        # a loss that predictions show matters more than late labels
        ("performance loss", ENOUGH, False, True, "estimated", True),
        ("data fault", ENOUGH, False, True, None, True),
        ("drift without harm", ENOUGH, False, False, None, True),
        ("fine", ENOUGH, False, False, None, False),
        # what may be chance is neither fine nor a loss
        ("too little to say", ENOUGH, False, False, "unclear", False),
        ("drift without harm", ENOUGH, False, False, "unclear", True),
    ],
)
def test_which_evidence_comes_first(
    verdict: str, rows: int, faulty: bool, late: bool, loss: str | None, drifted: bool
) -> None:
    found = judged(rows, faulty=faulty, late=late, loss=loss, drifted=drifted)
    assert found.verdict == verdict
    assert len(found.every_fault) == faulty + late


def test_a_day_without_performance_is_judged_by_its_drift() -> None:
    drift: Any = SimpleNamespace(rows=ENOUGH, settings=SimpleNamespace(min_rows=ENOUGH), has_drifted=True)
    assert Judged(drift).verdict == "drift without harm"


DAY = "2026-01-10"
SAID: Any = {"captured": {"requests": 3}, "served": {"requests": 3}, "profile": {}}  # an endpoint's day


def explained(told: str = "", **judged: Any) -> Judged:
    """A judged day of enough rows, with drift ``told``."""
    drift: Any = SimpleNamespace(
        model=SimpleNamespace(name="pumps"),
        version=3,
        day=DAY,
        days={DAY: {}},
        rows=ENOUGH,
        window="100 rows",
        settings=SimpleNamespace(min_rows=ENOUGH),
        has_drifted=bool(told),
        told=told,
        features=[],
        drifted=[],
        moved=[],
    )
    return Judged(drift, **judged)


LOSS: Any = {
    "metric": "accuracy",
    "evaluated": 0.9,
    "evaluated_interval": (0.85, 0.94),
    "evaluated_since": None,
    "realised": None,
    "estimated": 0.7,
    "error": None,
    "loss": "estimated",
    "unclear": False,
}
UNCLEAR: Any = {**LOSS, "evaluated_interval": (0.4, 1.0), "evaluated_since": DAY, "loss": None, "unclear": True}
UNKNOWN = "performance is unknown: no labels, and the version has no calibration"


@pytest.mark.parametrize(
    ("day", "summary"),
    [
        (explained(), f"pumps: fine on {DAY}: no feature has drifted in 100 rows; {UNKNOWN}"),
        (explained(since=DAY), f"pumps: fine on {DAY}: no feature has drifted in 100 rows; {UNKNOWN}"),
        (
            explained("torque", since="2026-01-08"),
            f"pumps: drift without harm on {DAY}, since 2026-01-08: torque; {UNKNOWN}",
        ),
        (explained(faults=["a", "b", "c"]), f"pumps: data fault on {DAY}: a; b; c"),
        (explained(faults=["a", "b", "c"], late="d"), f"pumps: data fault on {DAY}: a; b; c; and 1 more"),
        (explained(faults=["a"], traffic=SAID), f"pumps, endpoint: data fault on {DAY}: a"),
        (explained(faults=["a"], left_out=["2026-01-09"]), f"pumps: data fault on {DAY}: a"),
        (
            explained(left_out=["2026-01-08", "2026-01-09"]),
            f"pumps: fine on {DAY}: no feature has drifted in 100 rows; {UNKNOWN}; days with a data fault are left "
            "out: 2026-01-08, 2026-01-09",
        ),
        (
            explained("torque", performance=LOSS),
            f"pumps: performance loss on {DAY}: accuracy is estimated at 0.7, evaluated 0.9; drifted: torque",
        ),
        (
            explained(performance=UNCLEAR),
            f"pumps: too little to say on {DAY}: accuracy is estimated at 0.7, evaluated 0.9 on test rows since "
            f"{DAY} (95 % 0.4 to 1): the evaluation is too uncertain to call that a loss",
        ),
        (
            explained(performance=LOSS),
            f"pumps: performance loss on {DAY}: accuracy is estimated at 0.7, evaluated 0.9",
        ),
    ],
)
def test_a_summary_says_what_the_verdict_rests_on(day: Judged, summary: str) -> None:
    assert day.summary == summary


@pytest.mark.parametrize(
    ("day", "advice"),
    [
        (explained(faults=["a"]), "Repair the feed"),
        (explained(faults=["a"], late="b"), "Repair the feed"),
        (explained(late="b"), "Deliver the labels, or correct the file if there is one that cannot be used"),
        (explained(faults=[SimpleNamespace(kind="refused")], traffic=SAID), "Ask the endpoint's callers"),
        (explained(faults=[SimpleNamespace(kind="unread")], traffic=SAID), "Look at the day's files"),
        (explained(performance=LOSS), "Look at the features"),
        (
            explained(performance={**LOSS, "faulty": ["2026-01-08"]}),
            "The loss may be of the labelled days with a data fault",
        ),
    ],
)
def test_advice_goes_to_whoever_can_repair_the_data(day: Judged, advice: str) -> None:
    assert day.advice.startswith(advice)


def test_advice_names_the_dags_and_a_way_out_if_the_change_is_real() -> None:
    assert "the next run of monitor_pumps joins them" in explained(late="b").advice
    faulty = explained(faults=["a"]).advice
    assert "monitor_pumps then rescores them" in faulty
    assert "If the change is here to stay, such as a new type of machine, start train_pumps yourself." in faulty


def test_where_only_predictions_moved_no_feature_is_to_be_looked_at() -> None:
    moved = explained("'1' is predicted 3 times, where 9 are usual")
    assert moved.advice.endswith("Look at the predictions in the report.")
    moved.drift.drifted.append(SimpleNamespace(name="torque"))  # type: ignore[arg-type]
    assert moved.advice.endswith("Look at the features that drifted.")


def test_a_day_is_fine_with_fewer_drifted_features_than_count_and_says_so() -> None:
    day = explained()
    day.drift.drifted.append(SimpleNamespace(name="torque"))  # type: ignore[arg-type]
    day.drift.features.extend([SimpleNamespace(name=name) for name in "ab"])  # type: ignore[attr-defined]
    day.drift.settings.drifted_features = 3  # type: ignore[misc]
    told = "1 of 2 features drifted, fewer than the 3 of monitoring.drifted_features, in 100 rows"
    assert (day.verdict, day.rests_on) == ("fine", f"{told}; {UNKNOWN}")


def test_a_verdict_is_kept_with_its_first_day_and_without_the_profile_of_an_endpoints_day() -> None:
    kept = explained(traffic=SAID, since="2026-01-08").as_json()
    assert (kept["since"], kept["traffic"]) == ("2026-01-08", {key: SAID[key] for key in ("captured", "served")})
    plain = explained().as_json()
    assert (plain["since"], plain["traffic"]) == (DAY, None)


def test_a_fault_of_a_whole_table_has_a_stable_name() -> None:
    today = found("data fault", DAY, "a")
    today["faults"] += [{"table": "t", "column": None, "kind": "missing"}, today["faults"][0]]
    assert what_of(today) == ["t. missing", "t.a gone"]


def test_a_fault_is_of_all_days_in_which_it_shows_and_late_labels_are_of_none() -> None:
    def of(day: str, kind: str, days: int) -> Any:
        return {"date": day, "faults": [{"kind": kind, "days": days}]}

    assert faulty_days([None, of("2026-01-02", "late labels", 1), {"date": "2026-01-03", "faults": []}]) == set()  # type: ignore[typeddict-item] # as far as it is read
    assert faulty_days([of("2026-01-02", "volume", 3)]) == {"2025-12-31", "2026-01-01", "2026-01-02"}
    assert faulty_days([{"date": "2026-01-02", "faults": [{"kind": "unit"}]}]) == {"2026-01-02"}, "by older code"  # type: ignore[typeddict-item,list-item]


@pytest.mark.parametrize(
    ("before", "since"),
    [
        (None, "2026-01-03"),
        ({"verdict": "fine", "model_version": 2, "date": "2026-01-02"}, "2026-01-02"),  # as written by older code
        ({"verdict": "fine", "model_version": 2, "date": "2026-01-02", "since": "2026-01-01"}, "2026-01-01"),
        ({"verdict": "fine", "model_version": 1, "date": "2026-01-02", "since": "2026-01-01"}, "2026-01-03"),
        ({"verdict": "data fault", "model_version": 2, "date": "2026-01-02", "since": "2026-01-01"}, "2026-01-03"),
    ],
)
def test_a_verdict_lasts_while_verdict_and_version_stay(before: Any, since: str) -> None:
    assert since_of("fine", "2026-01-03", 2, before) == since


def found(verdict: str, date: str = "2026-01-10", *columns: str) -> Any:
    faults = [{"table": "t", "column": column, "kind": "gone"} for column in columns]
    return {"verdict": verdict, "date": date, "faults": faults, "performance": {"loss": "realised"}}


def told(verdict: str, on: str = "2026-01-09", *what: str) -> Any:
    return {"verdict": verdict, "on": on, "what": list(what)}


@pytest.mark.parametrize(
    ("known", "today", "telling"),
    [
        (None, found("fine"), None),
        (None, found("too little to say"), None),
        (None, found("performance loss"), "begins"),
        (told("fine"), found("drift without harm"), "begins"),
        (told("too little to say"), found("fine"), None),
        (told("performance loss", "2026-01-09", "realised"), found("fine"), "is over"),
        (told("performance loss", "2026-01-09", "realised"), found("too little to say"), None),
        (told("performance loss", "2026-01-09", "realised"), found("performance loss"), None),
        (told("performance loss", "2026-01-09", "estimated"), found("performance loss"), "changes"),
        (told("performance loss", "2026-01-09", "realised"), found("drift without harm"), "changes"),
        (told("data fault", "2026-01-09", "t.a gone", "t.b gone"), found("data fault", "2026-01-10", "a"), None),
        (told("data fault", "2026-01-09", "t.a gone"), found("data fault", "2026-01-10", "a", "b"), "changes"),
        # a reminder after a week, and nothing about days before the reported one
        (told("drift without harm", "2026-01-04"), found("drift without harm"), None),
        (told("drift without harm", "2026-01-03"), found("drift without harm"), "reminder"),
        (told("fine", "2026-01-11"), found("performance loss"), None),
        (told("fine", "2026-01-10"), found("performance loss"), "begins"),
    ],
)
def test_people_are_told_what_they_do_not_know(known: Any, today: Any, telling: str | None) -> None:
    assert to_tell(known, today) == telling


EVERY = ("fine", "too little to say", *BAD)


@given(st.lists(st.tuples(st.sampled_from(EVERY), st.sets(st.sampled_from("ab"))), max_size=60))
def test_in_whatever_order_verdicts_come_people_know_the_present_one(days: list[tuple[str, set[str]]]) -> None:
    known: Any = None
    for number, (verdict, columns) in enumerate(days):
        day = date(2026, 1, 1) + timedelta(days=number)
        today = found(verdict, str(day), *sorted(columns))
        telling = to_tell(known, today)
        before = known["verdict"] if known else "fine"
        if telling:
            known = told(verdict, str(day), *what_of(today))
        assert to_tell(known, today) is None, "once is enough, also if the task is cleared"
        if verdict in BAD:
            assert known["verdict"] == verdict
            assert set(what_of(today)) <= set(known["what"])
            assert day - date.fromisoformat(known["on"]) < timedelta(days=REMIND_AFTER)
            assert (telling == "begins") == (before not in BAD)
        elif verdict == "fine":
            assert (telling == "is over") == (before in BAD)
        else:
            assert telling is None
