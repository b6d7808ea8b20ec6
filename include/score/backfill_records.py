"""What the tasks of a backfill hand on, by XCom or in the run's folder."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from include.score.batches import Estimate


class BatchRef(TypedDict):
    """A reference to a batch, whose plans are in the run's folder."""

    number: int
    version: int
    days: int
    first: str
    last: str


class BackfillPlan(TypedDict):
    """``plan.json``: which days to score and why, which are done, which cannot be scored and why."""

    model: str
    days: int
    changed: dict[str, str]
    unchanged: list[str]
    impossible: dict[str, str]
    estimate: Estimate
    batches: list[BatchRef]


class Answer(TypedDict):
    """The part of the approval operator's result that is used."""

    chosen_options: list[str]


class PublishedBatch(TypedDict):
    """``published.json``: why days were not published; days whose same scores another run has published since planning,
    with that run; and the cost of the batch's job, None if it failed."""

    failed: dict[str, str]
    elsewhere: dict[str, str]
    cost_usd: float | str | None


class Summary(TypedDict):
    """The result of a backfill. ``failed`` days have no new scores; ``skipped_unchanged`` includes days that another
    run published meanwhile. Costs in USD, None if unknown."""

    model: str
    days: int
    scored: int
    skipped_unchanged: int
    failed: int
    failed_days: dict[str, str]
    rows: int
    versions: dict[str, int]
    jobs: int
    estimated_usd: float | None
    actual_usd: float | None
    refused: NotRequired[bool]
