"""The page of one resource: its origin, what it read and wrote, its metrics, its log, its description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from werkzeug.wrappers import Request, Response

from include.local_sagemaker.core.service import Region, Service
from include.local_sagemaker.core.store import MODEL_PACKAGE, Json
from include.local_sagemaker.http.routing import route
from include.local_sagemaker.pages.kinds import KINDS, PageKind
from include.local_sagemaker.pages.overview import ORIGIN, name_of, row, tags_of
from include.local_sagemaker.pages.rendering import not_found, page

_MOST_LOG_BYTES = 2 * 2**20
_ACTIVE = {"InProgress", "Stopping", "Creating", "Updating", "RollingBack", "Deleting"}


@route("GET", "/_local/logs/(?P<word>(?!endpoints/)[a-z]+)/(?P<name>.+)")
@route("GET", "/_local/show/(?P<word>(?!endpoints/)[a-z]+)/(?P<name>.+)")
def show(service: Service, request: Request, word: str, name: str) -> Response:
    if word not in KINDS:
        return not_found(f"There are pages of {', '.join(KINDS)}; not of {word}.")
    one = KINDS[word]
    found = find(service, one, name, request.args.get("region"))
    if found is None:
        return not_found(f"There is no {one.kind.label} named {name}.")
    region, document = found
    return page("resource.html", **facts(service.region(region), one, document))


def find(service: Service, one: PageKind, name: str, region: str | None) -> tuple[str, Json] | None:
    """(region, document); the newest of that name if several regions have one."""
    matches = [
        (there, document)
        for there, document in service.store.all(one.kind)
        if name_of(one, document) == name and region in {None, there}
    ]
    return matches[-1] if matches else None


def facts(region: Region, one: PageKind, document: Json) -> Json:
    """What the page shows."""
    shown = row(one, region.name, document)
    tags = tags_of(region.service, shown["arn"])
    return {
        "kind": one,
        "kinds": KINDS.values(),
        "row": shown,
        "origin": {title: tags.pop(key) for key, title in ORIGIN.items() if key in tags},
        "tags": tags,
        "steps": document.get("SecondaryStatusTransitions", []),
        "places": list(places(document)),
        "metrics": metrics_of(document),
        "versions": versions_of(region, document),
        "streams": streams_of(region, one, shown["name"]),
        "active": shown["state"] in _ACTIVE,
        "document": json.dumps({key: document[key] for key in sorted(document) if key[0] != "_"}, indent=2),
    }


def places(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Everything in S3 that a description names, and its role there."""
    if isinstance(value, dict):
        own = next((str(value[key]) for key in value if key in ("InputName", "OutputName", "ChannelName")), name)
        for key, inner in value.items():
            if key[0] == "_":
                continue
            if isinstance(inner, str) and inner.startswith("s3://"):
                word = "" if key == "S3Uri" else key
                yield (own if own != name else " ".join(part for part in (name, word) if part)), inner
            else:
                yield from places(inner, own if own != name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from places(inner, name)


def metrics_of(document: Json) -> dict[str, object]:
    """A training job's metrics, or a version's as recorded at its registration."""
    final = {one["MetricName"]: one["Value"] for one in document.get("FinalMetricDataList", ())}
    noted = document.get("CustomerMetadataProperties", {})
    return final | {key.removeprefix("metric_"): noted[key] for key in noted if key.startswith("metric_")}


def versions_of(region: Region, document: Json) -> list[dict[str, object]]:
    """A group's versions, newest first, each with its approval and metrics."""
    if "ModelPackageGroupStatus" not in document:
        return []
    found = region.iterate(MODEL_PACKAGE, parent=document["ModelPackageGroupName"])
    return [
        {
            **row(KINDS["packages"], region.name, package),
            "metrics": metrics_of(package),
            "decision": package.get("CustomerMetadataProperties", {}).get("promotion_decision", ""),
        }
        for package in reversed(list(found))
    ]


def streams_of(region: Region, one: PageKind, name: str) -> list[tuple[str, str, int]]:
    """(stream, text, bytes left out) of every log stream."""
    if one.log_group is None:
        return []
    folder = region.settings.state / "logs" / region.name / one.log_group / name
    return [
        (file.relative_to(folder).with_suffix("").as_posix(), *_tail(file)) for file in sorted(folder.rglob("*.log"))
    ]


def _tail(file: Path) -> tuple[str, int]:
    """The end of a log, and how many bytes before it are left out."""
    left_out = max(0, file.stat().st_size - _MOST_LOG_BYTES)
    with file.open("rb") as content:
        content.seek(left_out)
        return content.read().decode(errors="replace"), left_out
