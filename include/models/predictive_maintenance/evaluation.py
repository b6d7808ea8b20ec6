"""What predictions mean for the machines: failures caught, hours of warning, false alarms.

A failure event is a machine and hour in which one part or more fail. It is caught if at any 3-hour mark of the 24 hours
before it the model names a part that fails in it; the first such mark gives the warning. Where several parts fail in
one hour the model can name only one: ``failed_parts_named`` counts every part separately.

A false alarm is an unbroken series of marks at which the model names a part that does not fail within 24 hours of any.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from include.models.interface import DomainFindings, Tables
from include.models.predictive_maintenance.features import NO_FAILURE, STEP_HOURS, WINDOW_HOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HORIZON = pl.duration(hours=WINDOW_HOURS)
EARLY_HOURS = 21  # with marks every 3 hours, the first or second that can warn
HOURS_PER_MONTH = 365.25 * 24 / 12


def evaluate(scored: pl.DataFrame, tables: Tables) -> DomainFindings:
    parts = _failed_parts(scored, tables["failures"])
    events = parts.group_by("machineID", "failed_at").agg(pl.col("warning_hours").max())
    caught = events["warning_hours"].drop_nulls()
    false_alarms = _false_alarms(scored, tables["failures"])
    machine_months = len(scored) * STEP_HOURS / HOURS_PER_MONTH
    metrics = {
        "failure_events": float(len(events)),
        "failure_events_caught": len(caught) / len(events) if len(events) else float("nan"),
        "failed_parts_named": 1 - parts["warning_hours"].null_count() / len(parts) if len(parts) else float("nan"),
        "warning_hours_median": _or_nan(caught.median()),
        "warned_early_share": _or_nan((caught >= EARLY_HOURS).mean()),
        "false_alarms_per_machine_month": false_alarms / machine_months,
    }
    notes = [
        f"{len(caught)} of {len(events)} failure events were announced before they happened, half of them at least "
        f"{metrics['warning_hours_median']:.0f} hours ahead and {metrics['warned_early_share']:.1%} at least "
        f"{EARLY_HOURS} hours ahead.",
        f"{false_alarms} false alarms in {machine_months:.0f} machine-months.",
    ]
    return DomainFindings(metrics, notes, {"Hours of warning before a failure": partial(_plot_warning, events)})


def baselines(test: pl.DataFrame, tables: Tables) -> dict[str, pl.Series]:
    """Persistence: what failed within the last 24 hours fails within the next."""
    latest = (
        tables["failures"]
        .group_by("machineID", pl.col("datetime").alias("failed_at"))
        .agg(pl.col("failure").min().alias("persisting"))
        .sort("failed_at")
    )
    rows = test.select("machineID", "datetime").with_row_index().sort("datetime")
    joined = rows.join_asof(
        latest, left_on="datetime", right_on="failed_at", by="machineID", check_sortedness=False
    ).sort("index")
    recent = pl.col("datetime") - pl.col("failed_at") < HORIZON
    return {
        "persistence": joined.select(
            pl.when(recent).then("persisting").otherwise(pl.lit(NO_FAILURE)).alias("persistence")
        ).to_series()
    }


def _failed_parts(scored: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Every failed part with marks to warn of it, and its hours of warning (null: never named)."""
    named = pl.col("predicted") == pl.col("failed")
    warning = (pl.col("failed_at") - pl.col("datetime")).dt.total_minutes() / 60
    return (
        _pairs(scored, failures)
        .group_by("machineID", "failed_at", "failed")
        .agg(warning.filter(named).max().alias("warning_hours"))
    )


def _false_alarms(scored: pl.DataFrame, failures: pl.DataFrame) -> int:
    alarms = scored.filter(pl.col("predicted") != NO_FAILURE)
    right = _pairs(alarms, failures).filter(pl.col("predicted") == pl.col("failed"))
    wrong = alarms.join(right, on=["machineID", "datetime"], how="anti").sort("machineID", "predicted", "datetime")
    gap = pl.col("datetime").diff().over("machineID", "predicted")
    return wrong.filter((gap > pl.duration(hours=STEP_HOURS)).fill_null(value=True)).height


def _pairs(scored: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Each mark with each failure of its machine within the 24 hours after it."""
    renamed = failures.select("machineID", failed_at="datetime", failed="failure")
    return scored.join(renamed, on="machineID").filter(
        pl.col("datetime") < pl.col("failed_at"), pl.col("failed_at") <= pl.col("datetime") + HORIZON
    )


def _plot_warning(events: pl.DataFrame, axes: Axes) -> None:
    hours = events["warning_hours"].drop_nulls().to_numpy()
    axes.hist(hours, bins=range(0, WINDOW_HOURS + STEP_HOURS + 1, STEP_HOURS), color="#2f6f9f", rwidth=0.9)
    axes.set_xticks(range(0, WINDOW_HOURS + 1, STEP_HOURS))
    axes.set_xlabel("hours from the first right warning to the failure")
    axes.set_ylabel("failure events")
    axes.set_title(f"{events['warning_hours'].null_count()} of {len(events)} never announced", fontsize=9, color="#555")


def _or_nan(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
