"""Days grouped into jobs: how many jobs, which days in each, what they need."""

from __future__ import annotations

import pytest

from include.models.config import load_model
from include.platform.raw_files import RawFile
from include.registry.versions import RegisteredVersion
from include.score.backfill_tasks import days_asked_for, in_words
from include.score.batches import batches_of, cost_in_words, estimate
from include.score.plan import DayPlan, PlanError, Preview, days_between
from sagemaker_jobs.account import account, total_usd

MODEL = load_model("predictive_maintenance")
QUOTA = account().pools["processing"]


def plan(day: str, version: int = 1, megabytes: float = 0.1) -> DayPlan:
    file: RawFile = {"key": f"daily/x/date={day}/a.csv", "bytes": round(megabytes * 2**20), "etag": "e"}
    scored_with = RegisteredVersion(version=version, model_package_arn=f"arn:{version}", artifact="s3://b/a", image="i")
    return DayPlan.model_construct(day=day, inputs=[file], version=scored_with)


def preview(plans: list[DayPlan], seconds: float | None = None) -> Preview:
    return Preview({plan.day: "not scored yet" for plan in plans}, [], {}, seconds, {plan.day: plan for plan in plans})


YEAR = days_between("2015-01-01", "2015-12-31")


def test_a_month_is_one_job_and_a_year_no_more_than_a_dozen() -> None:
    assert len(batches_of(MODEL, preview([plan(day) for day in YEAR[:30]]))) == 1
    year = batches_of(MODEL, preview([plan(day) for day in YEAR]))
    assert 1 < len(year) <= 12
    assert [plan.day for batch in year for plan in batch] == YEAR, "each day once, in order"
    assert max(map(len, year)) - min(map(len, year)) < len(YEAR) / len(year)


def test_no_more_jobs_than_the_quota_unless_one_would_run_too_long() -> None:
    plans = [plan(day) for day in YEAR]
    assert len(batches_of(MODEL, preview(plans, seconds=30))) <= QUOTA + 1
    slow = batches_of(MODEL, preview(plans, seconds=600))
    assert len(slow) > QUOTA
    assert max(map(len, slow)) * 600 < MODEL.daily_scoring.max_runtime_minutes * 60


def test_a_batch_has_one_version() -> None:
    plans = [plan(day, version=1 if day < "2015-03-01" else 2) for day in YEAR[:100]]
    batches = batches_of(MODEL, preview(plans))
    assert all(len({plan.version.version for plan in batch}) == 1 for batch in batches)
    assert sum(map(len, batches)) == 100


def test_large_days_have_a_job_to_themselves() -> None:
    plans = [plan(day, megabytes=2000 if day == "2015-01-10" else 0.1) for day in YEAR]
    batches = batches_of(MODEL, preview(plans, seconds=5))
    [large] = [batch for batch in batches if any(plan.day == "2015-01-10" for plan in batch)]
    assert len(large) <= 12


def test_nothing_to_score_is_not_a_job() -> None:
    assert batches_of(MODEL, preview([])) == []


def test_the_estimate_is_of_what_batches_took_before() -> None:
    plans = [plan(day) for day in YEAR[:30]]
    found = estimate(MODEL, None, "us-east-1", preview(plans, seconds=2), 1)
    assert found["instance_seconds"] == 30 * 2 + 30
    assert found["usd"] == pytest.approx(0.115 * 90 / 3600, abs=1e-4)
    assert "as in earlier batches" in cost_in_words(found, "us-east-1")
    assert "assumed" in estimate(MODEL, None, "us-east-1", preview(plans), 1)["how"]
    assert "add the price of ml.m5.large" in cost_in_words(
        estimate(MODEL, None, "nowhere-1", preview(plans), 1), "nowhere-1"
    )


def test_what_is_to_be_done_is_said_with_reasons() -> None:
    found = preview([plan(day) for day in YEAR[:3]])
    found.changed["2015-01-02"] = "changed expectations"
    found.impossible["2015-02-01"] = "2015-02-01 cannot be scored: daily/x/date=2015-02-01/ lacks a.csv."
    lines = in_words(found, estimate(MODEL, None, "us-east-1", found, 1), "us-east-1")
    assert lines[:3] == [
        "4 days: 3 to score, 0 done and unchanged",
        "2 to score: not scored yet",
        "1 to score: changed expectations",
    ]
    assert lines[3].startswith("not possible: 2015-02-01 cannot be scored")
    assert lines[4].startswith("1 job, about 0.01 instance-hours of ml.m5.large, 0.00 USD in us-east-1")


def test_days_without_data_are_refused_with_the_datas_end() -> None:
    there = ["2015-12-31", "2016-01-01"]
    assert days_asked_for("2015-12-30", "2015-12-31", there) == ["2015-12-30", "2015-12-31"]
    words = r"^no day from 2016-02-01 to 2016-02-03 has data \(there is data from 2015-12-31 to 2016-01-01\)$"
    with pytest.raises(PlanError, match=words):
        days_asked_for("2016-02-01", "2016-02-03", there)
    with pytest.raises(PlanError, match="the range is empty"):
        days_asked_for("2016-02-03", "2016-02-01", there)


def test_a_sum_with_an_unknown_cost_is_unknown() -> None:
    assert total_usd([0.1, 0.2]) == pytest.approx(0.3)
    assert total_usd([0.1, "unknown"]) is None
    assert total_usd([0.1, None]) is None
    assert total_usd([]) == 0
