"""What needs attention in the models and their infrastructure. Pure: from indexes, Airflow's answers and AWS's.

The *Health* page and ``make health`` show the same findings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from model_console.cloud import Cloud, Endpoint, Job, group
from model_console.overview import VERBS, Dags, days_late
from model_console.store import Index

WATCHED_WITHIN = timedelta(days=2)  # of the last scored day
ASKED_SOON = timedelta(hours=1)  # an older question has probably gone unnoticed
OTHER_DAGS = ("rollback", "backfill", "retire", "score_file", "remind", "probe")  # one each for all models
AREAS = (
    "endpoints",
    "scored days",
    "monitoring",
    "failing Dags",
    "queues",
    "approvals",
    "alarms",
    "quota",
    "unexpected resources",
)
Level = Literal["fine", "note", "act"]


@dataclass(frozen=True)
class Finding:
    """One check's result. ``act``: someone has to act; ``path``: the page to go to, in Airflow or the console."""

    area: str
    level: Level
    subject: str
    says: str
    path: str = ""


@dataclass(frozen=True)
class Health:
    """Every finding, those to act on first; ``unknown`` names what could not be queried."""

    findings: Sequence[Finding]
    unknown: Sequence[str]

    @property
    def needs_attention(self) -> bool:
        """Also true if something could not be queried: nobody knows whether it is fine."""
        return bool(self.unknown) or any(finding.level == "act" for finding in self.findings)

    def of(self, area: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.area == area]


def examine(
    models: Sequence[str], indexes: Mapping[str, Index], dags: Dags, cloud: Cloud, *, project: str, now: datetime
) -> Health:
    """Checks all areas.

    Args:
        models: those that have Dags.
        project: the tag of this environment's resources; resources with another tag are ignored.
        now: in UTC.
    """
    findings = [
        *_endpoints(models, indexes, cloud),
        *(found for model in models for found in _days(model, indexes.get(model), dags, now)),
        *_failing(models, dags),
        *_queues(cloud, dags),
        *_approvals(dags, now),
        *(Finding("alarms", "act", name, why) for name, why in cloud.alarms.items()),
        *_unexpected(models, cloud, project, all_known=not dags.broken),
    ]
    order = {"act": 0, "note": 1, "fine": 2}
    return Health(sorted(findings, key=lambda found: order[found.level]), cloud.unknown)


def project_of(bucket: str) -> str:
    """The environment's name, which its bucket begins with: ``<name>-ml-<account>``."""
    return bucket.rpartition("-ml-")[0]


def _endpoints(models: Sequence[str], indexes: Mapping[str, Index], cloud: Cloud) -> Iterator[Finding]:
    there = {endpoint.name: endpoint for endpoint in cloud.endpoints}
    asked = not any(one.startswith("endpoints:") for one in cloud.unknown)
    for model in models:
        production = f"{group(model)}-production"
        for name in (production, f"{group(model)}-staging"):
            if name in there:
                yield _endpoint(there[name], f"model/{model}")
        probe = indexes.get(model, {}).get("probe")
        if probe and production in there:
            levels: dict[str, Level] = {"answers": "fine", "being changed": "note"}
            level = levels.get(probe["state"], "act")
            yield Finding(
                "endpoints", level, f"probe of {production}", f"{probe['at']}: {probe['says']}", f"model/{model}"
            )
        serves = any(entry["to"] is None for entry in indexes.get(model, {}).get("production", []))
        if serves and asked and production not in there:
            says = "a version is in production, but its endpoint is gone: roll back to it, or promote it again"
            yield Finding("endpoints", "act", production, says, f"model/{model}")


def _endpoint(endpoint: Endpoint, path: str) -> Finding:
    if endpoint.status == "Failed":
        return Finding("endpoints", "act", endpoint.name, f"failed: {endpoint.why}", path)
    if endpoint.probe not in ("", "answered"):
        return Finding("endpoints", "act", endpoint.name, f"a request was not answered: {endpoint.probe}", path)
    if endpoint.errors:
        says = f"{endpoint.errors:.0f} of {endpoint.requests or 0:.0f} requests of the last hour failed"
        return Finding("endpoints", "act", endpoint.name, says, path)
    if endpoint.status != "InService":
        return Finding("endpoints", "note", endpoint.name, f"is {endpoint.status}", path)
    measured = f"{endpoint.requests or 0:.0f} requests in the last hour"
    p99 = "" if endpoint.p99_ms is None else f", p99 {endpoint.p99_ms:.0f} ms"
    return Finding("endpoints", "fine", endpoint.name, f"in service, {measured}{p99}", path)


def _days(model: str, index: Index | None, dags: Dags, now: datetime) -> Iterator[Finding]:
    """The last scored day, and whether monitoring follows it."""
    path, last = f"model/{model}", max((index or {}).get("days", {}), default=None)
    if index is None or last is None:
        return
    late = days_late(dags.by_id.get(f"score_{model}", {}), last, now.date())
    if late:
        yield Finding(
            "scored days",
            "act",
            model,
            f"the last scored day, {last}, is {late} day{'s' if late > 1 else ''} behind",
            path,
        )
    else:
        yield Finding("scored days", "fine", model, f"the last scored day is {last}", path)
    monitor = dags.by_id.get(f"monitor_{model}", {})
    watched = max(index["drift"], default=None)
    since = date.fromisoformat(last) - (date.fromisoformat(watched) if watched else date.min)
    if not monitor or monitor.get("is_paused"):
        yield Finding("monitoring", "note", model, "is off: drift goes unnoticed", path)
    elif since > WATCHED_WITHIN and now - _published(index, last) < ASKED_SOON:
        yield Finding("monitoring", "fine", model, f"{last} was scored just now", path)
    elif since > WATCHED_WITHIN:
        says = f"{last} is scored, but the last monitored day is {watched or 'none'}"
        yield Finding("monitoring", "act", model, says, path)
    else:
        yield Finding("monitoring", "fine", model, f"the last monitored day is {watched}", path)


def _published(index: Index, day: str) -> datetime:
    return datetime.fromisoformat(index["days"][day]["published_at"]).astimezone(UTC)


def _failing(models: Sequence[str], dags: Dags) -> Iterator[Finding]:
    own = {f"{verb}_{model}" for model in models for verb in VERBS} | set(OTHER_DAGS)
    for dag_id, failed in dags.failed.items():
        if dag_id in own:
            path = f"/dags/{dag_id}/runs?state=failed"
            says = f"{failed} failed run{'s' if failed > 1 else ''} in the last 7 days that nobody cleared"
            yield Finding("failing Dags", "act", dag_id, says, path)
    for file, error in dags.broken.items():
        line = error.strip().splitlines()[-1] if error.strip() else "cannot be imported"
        yield Finding("failing Dags", "act", file, line, "/dags")


def _queues(cloud: Cloud, dags: Dags) -> Iterator[Finding]:
    for model, waiting in cloud.queues.items():
        deploy = dags.by_id.get(f"deploy_{model}", {})
        if not waiting:
            yield Finding("queues", "fine", f"approvals of {model}", "empty")
        elif deploy.get("is_paused"):
            says = f"{waiting} approved but not deployed: deploy_{model} is paused. Unpause it."
            yield Finding("queues", "act", f"approvals of {model}", says, f"/dags/deploy_{model}")
        else:
            yield Finding("queues", "note", f"approvals of {model}", f"{waiting} on their way to Airflow")
    for name, pool in dags.pools.items():
        slots, taken, queued = pool["slots"], pool["slots"] - pool["open_slots"], pool["queued_slots"]
        says = f"{taken} of {slots} slots used, {queued} tasks waiting"
        full = slots > 0 and taken >= slots and queued > 0
        yield Finding("quota", "note" if full else "fine", f"pool {name}", says, "/pools")


def _approvals(dags: Dags, now: datetime) -> Iterator[Finding]:
    for question in dags.questions:
        waited = now - datetime.fromisoformat(question.asked_at).astimezone(UTC)
        hours = int(waited.total_seconds() // 3600)
        says = (
            f"has been waiting for {question.for_whom} for {hours} h" if waited > ASKED_SOON else "was asked just now"
        )
        yield Finding("approvals", "act", question.subject, says, question.path)


def _unexpected(models: Sequence[str], cloud: Cloud, project: str, *, all_known: bool) -> Iterator[Finding]:
    """What no Dag owns and this environment pays for. While a Dag file is broken its models are unknown, so nothing is
    recommended for deletion."""
    level: Level = "act" if all_known else "note"
    advice = "delete it, or find out whose it is" if all_known else "a Dag file is broken, so it may belong to that Dag"
    groups = {group(model) for model in models}
    endpoints = {f"{name}-{stage}" for name in groups for stage in ("production", "staging")}
    for endpoint in cloud.endpoints:
        if endpoint.name not in endpoints and endpoint.tags.get("project", project) == project:
            says = f"an endpoint that no Dag owns, billed by the hour: {advice}"
            yield Finding("unexpected resources", level, endpoint.name, says)
    for job in cloud.jobs:
        if not _is_owned(job, models) and job.tags.get("project", project) == project:
            says = f"a running {job.kind} job that no Dag owns: {advice}"
            yield Finding("unexpected resources", level, job.name, says)
    stray = [name for name in cloud.models if not any(name.startswith(f"{one}-") for one in groups)]
    if stray:
        says = f"{len(stray)} SageMaker Models that no Dag owns; they cost nothing: {', '.join(stray[:5])}"
        yield Finding("unexpected resources", "note", "Models", says)


def _is_owned(job: Job, models: Sequence[str]) -> bool:
    dag_id = job.tags.get("dag_id", "")
    return dag_id in OTHER_DAGS or dag_id.partition("_")[2] in models
