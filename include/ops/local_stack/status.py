"""``make status``: addresses, versions, the last runs, and pending decisions.

It only reads, and waits at most a second for each service.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
from rich.console import Console
from rich.table import Column, Table

from include.models.config import model_names
from include.ops import Json
from include.ops.local_stack import supervisor
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.processes import Service
from include.ops.local_stack.services import addresses, services
from include.ops.local_stack.settings import BUCKET, Settings, SettingsError
from include.ops.screen import screen
from include.platform.borders import model_group
from include.platform.storage import production_history, split_uri
from sagemaker_jobs.schedules import OFF, WHY_OFF

PATIENCE = 1.0  # seconds
MOST_AT_ONCE = 32  # requests; were there rounds of them, busy services would be waited for once a round
AIRFLOW, SAGEMAKER = "Airflow", "the local SageMaker"
VERBS = ("train", "score", "deploy", "monitor")


@dataclass
class Found:
    """The services' answers; empty for services that did not answer, which ``silent`` names."""

    runs: list[Json] = field(default_factory=list)  # newest first
    questions: list[Json] = field(default_factory=list)
    unpaused: list[Json] = field(default_factory=list)  # Dags
    versions: dict[str, list[Json]] = field(default_factory=dict)  # by model, newest first
    production: dict[str, Json] = field(default_factory=dict)  # the open entry of a model's history
    silent: dict[str, str] = field(default_factory=dict)  # with why


def ask(settings: Settings, models: list[str]) -> Found:
    """Asks all services concurrently."""
    api = AirflowApi(settings.airflow_url, settings.login, patience=PATIENCE)
    with httpx.Client(base_url=settings.sagemaker_url, timeout=PATIENCE, trust_env=False) as local:
        found = Found()
        with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            runs, questions, unpaused = map(pool.submit, (api.newest_runs, api.open_questions, api.unpaused))
            versions = {model: pool.submit(_versions, local, model) for model in models}
            production = {model: pool.submit(_in_production, local, model) for model in models}
        try:
            found.runs, found.questions, found.unpaused = runs.result(), questions.result(), unpaused.result()
        except httpx.HTTPError as error:
            found.silent[AIRFLOW] = str(error)
        try:
            found.versions = {model: one.result() for model, one in versions.items()}
            found.production = {model: entry for model, one in production.items() if (entry := one.result())}
        except httpx.HTTPError as error:
            found.silent[SAGEMAKER] = str(error)
    return found


def _versions(local: httpx.Client, model: str) -> list[Json]:
    """The registry's versions, via its raw API: importing an AWS client would take seconds."""
    request = {"ModelPackageGroupName": model_group(model), "MaxResults": 1}
    headers = {"X-Amz-Target": "SageMaker.ListModelPackages"}
    answer = local.post("/", json=request, headers=headers)
    if answer.status_code == httpx.codes.BAD_REQUEST:  # there is no such group yet
        return []
    return list(answer.raise_for_status().json()["ModelPackageSummaryList"])


def _in_production(local: httpx.Client, model: str) -> Json | None:
    bucket, key = split_uri(production_history(BUCKET, model))
    answer = local.get(f"/_local/s3/{bucket}/{key}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    entries = answer.raise_for_status().json()["entries"]
    return next((entry for entry in entries if entry.get("to") is None), None)


def show(settings: Settings, processes: list[Service], console: Console) -> None:
    stopped = [one.name for one in processes if one.process() is None]
    models = sorted(model_names())
    _show_addresses(settings, stopped, console)
    if len(stopped) == len(processes):
        console.print("nothing runs. next: make up, or make run for a first model")
        return
    found = ask(settings, models)
    console.print(_table(models, found, datetime.now(UTC)))
    for line in (*waiting(settings, found), *next_runs(found.unpaused)):
        console.print(line, soft_wrap=True)
    for name, why in found.silent.items():
        console.print(f"{name} ({why}) did not answer within {PATIENCE:g} s", style="yellow", soft_wrap=True)


def _show_addresses(settings: Settings, stopped: list[str], console: Console) -> None:
    for name, address in addresses(settings):
        console.print(f"{name:17}{address}", soft_wrap=True, highlight=False)
    if stopped:
        console.print(f"stopped: {', '.join(stopped)}", style="yellow", soft_wrap=True)


def _table(models: list[str], found: Found, now: datetime) -> Table:
    names = ("model", "in production", "newest version", *(f"{verb}_" for verb in VERBS))
    table = Table(*(Column(name, overflow="fold") for name in names))
    newest: dict[str, Json] = {}
    for one in reversed(found.runs):
        newest[one["dag_id"]] = one
    no_run, no_version = ("?" if service in found.silent else "–" for service in (AIRFLOW, SAGEMAKER))
    for model in models:
        entry, versions = found.production.get(model), found.versions.get(model, [])
        table.add_row(
            model,
            f"{entry['version']} since {entry['from'][:10]}" if entry else no_version,
            f"{versions[0]['ModelPackageVersion']} {versions[0]['ModelApprovalStatus']}" if versions else no_version,
            *(_said(run, now) if (run := newest.get(f"{verb}_{model}")) else no_run for verb in VERBS),
        )
    return table


def _said(run: Json, now: datetime) -> str:
    when = run.get("end_date") or run.get("start_date") or run.get("run_after")
    return f"{run['state']} {age(now - datetime.fromisoformat(when))}" if when else str(run["state"])


def age(since: timedelta) -> str:
    """Minutes, hours or days ago."""
    minutes = max(0, int(since.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d ago"


def waiting(settings: Settings, found: Found) -> list[str]:
    """A line for each pending question, with the address of its form."""
    lines = []
    for question in found.questions:
        task = question["task_instance"]
        dag_id, run_id, task_id = task["dag_id"], task["dag_run_id"], task["task_id"]
        address = f"{settings.airflow_url}/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/required_actions"
        lines.append(f"waits for you: {question['subject']} {address}")
    return lines or ([] if found.silent else ["nothing waits for a decision"])


def next_runs(unpaused: list[Json]) -> list[str]:
    """What starts without being asked, and when; or why nothing of a model does."""
    due = sorted((dag["next_dagrun_run_after"], dag["dag_id"]) for dag in unpaused if dag.get("next_dagrun_run_after"))
    lines = [f"runs on its own: {dag_id}, next {moment[:16].replace('T', ' ')} UTC" for moment, dag_id in due]
    are_off = any((dag.get("timetable_summary") or "").split(",")[0] == OFF for dag in unpaused)
    return [*lines, *([f"{WHY_OFF}: unpaused Dags run when triggered"] if are_off else [])]


def main() -> None:
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        sys.exit(f"error: {error}")
    show(settings, [*services(settings), supervisor.service(settings)], screen())


if __name__ == "__main__":
    main()
