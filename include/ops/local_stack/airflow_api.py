"""The part of Airflow's public REST API that triggers and follows runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import httpx

from include.ops import Json

ANSWER_AFTER = 8.0  # the age of a question in seconds before a program answers it: see sagemaker_jobs.waiting


class AirflowApi:
    """A client of one API server.

    Raises, from every method:
        httpx.HTTPStatusError: the server refused; httpx.TransportError: it is unreachable.
    """

    def __init__(self, url: str, login: tuple[str, str] | None = None, patience: float = 120.0) -> None:
        """``login``: user and password, if the server requires them; ``patience``: the time-out in seconds."""
        self._login = login
        # no proxy between two processes of one machine. A long time-out: on a machine with
        # much else to do, the first requests after a start take the server half a minute
        self._http = httpx.Client(base_url=url, timeout=patience, trust_env=False)
        self._signed_in = False

    def is_healthy(self) -> bool:
        """All four components report a heartbeat."""
        try:
            answer = self._http.get("/api/v2/monitor/health")
        except httpx.TransportError:
            return False
        if answer.status_code != httpx.codes.OK:
            return False
        health = answer.json()
        return all(
            (health.get(component) or {}).get("status") == "healthy"
            for component in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )

    def dags(self) -> list[Json]:
        return list(self._get("/dags", limit=1000)["dags"])

    def unpaused(self) -> list[Json]:
        return list(self._get("/dags", paused=False, limit=100)["dags"])

    def dag_ids(self) -> list[str]:
        return [dag["dag_id"] for dag in self.dags()]

    def import_errors(self) -> dict[str, str]:
        """Stack traces by file name."""
        return {error["filename"]: error["stack_trace"] for error in self._get("/importErrors")["import_errors"]}

    def unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Json) -> str:
        """Start a run; its run id."""
        body = {"logical_date": None, "conf": conf}
        run_id: str = self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def clear(self, dag_id: str, run_id: str, task_ids: list[str]) -> None:
        """Runs tasks, and all downstream ones, again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": task_ids, "only_failed": False}
        body |= {"include_downstream": True, "reset_dag_runs": True}
        self.call("POST", f"/dags/{dag_id}/clearTaskInstances", json=body)

    def run_ids(self, dag_id: str) -> list[str]:
        """Newest first."""
        runs = self._get(f"/dags/{dag_id}/dagRuns", order_by="-run_after", limit=100)["dag_runs"]
        return [run["dag_run_id"] for run in runs]

    def newest_runs(self) -> list[Json]:
        """The last hundred of all Dags, newest first."""
        return list(self._get("/dags/~/dagRuns", order_by="-run_after", limit=100)["dag_runs"])

    def open_questions(self) -> list[Json]:
        """The unanswered questions of all Dags' tasks."""
        path = "/dags/~/dagRuns/~/hitlDetails"
        return list(self._get(path, response_received=False, limit=100)["hitl_details"])

    def create_backfill(
        self, dag_id: str, first: str, last: str, *, conf: Json, reprocess: str, runs_at_once: int
    ) -> int:
        """Start a backfill over the days from first to last (ISO dates); its id.

        Args:
            reprocess: which days that have a run already get another: ``none``, ``failed`` or ``completed``.
        """
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "dag_run_conf": conf,
            "reprocess_behavior": reprocess,
            "max_active_runs": runs_at_once,
        }
        backfill: int = self.call("POST", "/backfills", json=body)["id"]
        return backfill

    def runs_between(self, dag_id: str, first: str, last: str) -> dict[str, Json]:
        """The runs of the days from first to last, by day."""
        runs: dict[str, Json] = {}
        while True:
            order = {"order_by": "logical_date", "limit": 100, "offset": len(runs)}
            page = self._get(f"/dags/{dag_id}/dagRuns", **_of_days(first, last), **order)["dag_runs"]
            runs |= {run["logical_date"][:10]: run for run in page}
            if len(page) < 100:
                return runs

    def run_state(self, dag_id: str, run_id: str) -> str:
        state: str = self._get(f"/dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        return list(self._get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=1000)["task_instances"])

    def task_ids(self, dag_id: str) -> list[str]:
        """In the order in which they run."""
        tasks = {
            task["task_id"]: set(task["downstream_task_ids"]) for task in self._get(f"/dags/{dag_id}/tasks")["tasks"]
        }
        ordered: list[str] = []
        while tasks:
            waiting = set().union(*tasks.values())
            ready = [task_id for task_id in tasks if task_id not in waiting]
            ordered += ready
            for task_id in ready:
                del tasks[task_id]
        return ordered

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """The value; None if the task pushed none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        try:
            return self._get(path, deserialize=False, stringify=False)["value"]
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:
                return None
            raise

    def question(self, dag_id: str, run_id: str, task_id: str) -> Json:
        """A task's question: ``subject``, ``body`` (Markdown), ``options``."""
        return self._get(self._question_path(dag_id, run_id, task_id))

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, params: Json) -> None:
        """Answers it, though not in its first seconds: a task that resumes so soon after it started to wait fails as
        "finished with state success, but ... queued", and asks again (https://github.com/apache/airflow/issues/71580).
        """
        asked = datetime.fromisoformat(self.question(dag_id, run_id, task_id)["created_at"])
        time.sleep(max(0.0, ANSWER_AFTER - (datetime.now(UTC) - asked).total_seconds()))
        body = {"chosen_options": [option], "params_input": params}
        self.call("PATCH", self._question_path(dag_id, run_id, task_id), json=body)

    @staticmethod
    def _question_path(dag_id: str, run_id: str, task_id: str) -> str:
        return f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"

    def failure_reason(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> str:
        """The message of the exception that ended a try, from its log."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{max(try_number, 1)}"
        content = self._get(path)["content"]
        # the task's own exception comes first; after it, callbacks may fail too
        reasons = [
            f"{detail['exc_type']}: {detail['exc_value']}"
            for event in content
            for detail in (event.get("error_detail") or [])[:1]
        ]
        errors = [event["event"] for event in content if event.get("level") in ("error", "critical")]
        return (reasons or errors or ["no error in the task's log"])[0]

    def set_variable(self, key: str, value: str) -> None:
        body = {"key": key, "value": value}
        try:
            self.call("PATCH", f"/variables/{key}", json=body)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            self.call("POST", "/variables", json=body)

    def _get(self, path: str, **params: Any) -> Json:
        return self.call("GET", path, params=params)

    def call(self, method: str, path: str, **arguments: Any) -> Json:
        """Any other request: a path below /api/v2, and what httpx.Client.request takes."""
        if not self._signed_in:
            if self._login is None:
                answer = self._http.get("/auth/token")
            else:
                user, password = self._login
                answer = self._http.post("/auth/token", json={"username": user, "password": password})
            answer.raise_for_status()
            self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            self._http.headers["Accept"] = "application/json"
            self._signed_in = True
        answer = self._http.request(method, f"/api/v2{path}", **arguments)
        answer.raise_for_status()
        content: Json = answer.json()
        return content


def _of_days(first: str, last: str) -> dict[str, str]:
    return {"logical_date_gte": f"{first}T00:00:00Z", "logical_date_lte": f"{last}T23:59:59Z"}
