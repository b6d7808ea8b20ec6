"""What the console reads from Airflow: Dags, failed runs, open questions; for Health also import errors and pools."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import quote, unquote

from model_console.overview import VERBS, Dags, Question
from sagemaker_jobs.kinds import Json

type Query = str | int | bool | list[str]  # a value of a query parameter

PAGE = 100  # the most that Airflow returns at once
PACKET = re.compile(r"runs/deploy_[\w./-]+/prepare_promotion/packet\.html")  # in the links of a question
FAILED_WITHIN = timedelta(days=7)


class Api(Protocol):
    """Airflow's REST API, called in this process (``airflow_api``) or from outside (``make health``)."""

    async def get(self, path: str, **query: Query) -> Json:
        """Raises RefusedError."""


async def ask(api: Api, model: str | None = None) -> Dags:
    """The Dags that the user may see, of one model or all, with their failed runs and open questions.

    Raises:
        RefusedError: the user may not see Dags at all.
    """
    since = (datetime.now(UTC) - FAILED_WITHIN).isoformat()
    own = {} if model is None else {"dag_id_pattern": f"%_{model}"}
    dags, failed, asked = await asyncio.gather(
        _all(api, "/dags", "dags", {"exclude_stale": True, **own}),
        _all(api, "/dags/~/dagRuns", "dag_runs", {"state": "failed", "run_after_gte": since, **own}, most=1000),
        _all(api, "/dags/~/dagRuns/~/hitlDetails", "hitl_details", {"response_received": False, **own}, most=PAGE),
    )
    return Dags(
        by_id={dag["dag_id"]: dag for dag in dags},
        failed=Counter(run["dag_id"] for run in failed),
        failed_days=_days(failed),
        questions=[_question(found) for found in asked],
    )


async def ask_health(api: Api) -> Dags:
    """``ask``, plus import errors and pools. Raises as ``ask``; a user may see Dags but not pools."""
    errors, pools = await asyncio.gather(
        _all(api, "/importErrors", "import_errors", {}), _all(api, "/pools", "pools", {})
    )
    return replace(
        await ask(api),
        broken={error["filename"]: error["stack_trace"] for error in errors},
        pools={pool["name"]: pool for pool in pools},
    )


def models_of(dags: Dags) -> set[str]:
    """Names of the models that have Dags."""
    return {
        dag_id.partition("_")[2]
        for dag_id in dags.by_id
        if dag_id.startswith("train_") and dag_id.partition("_")[0] in VERBS
    }


def models_watched(dags: Dags) -> list[str]:
    """The models that Health checks, sorted: any with a Dag, even if the one that trains it is missing."""
    parts = (dag_id.partition("_") for dag_id in dags.by_id)
    # score_file is for every model
    return sorted({model for verb, _, model in parts if verb in VERBS and model and (verb, model) != ("score", "file")})


def _days(runs: list[Json]) -> dict[str, list[str]]:
    """By Dag, the days that its runs were about: the form's, the partition's, or the schedule's."""
    found: dict[str, list[str]] = {}
    for run in runs:
        asked = (run.get("conf") or {}).get("day") or run.get("partition_key") or run.get("data_interval_start")
        if asked:
            found.setdefault(run["dag_id"], []).append(str(asked)[:10])
    return found


async def _all(api: Api, path: str, key: str, query: Mapping[str, Query], most: int = 10_000) -> list[Json]:
    first = await api.get(path, limit=PAGE, **query)
    offsets = range(PAGE, min(first["total_entries"], most), PAGE)
    rest = await asyncio.gather(*(api.get(path, limit=PAGE, offset=offset, **query) for offset in offsets))
    return [found for page in (first, *rest) for found in page[key]]


def _question(found: Json) -> Question:
    task = found["task_instance"]
    dag_id = task["dag_id"]
    run, task_id = quote(task["dag_run_id"], safe=""), quote(task["task_id"], safe="")
    return Question(
        model=dag_id.partition("_")[2],
        dag_id=dag_id,
        subject=found["subject"],
        body=found.get("body") or "",
        asked_at=found["created_at"],
        path=f"/dags/{dag_id}/runs/{run}/tasks/{task_id}/required_actions",
        packet=packet[0] if (packet := PACKET.search(unquote(found.get("body") or ""))) else "",
        for_whom=", ".join(user["name"] or user["id"] for user in found.get("assigned_users", [])) or "anyone",
    )
