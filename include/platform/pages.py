"""Renders HTML pages and texts from the templates beside this module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2


def render(template: str, **shown: object) -> str:
    """A rendered template; values in HTML are escaped."""
    return _templates().get_template(template).render(shown)


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = lambda value: "–" if value is None else f"{value:.4g}"
    return templates
