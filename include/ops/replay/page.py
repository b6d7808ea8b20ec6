"""The results of each policy: tables for the screen, and a page with curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from include.models.config import ModelConfig
from include.models.config.performance import WEEK
from include.ops.replay.policy import POLICIES, Replayed
from include.ops.replay.weeks import Week
from include.platform.pages import render, short

WIDTH, HEIGHT = 720, 200  # of the drawing, and of its curves
TOP, RIGHT, CHARACTER, LINE = 14, 8, 7, 16  # room above and beside them, and for text
MARK = 7  # height of a policy's row of promotions
# of each of POLICIES, in every page the same: distinguishable by colour-blind readers, and by dashes
LOOKS = (
    ("#1f5fbf", ""),
    ("#b3261e", "6 3"),
    ("#1e7d4b", "2 3"),
    ("#8a5a00", "8 3 2 3"),
    ("#6b3fa0", "1 4"),
    ("#1f2933", "12 4"),
)
OF_PERFORMANCE = ("worst week", "which ends")
OF_COSTS = ("trainings", "promotions", "training hours", "hours in all", "USD")


@dataclass(frozen=True)
class Summary:
    """A policy in numbers. ``mean``: of the weeks' metric, by labelled rows. Hours of one instance, of the jobs of
    trainings and of all jobs; USD of all jobs, None without a price."""

    policy: str
    mean: float | None
    worst: Week | None
    trainings: int
    promotions: int
    training_hours: float
    hours: float
    usd: float | None


def summary_of(model: ModelConfig, replayed: Replayed) -> Summary:
    weeks = [(one["metric"], one) for one in replayed["weeks"] if one["metric"] is not None]
    rows = sum(week["labelled"] for _, week in weeks)
    sign = 1 if model.champion.direction == "maximize" else -1
    jobs, of_training = replayed["jobs"], ("prepare_data", "train_model", "evaluate_model")
    usd = [one["usd"] for one in jobs]
    known = [one for one in usd if one is not None]
    return Summary(
        policy=replayed["policy"],
        mean=sum(metric * week["labelled"] for metric, week in weeks) / rows if rows else None,
        worst=min(weeks, key=lambda one: sign * one[0])[1] if weeks else None,
        trainings=len(replayed["trainings"]),
        promotions=sum(one["version"] is not None for one in replayed["trainings"]),
        training_hours=sum(one["seconds"] for one in jobs if one["task"] in of_training) / 3600,
        hours=sum(one["seconds"] for one in jobs) / 3600,
        usd=sum(known) if len(known) == len(usd) else None,
    )


def heads_of(model: ModelConfig) -> list[str]:
    return ["policy", f"mean {model.champion.metric}", *OF_PERFORMANCE, *OF_COSTS]


def cells_of(one: Summary) -> list[str]:
    return [
        one.policy,
        short(one.mean),
        short(one.worst["metric"] if one.worst else None),
        ending(one.worst) if one.worst else "",
        str(one.trainings),
        str(one.promotions),
        f"{one.training_hours:.2f}",
        f"{one.hours:.2f}",
        "unknown" if one.usd is None else f"{one.usd:.2f}" if one.usd >= 1 else f"{one.usd:.2g}",
    ]


def ending(week: Week) -> str:
    """A week's last day; an unfinished week is weighed by its rows."""
    return week["last"] if week["days"] == WEEK else f"{week['last']} ({week['labelled']:,} rows)"


def tables_of(model: ModelConfig, summaries: Sequence[Summary]) -> list[Table]:
    """What policies were worth, and what they cost: as one table they would not fit into 80 columns."""
    heads, rows = heads_of(model), [cells_of(one) for one in summaries]
    first = len(heads) - len(OF_COSTS)
    return [
        _table(heads[:first], [row[:first] for row in rows]),
        _table(["policy", *heads[first:]], [[row[0], *row[first:]] for row in rows]),
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table()
    for number, head in enumerate(heads):
        table.add_column(head.replace(" ", "\n", 1), justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def page(model: ModelConfig, found: Sequence[Replayed], summaries: Sequence[Summary]) -> str:
    values = [week["metric"] for one in found for week in one["weeks"] if week["metric"] is not None] or [0.0]
    low, high = min(values), max(values)
    days = [day["day"] for day in found[0]["days"]]
    left = CHARACTER * max(len(short(low)), len(short(high))) + CHARACTER
    axis, span = TOP + HEIGHT, (high - low) or 1.0

    def across(day: str) -> float:
        return round(left + (WIDTH - RIGHT - left) * days.index(day) / max(1, len(days) - 1), 1)

    def down(value: float) -> float:
        return round(axis - HEIGHT * (value - low) / span, 1)

    curves = []
    for number, one in enumerate(found):
        colour, dash = LOOKS[POLICIES.index(one["policy"])]
        known = [(week, week["metric"]) for week in one["weeks"] if week["metric"] is not None]
        trained = [each["day"] for each in one["trainings"] if each["version"] is not None]
        curves.append(
            {
                "policy": one["policy"],
                "colour": colour,
                "dash": dash,
                "points": [(across(week["last"]), down(metric)) for week, metric in known],
                "told": [f"{one['policy']}, week to {ending(week)}: {short(metric)}" for week, metric in known],
                "promotions": [across(day) for day in trained if day in days],
                "marks": axis + 3 + MARK * number,
            }
        )
    return render(
        "replay.html.jinja",
        model=model,
        heads=heads_of(model),
        rows=[cells_of(one) for one in summaries],
        curves=curves,
        found=found,
        weeks=[*zip(*(one["weeks"] for one in found), strict=True)],
        unfinished=found[0]["weeks"][-1]["days"] % WEEK,
        low=low,
        high=high,
        first=days[0],
        last=days[-1],
        width=WIDTH,
        top=TOP,
        left=left,
        axis=axis,
        under=axis + MARK * len(found) + LINE,
        right=WIDTH - RIGHT,
        mark=MARK,
    )
