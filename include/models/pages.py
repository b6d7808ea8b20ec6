"""What the pages of jobs and of Dags have in common: a look, and how numbers are written."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import jinja2

ABBREVIATIONS = {
    "f1": "F1",
    "pr": "PR",
    "roc": "ROC",
    "auc": "AUC",
    "mse": "MSE",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "brier": "Brier score",
    "ece": "calibration error",
}


def number(value: float | None) -> str:
    """Four digits that count, whole numbers as they are, an en dash for what is not there."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value):
        return f"{int(value):,}"
    decimals = next((digits for digits, limit in ((4, 1), (3, 10), (2, 100)) if abs(value) < limit), 1)
    return f"{value:,.{decimals}f}"


def words(metric: str) -> str:
    """A metric's name as people say it."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in metric.split("_"))


def ends(interval: tuple[float, float] | None) -> str:
    """An interval from end to end, an en dash if there is none."""
    return "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


@cache
def templates(folder: Path) -> jinja2.Environment:
    """A folder's templates. What is put into HTML is escaped, and a name that is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "words": words, "ends": ends}
    return environment
