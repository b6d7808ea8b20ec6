"""HTML pages: the resources and their states. Addresses start with /_local/."""

from __future__ import annotations

from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Service
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.http.routing import route
from include.local_sagemaker.pages.kinds import KINDS, PageKind
from include.local_sagemaker.pages.rendering import not_found, page

# who requested a resource: the tags that say so, and their names for people
ORIGIN = {"dag_id": "Dag", "run": "Run", "task_id": "Task", "day": "Day"}
_NEWEST = 5  # rows of each kind in the overview
_ROWS = 50  # of a list's page


@route("GET", "/_local/health")
def health(service: Service, request: Request) -> Response:
    return Response('{"status": "ok"}', content_type="application/json")


@route("GET", "/_local/?")
def overview(service: Service, request: Request) -> Response:
    sections = []
    for one in KINDS.values():
        found = service.store.all(one.kind)
        rows = [row(one, region, document) for region, document in reversed(found[-_NEWEST:])]
        sections.append({"kind": one, "rows": rows, "count": len(found)})
    return page("overview.html", sections=sections, endpoint=service.settings.endpoint_url, kinds=KINDS.values())


@route("GET", "/_local/list/(?P<word>[a-z]+)")
def resources(service: Service, request: Request, word: str) -> Response:
    """One kind, newest first; ``name`` and ``from`` (Dag, run, task, day) are parts, ``page`` counts from 1."""
    if word not in KINDS:
        return not_found(f"There are lists of {', '.join(KINDS)}; not of {word}.")
    one = KINDS[word]
    wanted = {name: request.args.get(name, "") for name in ("name", "from", "state")}
    found = service.store.all(one.kind)
    states = sorted({one.state(document) for _, document in found} - {""})
    rows = [row(one, region, document) for region, document in reversed(found)]
    rows = [each for each in rows if _is_wanted(each, wanted)]
    if wanted["from"]:
        _add_origins(service, rows)
        rows = [each for each in rows if wanted["from"].lower() in each["origin"].lower()]
    number = max(1, request.args.get("page", 1, type=int))
    shown = rows[(number - 1) * _ROWS : number * _ROWS]
    _add_origins(service, shown)
    return page(
        "list.html",
        kind=one,
        kinds=KINDS.values(),
        rows=shown,
        count=len(rows),
        wanted=wanted,
        states=states,
        number=number,
        newer=urlencode({**wanted, "page": number - 1}) if number > 1 else None,
        older=urlencode({**wanted, "page": number + 1}) if number * _ROWS < len(rows) else None,
    )


def _is_wanted(each: Json, wanted: dict[str, str]) -> bool:
    return wanted["name"].lower() in each["name"].lower() and wanted["state"] in ("", each["state"])


def _add_origins(service: Service, rows: list[Json]) -> None:
    """Which task of which run requested each, and for which day, by its tags; they are read once."""
    for each in rows:
        if "origin" not in each:
            tags = tags_of(service, each["arn"])
            each["origin"] = " / ".join(tags[key] for key in ORIGIN if key in tags)


def tags_of(service: Service, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in service.store.tags(arn)}


def row(one: PageKind, region: str, document: Json) -> Json:
    ended = document.get("ProcessingEndTime") or document.get("TrainingEndTime") or document.get("TransformEndTime")
    return {
        "name": name_of(one, document),
        "arn": document[one.kind.arn],
        "region": region,
        "state": one.state(document),
        "created": document["CreationTime"],
        "seconds": None if ended is None else ended - document["CreationTime"],
        "reason": document.get("FailureReason", ""),
    }


def name_of(one: PageKind, document: Json) -> str:
    """A version is called ``<group>/<version>``."""
    if "ModelPackageVersion" in document:
        return f"{document['ModelPackageGroupName']}/{document['ModelPackageVersion']}"
    return str(document[one.kind.name])
