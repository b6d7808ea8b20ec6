"""Pages for people, from the templates beside this module: one environment, one function that renders."""

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
}


def render(template: str, **facts: object) -> str:
    """A template's text. What is put into it is escaped, and a name that is not given is an error."""
    return _environment().get_template(template).render(facts)


def number(value: float | None) -> str:
    """Four significant decimals below 1, whole numbers as they are, an en dash for what is not there."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) >= 2:
        return f"{int(value):,}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def words(metric: str) -> str:
    """A metric's name as people say it."""
    return " ".join(ABBREVIATIONS.get(word, word) for word in metric.split("_"))


def ends(interval: tuple[float, float] | None) -> str:
    """An interval from end to end, an en dash if there is none."""
    return "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "words": words, "ends": ends}
    return environment
