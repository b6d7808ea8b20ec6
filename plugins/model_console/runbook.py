"""A Dag's runbook (its documentation in Airflow) as a page with an anchor for each task that the troubleshooting table
names."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markupsafe import Markup

FALLBACK = "when-it-fails"  # the anchor for tasks without a row; console.js has it too
TASK = re.compile(r"`(\w+)`")


def as_html(runbook: str) -> Markup:
    """A Dag's Markdown as HTML; HTML in it is escaped. A table row gets the id of the first task that it names."""
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
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704 - rendered raw HTML is escaped
