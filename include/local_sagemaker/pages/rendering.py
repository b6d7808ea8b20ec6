"""One environment for all pages: HTML without scripts, all values escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import jinja2
from werkzeug.wrappers import Response

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters["moment"] = lambda epoch: f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S}"


def page(template: str, *, status: int = 200, **values: object) -> Response:
    html = _templates.get_template(template).render(**values)
    return Response(html, status=status, content_type="text/html; charset=utf-8")


def not_found(text: str) -> Response:
    return page("message.html", status=404, text=text)


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def s3_page(uri: str) -> str:
    """The address of the page that shows ``s3://bucket/key``; a key that ends in ``/`` is a folder."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return f"/_local/s3/{bucket}/{quote(key)}"


_templates.filters["size"] = _size
_templates.filters["s3_page"] = s3_page
