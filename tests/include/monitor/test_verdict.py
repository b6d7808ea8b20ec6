"""The verdict on a day: which evidence comes before which."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.monitor.verdict import Judged, since_of

ENOUGH = 100
FAULT: Any = SimpleNamespace()


def judged(rows: int, *, faulty: bool, late: bool, loss: str | None, drifted: bool) -> Judged:
    drift: Any = SimpleNamespace(rows=rows, settings=SimpleNamespace(min_rows=ENOUGH), has_drifted=drifted)
    performance: Any = {"loss": loss}
    return Judged(drift, [FAULT] if faulty else [], FAULT if late else None, performance)


@pytest.mark.parametrize(
    ("verdict", "rows", "faulty", "late", "loss", "drifted"),
    [
        # data that is broken says nothing of the model, whatever else there is
        ("data fault", ENOUGH, True, True, "realised", True),
        ("data fault", 1, True, False, None, False),
        # a loss that labels show needs no number of rows
        ("performance loss", 1, False, True, "realised", False),
        ("performance loss", ENOUGH, False, False, "realised", True),
        # with few rows an estimate and drift say nothing; that labels are late is said
        ("too little to say", ENOUGH - 1, False, False, "estimated", True),
        ("data fault", ENOUGH - 1, False, True, "estimated", True),
        # a loss that the predictions show says more than that labels are late
        ("performance loss", ENOUGH, False, True, "estimated", True),
        ("data fault", ENOUGH, False, True, None, True),
        ("drift without harm", ENOUGH, False, False, None, True),
        ("fine", ENOUGH, False, False, None, False),
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
