"""The source of answers: the champion while it changes, an endpoint while it fails."""

from __future__ import annotations

import io
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from include.jobs.serving.endpoint import UnavailableError
from include.jobs.serving.payload import JSON, BadRequestError
from include.models.config import load_model
from include.models.errors import JobError
from include.online.backends import EndpointBackend, LocalBackend, champion_in
from include.platform.storage import production_history, split_uri
from tests.include.local_aws import LocalS3
from tests.include.online.conftest import MODEL

HISTORY = split_uri(production_history("bucket", MODEL))[1]


def promote(bucket: LocalS3, version: int) -> None:
    entries = [{"version": version, "artifact": f"s3://bucket/{version}/model.tar.gz", "to": None}]
    bucket.objects[HISTORY] = json.dumps({"entries": entries}).encode()


def archive(folder: Path, place: Path) -> bytes:
    return Path(shutil.make_archive(str(place), "gztar", folder)).read_bytes()


@pytest.fixture
def bucket(s3: LocalS3, artifact: Path, tmp_path: Path) -> LocalS3:
    s3.objects["1/model.tar.gz"] = s3.objects["2/model.tar.gz"] = archive(artifact, tmp_path / "model")
    return s3


def backend_over(bucket: LocalS3) -> LocalBackend:
    return LocalBackend(load_model(MODEL), champion_in(bucket, "bucket", MODEL), bucket)  # type: ignore[arg-type]


@pytest.fixture
def rows(training_table: pl.DataFrame) -> pl.DataFrame:
    return training_table.drop("machineID", "datetime", "failure").head(4)


def test_no_request_fails_while_the_champion_is_swapped(bucket: LocalS3, rows: pl.DataFrame) -> None:
    backend, stop, seen, failures = backend_over(bucket), threading.Event(), set[str](), list[Exception]()
    assert backend.version() is None
    promote(bucket, 1)
    backend.look()

    def ask() -> None:
        while not stop.is_set():
            try:
                seen.add(backend.answer(rows).version.name)
            except Exception as error:  # noqa: BLE001 - none may come
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while not seen:
        pass
    promote(bucket, 2)
    backend.look()
    while "2" not in seen and not failures:
        pass
    stop.set()
    asking.join()
    assert (seen, failures, backend.swaps) == ({"1", "2"}, [], 2)


def test_an_artifact_that_answers_otherwise_than_at_its_training_does_not_take_over(
    bucket: LocalS3, artifact: Path, tmp_path: Path
) -> None:
    promote(bucket, 1)
    backend = backend_over(bucket)
    backend.look()
    changed = tmp_path / "changed"
    shutil.copytree(artifact, changed)
    golden = json.loads((changed / "golden_requests.json").read_text())
    golden[0]["expected"]["label"] = "comp9"
    (changed / "golden_requests.json").write_text(json.dumps(golden))
    bucket.objects["3/model.tar.gz"] = archive(changed, tmp_path / "three")
    promote(bucket, 3)
    for _ in range(2):
        with pytest.raises(JobError, match="1 of its 20 golden requests differently"):
            backend.look()
        bucket.objects.pop("3/model.tar.gz", None)  # it is not read again
    now = backend.version()
    assert now is not None
    assert now.name == "1"


def test_a_champion_that_cannot_be_downloaded_is_tried_again(bucket: LocalS3) -> None:
    content = bucket.objects.pop("1/model.tar.gz")
    promote(bucket, 1)
    backend = backend_over(bucket)
    with pytest.raises(JobError, match=r"model\.tar\.gz cannot be read"):
        backend.look()
    bucket.objects["1/model.tar.gz"] = content
    backend.look()
    assert backend.swaps == 1


@pytest.fixture
def stubbed() -> Any:
    client = boto3.client("sagemaker-runtime", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    with Stubber(client) as stubber:
        yield client, stubber


@pytest.mark.parametrize(("why", "accept"), [(False, JSON), (True, f"{JSON};explain=true")])
def test_an_endpoint_answers_rows_by_name_and_says_which_variant(
    stubbed: Any, rows: pl.DataFrame, why: bool, accept: str
) -> None:
    client, stubber = stubbed
    body = json.dumps({"predictions": [{"label": "none"}] * 4}).encode()
    stubber.add_response(
        "invoke_endpoint",
        {"Body": StreamingBody(io.BytesIO(body), len(body)), "InvokedProductionVariant": "champion"},
        {
            "EndpointName": "e",
            "Body": json.dumps({"instances": rows.to_dicts()}).encode(),
            "ContentType": JSON,
            "Accept": accept,
            "TargetVariant": "v",
        },
    )
    found = EndpointBackend(client, "e", "v").answer(rows, why=why)
    assert (len(found.answers), found.version.name) == (4, "champion")


@pytest.mark.parametrize(
    ("status", "error"), [(400, BadRequestError), (500, UnavailableError), (503, UnavailableError)]
)
def test_what_the_endpoint_refuses_is_the_callers_and_what_it_fails_at_may_be_tried_again(
    stubbed: Any, rows: pl.DataFrame, status: int, error: type[Exception]
) -> None:
    client, stubber = stubbed
    meta = {"OriginalStatusCode": status, "OriginalMessage": '{"error": "row 1 lacks a column"}'}
    stubber.add_client_error(
        "invoke_endpoint", "ModelError", "it failed", status, response_meta=None, modeled_fields=meta
    )
    with pytest.raises(error, match="row 1 lacks a column" if status == 400 else "did not answer"):
        EndpointBackend(client, "e").answer(rows)
