"""The results of each policy: a table for the screen, and a page with curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from include.models.config import ModelConfig
from include.ops.replay.policy import Day, Replayed
from include.platform.pages import render

WIDTH, HEIGHT, MARGIN = 900, 320, 50
COLOURS = (
    "#1f5fbf",
    "#b3261e",
    "#1e7d4b",
    "#8a5a00",
    "#6b3fa0",
)  # distinguishable by colour-blind readers, and by dashes
DASHES = ("", "6 3", "2 3", "8 3 2 3", "1 4")


@dataclass(frozen=True)
class Summary:
    """A policy in numbers. ``mean``: of the weeks' metric, by labelled rows; ``worst``: the worst week's, and its last
    day. Hours of one instance and USD (None without a price) of the jobs of trainings, and of all jobs."""

    policy: str
    mean: float | None
    worst: float | None
    worst_week: str
    trainings: int
    promotions: int
    training_hours: float
    hours: float
    usd: float | None


def weeks_of(model: ModelConfig, replayed: Replayed) -> list[Day]:
    """The last day of each window of labelled days that do not overlap."""
    length = model.monitoring.window_days if model.monitoring else 7
    return [one for one in replayed["days"][length - 1 :: length] if one["metric"] is not None]


def summary_of(model: ModelConfig, replayed: Replayed) -> Summary:
    weeks = weeks_of(model, replayed)
    rows = sum(one["labelled"] for one in weeks)
    sign = 1 if model.champion.direction == "maximize" else -1
    worst = min(weeks, key=lambda one: sign * (one["metric"] or 0.0), default=None)
    jobs, of_training = replayed["jobs"], ("prepare_data", "train_model", "evaluate_model")
    usd = [one["usd"] for one in jobs]
    known = [one for one in usd if one is not None]
    return Summary(
        policy=replayed["policy"],
        mean=sum((one["metric"] or 0.0) * one["labelled"] for one in weeks) / rows if rows else None,
        worst=worst["metric"] if worst else None,
        worst_week=worst["day"] if worst else "",
        trainings=len(replayed["trainings"]),
        promotions=sum(one["version"] is not None for one in replayed["trainings"]),
        training_hours=sum(one["seconds"] for one in jobs if one["task"] in of_training) / 3600,
        hours=sum(one["seconds"] for one in jobs) / 3600,
        usd=sum(known) if len(known) == len(usd) else None,
    )


def cells_of(one: Summary) -> list[str]:
    return [
        one.policy,
        *("-" if value is None else f"{value:.4f}" for value in (one.mean, one.worst)),
        one.worst_week,
        str(one.trainings),
        str(one.promotions),
        f"{one.training_hours:.2f}",
        f"{one.hours:.2f}",
        "unknown" if one.usd is None else f"{one.usd:.2f}" if one.usd >= 1 else f"{one.usd:.2g}",
    ]


def heads_of(model: ModelConfig) -> list[str]:
    metric = model.champion.metric
    more = ("worst week", "which ends", "trainings", "promotions", "training hours", "instance-hours", "USD")
    return ["policy", f"{metric}, mean", *more]


def table_of(model: ModelConfig, summaries: Sequence[Summary]) -> Table:
    table = Table(*heads_of(model))
    for one in summaries:
        table.add_row(*cells_of(one))
    return table


def page(model: ModelConfig, found: Sequence[Replayed], summaries: Sequence[Summary]) -> str:
    weeks = [weeks_of(model, one) for one in found]
    values = [one["metric"] for some in weeks for one in some if one["metric"] is not None] or [0.0]
    low, high = min(values), max(values)
    span, longest = (high - low) or 1.0, max(len(one["days"]) for one in found)

    def across(place: int) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * place / max(1, longest - 1), 1)

    def down(value: float) -> float:
        return round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / span, 1)

    curves = []
    for number, (one, some) in enumerate(zip(found, weeks, strict=True)):
        places = {day["day"]: place for place, day in enumerate(one["days"])}
        curves.append(
            {
                "policy": one["policy"],
                "colour": COLOURS[number % len(COLOURS)],
                "dash": DASHES[number % len(DASHES)],
                "points": [(across(places[day["day"]]), down(day["metric"] or 0.0)) for day in some],
                "told": [f"{one['policy']}, week to {day['day']}: {day['metric']:.4f}" for day in some],
                "promotions": [
                    across(places[trained["day"]])
                    for trained in one["trainings"]
                    if trained["version"] is not None and trained["day"] in places
                ],
            }
        )
    days = found[0]["days"]
    return render(
        "replay.html.jinja",
        model=model,
        heads=heads_of(model),
        rows=[cells_of(one) for one in summaries],
        curves=curves,
        found=found,
        low=low,
        high=high,
        first=days[0]["day"],
        last=days[-1]["day"],
        size=(WIDTH, HEIGHT, MARGIN),
    )
