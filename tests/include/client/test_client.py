"""The client, with answers of Airflow and S3."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import boto3
import polars as pl
import pytest

from include.client import Client, ClientError
from include.client.__main__ import shown
from include.client.client import Json, over_mwaa
from include.platform.storage import scores_manifest
from tests.include.local_aws import LocalS3
from tests.include.local_sagemaker.local_server import LocalSageMaker

SCORES = pl.DataFrame(
    {
        "machineID": [1, 2],
        "prediction": ["none", "comp1"],
        "probability_none": [0.9, 0.2],
        "probability_comp1": [0.1, 0.8],
    }
)


class Airflow:
    """Records its requests; a run ends when it is asked about for the second time."""

    def __init__(self, end: str = "success") -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self._states = iter(["running", end, end])

    def __call__(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        self.asked.append((method, path, body))
        if path.endswith("dagRuns"):
            return {"dag_run_id": "run-1"}
        if "taskInstances" in path:
            return {"task_instances": [{"task_id": "train_model", "state": "failed"}]}
        return {"state": next(self._states)} if method == "GET" else {}


def client_of(airflow: Airflow, url: str | None = None) -> Client:
    return Client(airflow, boto3.Session("a", "b", region_name="us-east-1"), "bucket", url)


def test_a_training_is_started_and_awaited() -> None:
    airflow = Airflow()
    run = client_of(airflow).train("abalone_age", force=True).wait(every=0)
    assert (run.run_id, airflow.asked[1][1:]) == (
        "run-1",
        ("/dags/train_abalone_age/dagRuns", {"logical_date": None, "conf": {"force": True}}),
    )


def test_a_question_is_answered_once_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.client.client.time.sleep", lambda _: None)
    airflow = Airflow()
    client = client_of(airflow)
    run = client.backfill("abalone_age", "2015-06-01", "2015-06-02")
    client.answer(run, "approve_cost", "Score the days")
    method, path, body = airflow.asked[-1]
    assert (method, path) == ("PATCH", "/dags/backfill/dagRuns/run-1/taskInstances/approve_cost/-1/hitlDetails")
    assert body == {"chosen_options": ["Score the days"], "params_input": {}}
    monkeypatch.setattr(client, "_asks", lambda _: False)
    with pytest.raises(ClientError, match="asks nothing"):
        client.answer(run, "approve_cost", "Score the days")


def test_a_failed_run_names_what_failed() -> None:
    with pytest.raises(ClientError, match="backfill run-1 failed in train_model"):
        client_of(Airflow("failed")).backfill("abalone_age", "2015-06-01", "2015-06-02").wait(every=0)


def test_a_days_scores_are_those_of_its_manifest_or_one_sentence_says_there_are_none(
    local_aws: LocalSageMaker, s3: LocalS3
) -> None:
    client = client_of(Airflow(), local_aws.url)
    with pytest.raises(ClientError, match="make backfill MODEL=m FROM=2015-06-01 TO=2015-06-01"):
        client.scores("m", date(2015, 6, 1))
    content = io.BytesIO()
    SCORES.write_parquet(content)
    s3.objects["a.parquet"] = content.getvalue()
    s3.objects[scores_manifest("m", "2015-06-01")] = json.dumps({"files": [{"key": "a.parquet"}]}).encode()
    assert client.scores("m", "2015-06-01").equals(SCORES)


def test_what_is_shown_are_shares_and_the_least_usual_rows() -> None:
    said = shown(SCORES)
    assert "2 rows" in said
    assert "50.00%" in said
    assert "probability_none" not in said
    assert "mean 2" in shown(pl.DataFrame({"prediction": [1.0, 3.0]}))


def test_a_row_fits_in_a_line_with_its_time_risk_and_first_reason() -> None:
    reasons = json.dumps([{"feature": "volt", "value": "52.1", "contribution": 3.6}, {"feature": "age", "value": "1"}])
    times = [datetime.fromisoformat("2015-06-01T06:00"), datetime.fromisoformat("2015-06-01T07:00")]
    said = shown(SCORES.with_columns(pl.Series("datetime", times), pl.Series("reasons", [None, reasons])))
    (line,) = (line for line in said.splitlines() if "comp1" in line and "│" in line)
    assert [cell.strip() for cell in line.strip("│").split("┆")] == [
        "2",
        "comp1",
        "2015-06-01 07:00",
        "0.8",
        "volt 52.1",
    ]


def test_mwaa_is_asked_with_its_path_query_and_body_apart() -> None:
    asked = []

    class Mwaa:
        class exceptions:  # noqa: N801
            RestApiClientException = ValueError

        def invoke_rest_api(self, **given: Any) -> Json:
            asked.append(given)
            return {"RestApiResponse": {"state": "success"}}

    assert over_mwaa(Mwaa(), "ml-prod")("GET", "/dags?limit=5") == {"state": "success"}
    assert asked == [{"Name": "ml-prod", "Path": "/dags", "Method": "GET", "QueryParameters": {"limit": "5"}}]
