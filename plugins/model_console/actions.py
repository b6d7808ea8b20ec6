"""The console's buttons: each starts or pauses Dags as the user who pressed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from fastapi import HTTPException, Request

from model_console.airflow_api import AirflowApi
from model_console.costs import usd_per_month
from model_console.store import Index
from sagemaker_jobs.account import total_usd
from sagemaker_jobs.kinds import Json
from sagemaker_jobs.schedules import WHY_OFF, schedules_are_off

LONGEST_BACKFILL = 3660  # days
TRAININGS = 5  # the newest, whose cost is averaged
SCHEDULED = ("train", "score", "monitor")  # people start deployments, which must not stop half-way


@dataclass(frozen=True)
class Button:
    """A button, the Dag that it starts, and the text of its form: what it does, and what that costs."""

    action: str
    label: str
    dag_id: str
    says: str
    costs: str = ""


def buttons(model: str) -> list[Button]:
    """All buttons of a model."""
    return [
        Button("train", "Train", f"train_{model}", "Trains on the available raw data. A version that passes its gates "
               "waits for approval; production is not touched."),
        Button("promote", "Promote", f"deploy_{model}", "Deploys a version to staging, tests it, then asks for "
               "approval. Without a number: the newest approved version."),
        Button("rollback", "Roll back", "rollback", "Puts the previous version back into production at once."),
        Button("retire", "Retire", "retire", "Takes the model out of service once someone confirms: endpoints, alarms "
               "and scaling are removed, scheduled runs do nothing. History is kept; a promotion undoes it all."),
        Button("backfill", "Backfill", "backfill", "Scores the days from first to last, inclusive, many in "
               "one job. Days already scored and unchanged cost nothing; above the model's budget it asks first."),
        Button("pause", "Pause", f"score_{model}", "Pauses the model's scheduled Dags."),
        Button("resume", "Resume", f"score_{model}", "Unpauses the model's scheduled Dags."),
    ]  # fmt: skip


def priced(found: Sequence[Button], model: str, index: Index | None, jobs: Iterable[Json], region: str) -> list[Button]:
    """Buttons that say what they cost.

    Args:
        jobs: of the model's last months, as the Dags recorded them.
    """
    month = usd_per_month(index, region)
    endpoint = "what its packet says" if month is None else f"about {month:.0f} USD a month as it runs now"
    says = {
        "train": _of_trainings([job for job in jobs if job["dag_id"] == f"train_{model}"]),
        "promote": f"The endpoint costs {endpoint}, and staging's some minutes more.",
        "rollback": "Costs nothing: the endpoint stays as large as it is.",
        "retire": "" if month is None else f"Saves about {month:.0f} USD a month.",
        "pause": "Costs nothing.",
        "resume": "Costs what the scheduled runs cost.",
    }
    return [replace(button, costs=says.get(button.action, "")) for button in found]


def _of_trainings(jobs: Sequence[Json]) -> str:
    runs: dict[str, list[float | None]] = {}
    for job in jobs:
        runs.setdefault(job["run_id"], []).append(job["usd"])
    newest = [total_usd(costs) for costs in runs.values()][-TRAININGS:]
    known = [usd for usd in newest if usd is not None]
    if not known:
        return "Its cost is not known yet: no training of these months is recorded with a price."
    average = sum(known) / len(known)
    return f"Costs about {average:.4f} USD, the average of the last {len(known)}; its log has an estimate."


def allowed(user: BaseUser, model: str) -> list[Button]:
    """The buttons that Airflow lets a user press."""
    manager = get_auth_manager()
    return [
        button
        for button in buttons(model)
        if manager.is_authorized_dag(
            method="PUT" if button.action in {"pause", "resume"} else "POST",
            access_entity=None if button.action in {"pause", "resume"} else DagAccessEntity.RUN,
            details=DagDetails(id=button.dag_id),
            user=user,
        )
    ]


def require_own_page(request: Request) -> None:
    """Raises HTTPException (403): the request comes from another site's page."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    own = f"{request.url.scheme}://{request.url.netloc}"
    if site not in {None, "same-origin"} or (site is None and origin not in {None, own}):
        raise HTTPException(403, "The console's buttons work only on the console's own pages.")


async def start(api: AirflowApi, model: str, action: str, *, version: str, first: str, last: str) -> str:
    """Do what a button says.

    Returns:
        The id of the run that was started; empty if none was.

    Raises:
        HTTPException: there is no such button, or a field is invalid.
        RefusedError: Airflow refused.
    """
    button = next((button for button in buttons(model) if button.action == action), None)
    if button is None:
        raise HTTPException(404, f"The console has no button '{action}'.")
    if action in {"pause", "resume"}:
        await _pause(api, model, paused=action == "pause")
        return ""
    conf = _range(model, first, last) if action == "backfill" else _conf(action, model, version)
    asked = {"logical_date": None, "conf": conf}
    run = await api.send("POST", f"/dags/{button.dag_id}/dagRuns", asked)
    return str(run["dag_run_id"])


async def _pause(api: AirflowApi, model: str, *, paused: bool) -> None:
    for verb in SCHEDULED:
        await api.send("PATCH", f"/dags/{verb}_{model}", {"is_paused": paused})


def confirmation(model: str, action: str, started: str) -> str:
    """The message shown after a button was pressed; empty if ``started`` is not a run's id."""
    if not re.fullmatch(r"[\w:+.-]{0,250}", started):
        return ""
    button = next((button for button in buttons(model) if button.action == action), None)
    if button is None:
        return ""
    if action == "resume" and schedules_are_off():
        return f"The Dags of {model} are on, and run on request and on events. {WHY_OFF}."
    if action in {"pause", "resume"}:
        return f"The schedules of {model} are {'off' if action == 'pause' else 'on'}."
    return f"{button.label}: run {started} of {button.dag_id} has started."


def _conf(action: str, model: str, version: str) -> Json:
    if version and not re.fullmatch(r"[1-9]\d{0,5}", version):
        raise HTTPException(422, f"'{version[:40]}' is not a version number. Enter one such as 3.")
    conf: Json = {"model": model} if action in {"rollback", "retire"} else {}
    return {**conf, "version": int(version)} if version and action in {"promote", "rollback"} else conf


def _range(model: str, first: str, last: str) -> Json:
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        raise HTTPException(422, "Enter the first and the last day as dates, such as 2026-11-29.") from None
    if not 0 <= (end - start).days < LONGEST_BACKFILL:
        raise HTTPException(422, f"{first} to {last} is not a range of 1 to {LONGEST_BACKFILL} days.")
    return {"model": model, "from": start.isoformat(), "to": end.isoformat()}
