"""Pages for people: what there is and in which state, and each job's log. Addresses start with /_local/."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.core.store import (
    ENDPOINT,
    MODEL,
    MODEL_PACKAGE,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    Json,
    Kind,
)
from include.local_sagemaker.http.routing import route

_LOGS = {
    "processing": (PROCESSING_JOB, "aws/sagemaker/ProcessingJobs"),
    "training": (TRAINING_JOB, "aws/sagemaker/TrainingJobs"),
    "transform": (TRANSFORM_JOB, "aws/sagemaker/TransformJobs"),
    "tuning": (TUNING_JOB, "aws/sagemaker/HyperParameterTuningJobs"),
    "endpoints": (ENDPOINT, "aws/sagemaker/Endpoints"),
}
_SECTIONS = (
    ("Processing jobs", PROCESSING_JOB, "processing"),
    ("Training jobs", TRAINING_JOB, "training"),
    ("Transform jobs", TRANSFORM_JOB, "transform"),
    ("Tuning jobs", TUNING_JOB, "tuning"),
    ("Endpoints", ENDPOINT, "endpoints"),
    ("Models", MODEL, None),
    ("Model packages", MODEL_PACKAGE, None),
)
_MOST_ROWS = 100
_MOST_LOG_BYTES = 2 * 2**20

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
)
_templates.filters["moment"] = lambda epoch: f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S}"


@route("GET", "/_local/health")
def health(service: Service, request: Request) -> Response:
    return Response('{"status": "ok"}', content_type="application/json")


@route("GET", "/_local/?")
def overview(service: Service, request: Request) -> Response:
    sections = []
    for title, kind, logs in _SECTIONS:
        found = service.store.all(kind)
        rows = [_row(kind, region, document) for region, document in reversed(found[-_MOST_ROWS:])]
        sections.append({"title": title, "logs": logs, "rows": rows, "count": len(found)})
    return _page("overview.html", sections=sections, endpoint=service.settings.endpoint_url)


def _row(kind: Kind, region: str, document: Json) -> Json:
    ended = document.get("ProcessingEndTime") or document.get("TrainingEndTime") or document.get("TransformEndTime")
    return {
        "name": document[kind.name],
        "region": region,
        "status": document.get("ModelApprovalStatus") or document.get(kind.status, ""),
        "created": document["CreationTime"],
        "seconds": None if ended is None else ended - document["CreationTime"],
        "reason": document.get("FailureReason", ""),
    }


@route("GET", "/_local/logs/(?P<kind>[a-z]+)/(?P<name>[^/]+)")
def job_log(service: Service, request: Request, kind: str, name: str) -> Response:
    if kind not in _LOGS:
        return _page("message.html", status=404, text=f"There are logs of {', '.join(_LOGS)}; not of {kind}.")
    resource, group = _LOGS[kind]
    region = request.args.get("region")
    found = [
        (there, document)
        for there, document in service.store.all(resource)
        if document[resource.name] == name and region in {None, there}
    ]
    if not found:
        return _page("message.html", status=404, text=f"There is no {resource.label} named {name}.")
    region, document = found[-1]
    folder = service.settings.state / "logs" / region / group / name
    streams = [
        (file.relative_to(folder).with_suffix("").as_posix(), *_tail(file)) for file in sorted(folder.rglob("*.log"))
    ]
    active = document.get(resource.status) in {"InProgress", "Stopping", "Creating", "Updating"}
    return _page(
        "log.html",
        row=_row(resource, region, document),
        kind=kind,
        label=resource.label,
        streams=streams,
        active=active,
        document=json.dumps({key: document[key] for key in sorted(document) if key[0] != "_"}, indent=2),
    )


def _tail(file: Path) -> tuple[str, int]:
    """The end of a log, and how many bytes before it are left out."""
    left_out = max(0, file.stat().st_size - _MOST_LOG_BYTES)
    with file.open("rb") as content:
        content.seek(left_out)
        return content.read().decode(errors="replace"), left_out


def _page(template: str, *, status: int = 200, **values: Any) -> Response:
    html = _templates.get_template(template).render(**values)
    return Response(html, status=status, content_type="text/html; charset=utf-8")
