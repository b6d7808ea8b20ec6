"""How a day is scored, and what the log says about it."""

from __future__ import annotations

import logging

import pytest

from include.models.config import load_model
from include.platform.raw_files import RawFile, raw_megabytes
from include.score import tasks
from include.score.plan import DayPlan

MODEL = load_model("predictive_maintenance")
LIMIT = MODEL.daily_scoring.one_job_mb


def plan(megabytes: float, ending: str = "") -> DayPlan:
    file: RawFile = {"key": f"daily/x/date=2015-06-01/a.csv{ending}", "bytes": round(megabytes * 2**20), "etag": "e"}
    return DayPlan.model_construct(day="2015-06-01", inputs=[file])


@pytest.mark.parametrize(
    ("megabytes", "ending", "several_jobs", "way", "why"),
    [
        (LIMIT, "", False, "score_day", f"at most scoring.one_job_mb ({LIMIT})"),
        (LIMIT + 1, "", False, "validate_input", f"more than scoring.one_job_mb ({LIMIT})"),
        (LIMIT / 4, ".gz", False, "validate_input", "more than scoring.one_job_mb"),
        (0.1, "", True, "validate_input", "as chosen in the form"),
    ],
)
def test_the_way_is_chosen_by_size_and_says_why(
    megabytes: float, ending: str, several_jobs: bool, way: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert tasks.way_of(MODEL, plan(megabytes, ending), several_jobs=several_jobs) == way
    assert why in caplog.text


def test_packed_files_count_as_what_they_hold() -> None:
    assert raw_megabytes(plan(2, ".gz").inputs) == pytest.approx(16)
