"""Renders HTML pages and texts from the templates beside this module."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import jinja2

from include.models.config.wording import counted
from include.models.pages import templates


def render(template: str, **shown: object) -> str:
    """A rendered template; values in HTML are escaped."""
    return _templates().get_template(template).render(shown)


def short(value: float | None) -> str:
    """Four digits that count, with a power of ten if there are many before or behind them (4.788e9, 3.2e-7), an en dash
    for what is not there."""
    if value is None or not math.isfinite(value):
        return "–"
    if value and not 1e-4 <= abs(value) < 1e6:
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{float(digits):g}e{int(power)}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@cache
def _templates() -> jinja2.Environment:
    found = templates(Path(__file__).parent / "templates")
    found.filters |= {"number": short, "counted": counted}
    return found
