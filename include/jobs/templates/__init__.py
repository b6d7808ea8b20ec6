"""Pages for people, from the templates beside this module.

Imported by ``evaluation`` and ``validation``, for their reports; it imports ``models.pages``.
"""

from __future__ import annotations

from pathlib import Path

from include.models.pages import templates


def render(template: str, **facts: object) -> str:
    """A template's text."""
    return templates(Path(__file__).parent).get_template(template).render(facts)
