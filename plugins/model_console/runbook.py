"""A Dag's runbook, its documentation in Airflow, as a page whose paragraphs have addresses: of each task that it says
what to do about."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markupsafe import Markup

FALLBACK = "when-it-fails"  # where a task leads that has no row; console.js knows it, too
TASK = re.compile(r"`(\w+)`")


def as_html(runbook: str) -> Markup:
    """The Markdown of a Dag as HTML; its own HTML is shown, not taken. A table's row has the id of the task that is
    named first in it."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(runbook)
    taken: set[str] = set()
    for row, text, cell in zip(tokens, tokens[1:], tokens[2:], strict=False):
        named = TASK.match(cell.content) if row.type == "tr_open" else None
        if row.type == "paragraph_open" and text.content.startswith("**When it fails"):
            row.attrSet("id", FALLBACK)
        if named and named[1] not in taken:
            row.attrSet("id", named[1])
            taken.add(named[1])
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 - rendered without HTML of its own
