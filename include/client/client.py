"""The client, over Airflow's REST API and S3."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, Self

import boto3
import polars as pl

from include.platform.borders import model_group
from include.platform.storage import scores_manifest

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

FINISHED = ("success", "failed")
ANSWER_AFTER = 8.0  # seconds; Airflow fails a task that resumes right after it started to wait
LAPTOP_BUCKET = "ml-local-ml-123456789012"
Json = dict[str, Any]


class ClientError(RuntimeError):
    """The request cannot be carried out; the message says why and what to do."""


class Airflow(Protocol):
    def __call__(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json: ...


@dataclass(frozen=True)
class Run:
    """A Dag run that was started."""

    dag_id: str
    run_id: str
    airflow: Airflow

    @property
    def state(self) -> str:
        """queued, running, success or failed."""
        return str(self.airflow("GET", f"/dags/{self.dag_id}/dagRuns/{self.run_id}")["state"])

    @property
    def tasks(self) -> dict[str, str | None]:
        """The state of each task."""
        found = self.airflow("GET", f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances?limit=100")
        return {one["task_id"]: one["state"] for one in found["task_instances"]}

    def wait(self, seconds: float = 3600, every: float = 5) -> Self:
        """Waits until the run has ended.

        Raises:
            ClientError: it failed, or takes longer than this many seconds.
        """
        end = time.monotonic() + seconds
        while (state := self.state) not in FINISHED:
            if time.monotonic() > end:
                raise ClientError(f"{self.dag_id} {self.run_id} is still {state} after {seconds:g} s.")
            time.sleep(every)
        if state == "failed":
            failed = [name for name, one in self.tasks.items() if one == "failed"]
            raise ClientError(f"{self.dag_id} {self.run_id} failed in {', '.join(failed) or 'no task'}; see its log.")
        return self


class Client:
    """An environment's models.

    Raises, from every method:
        ClientError: Airflow refused, or something does not exist. botocore's ClientError: AWS refused.
    """

    def __init__(self, airflow: Airflow, session: boto3.Session, bucket: str, endpoint_url: str | None = None) -> None:
        self._airflow, self._bucket = airflow, bucket
        self._s3: S3Client = session.client("s3", endpoint_url=endpoint_url)
        self._sagemaker = session.client("sagemaker", endpoint_url=endpoint_url)

    @classmethod
    def laptop(cls, airflow_port: int = 8080, sagemaker_port: int = 4566, bucket: str = LAPTOP_BUCKET) -> Self:
        """The stack of ``make up``."""
        session = boto3.Session("local", "local", region_name="us-east-1")
        return cls(over_http(f"http://127.0.0.1:{airflow_port}"), session, bucket, f"http://127.0.0.1:{sagemaker_port}")

    @classmethod
    def mwaa(cls, environment: str, bucket: str, session: boto3.Session | None = None) -> Self:
        """An MWAA environment, with the caller's rights (airflow:InvokeRestApi)."""
        session = session or boto3.Session()
        return cls(over_mwaa(session.client("mwaa"), environment), session, bucket)

    def train(self, model: str, **parameters: object) -> Run:
        """Starts a training; parameters are those of its trigger form."""
        return self._trigger(f"train_{model}", parameters)

    def promote(self, model: str, version: int | None = None) -> Run:
        """Approves a version (by default the newest registered) and starts its deployment, which asks for approval."""
        group = model_group(model)
        packages = self._sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending"
        )["ModelPackageSummaryList"]
        chosen = next((one for one in packages if version in (None, one["ModelPackageVersion"])), None)
        if chosen is None:
            raise ClientError(f"{group} has no version {version or 'at all'}; train one first.")
        if chosen["ModelApprovalStatus"] != "Approved":
            self._sagemaker.update_model_package(
                ModelPackageArn=chosen["ModelPackageArn"], ModelApprovalStatus="Approved"
            )
        return self._trigger(f"deploy_{model}", {"version": chosen["ModelPackageVersion"]})

    def answer(self, run: Run, task_id: str, option: str, seconds: float = 900) -> None:
        """Answers a task's question, once it is asked.

        Raises:
            ClientError: the run ended without asking, or nothing is asked within this many seconds.
        """
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task_id}/-1/hitlDetails"
        end = time.monotonic() + seconds
        while not self._asks(path):
            if time.monotonic() > end or run.state in FINISHED:
                raise ClientError(f"{task_id} of {run.dag_id} {run.run_id} asks nothing; the run is {run.state}.")
            time.sleep(1)
        time.sleep(ANSWER_AFTER)
        self._airflow("PATCH", path, {"chosen_options": [option], "params_input": {}})

    def _asks(self, path: str) -> bool:
        try:
            self._airflow("GET", path)
        except ClientError:  # nothing yet
            return False
        return True

    def backfill(self, model: str, first: str, last: str, **parameters: object) -> Run:
        """Scores the days from first to last that are not scored yet."""
        return self._trigger("backfill", {"model": model, "from": first, "to": last, **parameters})

    def scores(self, model: str, day: str | date) -> pl.DataFrame:
        """A day's published scores, complete, via their manifest."""
        place = scores_manifest(model, str(day))
        try:
            manifest = json.loads(self._s3.get_object(Bucket=self._bucket, Key=place)["Body"].read())
        except self._s3.exceptions.NoSuchKey:
            raise ClientError(
                f"{model} has no scores of {day}: make backfill MODEL={model} FROM={day} TO={day} scores it."
            ) from None
        parts = [self._s3.get_object(Bucket=self._bucket, Key=file["key"])["Body"].read() for file in manifest["files"]]
        return pl.concat([pl.read_parquet(io.BytesIO(part)) for part in parts])

    def _trigger(self, dag_id: str, conf: Mapping[str, object]) -> Run:
        self._airflow("PATCH", f"/dags/{dag_id}", {"is_paused": False})
        started = self._airflow("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return Run(dag_id, started["dag_run_id"], self._airflow)


def over_http(url: str) -> Airflow:
    """An API server without sign-in, as on a laptop."""
    import httpx

    http = httpx.Client(base_url=f"{url}/api/v2", timeout=60, trust_env=False)

    def call(method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        try:
            answer = http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise ClientError(f"Airflow does not answer at {url} ({error}); make up starts it.") from error
        if answer.is_error:
            raise ClientError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:300]}")
        return dict(answer.json())

    return call


def over_mwaa(mwaa: Any, environment: str) -> Airflow:
    """MWAA's ``invoke-rest-api``."""

    def call(method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        plain, _, query = path.partition("?")
        given: Json = {"QueryParameters": dict(pair.split("=", 1) for pair in query.split("&"))} if query else {}
        if body is not None:
            given["Body"] = body
        try:
            found = mwaa.invoke_rest_api(Name=environment, Path=plain, Method=method, **given)
        except mwaa.exceptions.RestApiClientException as error:
            raise ClientError(f"Airflow refused {method} {path}: {error}") from error
        return dict(found["RestApiResponse"])

    return call
