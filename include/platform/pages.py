"""Renders HTML pages and texts from the templates beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

from include.models.pages import templates


def render(template: str, **shown: object) -> str:
    """A rendered template; values in HTML are escaped."""
    return _templates().get_template(template).render(shown)


def short(value: float | None) -> str:
    """Four digits that count, an en dash for what is not there."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


@cache
def _templates() -> jinja2.Environment:
    found = templates(Path(__file__).parent / "templates")
    found.filters["number"] = short
    return found
