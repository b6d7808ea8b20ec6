"""A file of the inbox from its arrival to its scores, with S3 and the registry of a local AWS."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException
from botocore.exceptions import ClientError

from include.models.config.files import PARTS
from include.platform.environment import EXAMPLE, MlEnvironment
from include.platform.errors import PermanentError
from include.platform.outbox import Outbox
from include.platform.storage import production_history, split_uri
from include.score import file_plan, file_tasks
from include.score.file_plan import FileRef
from include.score.file_tasks import FileRefusedError
from sagemaker_jobs.arrivals import ObjectArrivalTrigger
from tests.include.local_aws import LocalS3
from tests.include.score.tabular_classifier_days import BUCKET, MODEL

KEY, FILE = f"inbox/{MODEL.name}/rows.csv", "rows.csv"
ARRIVALS = Asset("inbox")
ENVIRONMENT = MlEnvironment.model_validate_json(EXAMPLE)
RESULT = {
    "passed": True,
    "summary": "The data can be used.",
    "rows": 7,
    "tables": {"rows": {"rejected": 1}},
    "files": {"ai4i2020.csv": "abc"},
    "shards": 1,
    "answered_by": "",
}


@pytest.fixture(autouse=True)
def s3(in_production: LocalS3) -> LocalS3:
    return in_production


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    messages: list[str] = []
    monkeypatch.setattr(file_tasks, "notify", lambda subject, message, **_: messages.append(f"{subject}\n{message}"))
    return messages


def etag(s3: LocalS3, key: str = KEY) -> str:
    return str(s3.head_object(Bucket=BUCKET, Key=key)["ETag"]).strip('"')


def context(*arrived: dict[str, str], run: str = "run", **params: Any) -> Any:
    events = {ARRIVALS: [SimpleNamespace(extra={"payload": event}) for event in arrived]} if arrived else {}
    return {
        "params": {"model": None, "file": None, "mode": "by size", "again": False, **params},
        "ti": SimpleNamespace(dag_id="score_file", run_id=run),
        "triggering_asset_events": events,
    }


def arrival(s3: LocalS3, key: str = KEY) -> dict[str, str]:
    return {"bucket": BUCKET, "key": key, "etag": etag(s3, key)}


def found(given: Any) -> list[FileRef]:
    return file_tasks.find_files(ARRIVALS, given)


def scored(s3: LocalS3, given: Any, ref: FileRef, **more: Any) -> Any:
    """Write the job's output; its result."""
    _, run, _ = file_tasks.planned_file(given, ref)
    staged, report = (split_uri(uri)[1] for uri in (run.staged_scores("score_file"), run.report("score_file")))
    part = {"name": "shard-00000.parquet", "rows": 7, "bytes": 6, "sha256": "0123456789abcdef"}
    s3.objects[f"{staged}/shard-00000.parquet"] = b"scores"
    s3.objects[f"{staged}/{PARTS}"] = json.dumps({"parts": [part]}).encode()
    s3.objects[f"{report}/quarantine/rows.csv"] = b"a bad row"
    return {"name": "job", "result": {**RESULT, **more}}


def manifest(s3: LocalS3, file: str = FILE) -> dict[str, Any]:
    return dict(json.loads(s3.objects[split_uri(Outbox(BUCKET, MODEL.name, file).manifest)[1]]))


def test_a_file_is_scored_and_told_of_once_however_often_it_is_delivered(s3: LocalS3, told: list[str]) -> None:
    s3.objects[KEY] = b"rows"
    given = context(arrival(s3), arrival(s3))
    (ref,) = found(given)
    assert (ref["model"], ref["file"], ref["mode"]) == (MODEL.name, FILE, "job")
    request = file_tasks.score_file(given, file=ref)
    assert "artifact" in request["AppSpecification"]["ContainerArguments"]
    sources = [one["S3Input"]["S3Uri"] for one in request["ProcessingInputs"]]
    assert "s3://bucket/1/model.tar.gz" in sources
    _, run, _ = file_tasks.planned_file(given, ref)
    assert json.loads(s3.objects[split_uri(run.inputs)[1]]) == [{"prefix": f"s3://{BUCKET}/inbox/{MODEL.name}/"}, FILE]
    job = scored(s3, given, ref)
    with pytest.raises(AirflowSkipException):
        file_tasks.score(given, file=ref, scored=job)
    file_tasks.publish_file(given, file=ref, scored=job, checked=None)
    kept = manifest(s3)
    assert (kept["passed"], kept["rows"], kept["version"], kept["answered_by"]) == (True, 7, "1", "job")
    assert [s3.objects[key] for key in (*kept["scores"], *kept["quarantine"])] == [b"scores", b"a bad row"]
    assert "7 scores of version 1, 1 rows rejected" in told[0]
    # delivered again, to another run and to one that had already planned it
    assert found(context(arrival(s3), run="another")) == []
    with pytest.raises(AirflowSkipException):
        file_tasks.publish_file({**given, "ti": SimpleNamespace(dag_id="score_file", run_id="2")}, file=ref,
                                scored=job, checked=None) if _planned_by(s3, given, ref, "2") else None  # fmt: skip
    assert len(told) == 1
    # cleared: the same result
    file_tasks.publish_file(given, file=ref, scored=job, checked=None)
    assert manifest(s3) == kept
    # replaced: the old event is ignored, the new file is scored
    before = arrival(s3)
    s3.objects[KEY] = b"other rows"
    assert found(context(before, run="late")) == []
    assert len(found(context(arrival(s3), run="next"))) == 1


def _planned_by(s3: LocalS3, given: Any, ref: FileRef, run: str) -> bool:
    """Copy the plan into another run's folder, as if it had planned the file before it was done."""
    _, own, plan = file_tasks.planned_file(given, ref)
    other = file_plan.file_run(BUCKET, "score_file", run, ref)
    s3.objects[split_uri(other.plan)[1]] = plan.model_dump_json().encode()
    return own != other


def test_a_large_file_goes_to_a_transform_job_and_a_person_chooses(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.objects[KEY] = b"rows"
    given = context(model=MODEL.name, file=FILE, mode="transform")
    (ref,) = found(given)
    assert "later" in file_tasks.score_file(given, file=ref)["AppSpecification"]["ContainerArguments"]
    job = scored(s3, given, ref)
    _, run, _ = file_tasks.planned_file(given, ref)
    transform = file_tasks.score(given, file=ref, scored=job)
    assert transform["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == run.day_rows
    assert run.day_rows.startswith(run.day_features)
    assert file_tasks.hosted_model(given, file=ref, scored=job)["PrimaryContainer"]["Image"] == "image:1"
    with pytest.raises(AirflowSkipException):
        file_tasks.score(given, file=ref, scored=scored(s3, given, ref, passed=False))
    checks = file_tasks.validate_scores(given, file=ref)
    outputs = {one["OutputName"]: one["S3Output"]["S3Uri"] for one in checks["ProcessingOutputConfig"]["Outputs"]}
    s3.objects[f"{split_uri(outputs['scores'])[1]}/shard-00000.parquet"] = b"checked"
    s3.objects[f"{split_uri(outputs['scores'])[1]}/{PARTS}"] = json.dumps(
        {"parts": [{"name": "shard-00000.parquet", "rows": 7, "bytes": 7, "sha256": "0"}]}
    ).encode()
    verdict = {"result": {"passed": True, "summary": "scores are fine", "rows": 7}}
    file_tasks.publish_file(given, file=ref, scored=job, checked=verdict)  # type: ignore[arg-type]
    assert s3.objects[manifest(s3)["scores"][0]] == b"checked"
    # by size, as the form says nothing
    monkeypatch.setattr(file_plan, "text_bytes", lambda *_: 65 * 2**20)
    s3.objects[f"inbox/{MODEL.name}/large.csv"] = b"rows"
    assert [one["mode"] for one in found(context(arrival(s3, f"inbox/{MODEL.name}/large.csv")))] == ["transform"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("empty", "an empty file"),
        ("encrypted", "encrypted with a key"),
        ("nothing in production", "no version of tabular_classifier is in production"),
        ("no endpoint", "endpoint tabular-classifier-production does not exist"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_a_job_is_paid(
    change: str, words: str, s3: LocalS3, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.objects[KEY] = b"" if change == "empty" else b"rows"
    event = arrival(s3)
    if change == "nothing in production":
        del s3.objects[split_uri(production_history(BUCKET, MODEL.name))[1]]
    if change == "encrypted":

        def denied(**_: str) -> None:
            raise ClientError({"Error": {"Code": "403"}}, "HeadObject")

        monkeypatch.setattr(s3, "head_object", denied, raising=False)
    given = context(event, mode="endpoint" if change == "no endpoint" else "by size")
    (ref,) = found(given)
    with pytest.raises(AirflowSkipException):
        file_tasks.score_file(given, file=ref)
    with pytest.raises(FileRefusedError, match=words):
        file_tasks.publish_file(given, file=ref, scored=None, checked=None)
    assert not manifest(s3)["passed"]
    assert words in told[0]
    if change != "nothing in production":
        assert found(context(event, run="again")) == []


def test_bad_data_has_a_manifest_and_people_are_told_once(s3: LocalS3, told: list[str]) -> None:
    s3.objects[KEY] = b"rows"
    given = context(arrival(s3))
    (ref,) = found(given)
    job = scored(s3, given, ref, passed=False, rows=0, summary="no such column Torque")
    with pytest.raises(FileRefusedError, match="no such column Torque") as caught:
        file_tasks.publish_file(given, file=ref, scored=job, checked=None)
    assert (manifest(s3)["passed"], manifest(s3)["scores"], len(told)) == (False, [], 1)
    file_tasks.tell_failure({MODEL.name: "owner"}, {"exception": caught.value})  # type: ignore[typeddict-item]
    assert len(told) == 1


def test_a_person_without_a_file_has_all_that_is_not_done_and_one_that_is_wrong_is_told(s3: LocalS3) -> None:
    for name in ("a.csv", "b.csv"):
        s3.objects[f"inbox/{MODEL.name}/{name}"] = b"rows"
    given = context(model=MODEL.name)
    refs = found(given)
    assert [ref["file"] for ref in refs] == ["a.csv", "b.csv"]
    file_tasks.publish_file(given, file=refs[0], scored=scored(s3, given, refs[0]), checked=None)
    assert [ref["file"] for ref in found(context(model=MODEL.name, run="2"))] == ["b.csv"]
    assert len(found(context(model=MODEL.name, run="3", again=True))) == 2
    for params, words in (
        ({}, "names no model"),
        ({"model": MODEL.name, "file": "c.csv"}, "does not exist"),
        ({"model": MODEL.name, "file": "a.csv"}, "is done"),
    ):
        with pytest.raises(PermanentError, match=words):
            found(context(**params))


def test_the_trigger_takes_what_eventbridge_sends() -> None:
    """As AWS documents the event."""
    detail = {"bucket": {"name": "b"}, "object": {"key": "inbox/m/a b.csv", "size": 1, "etag": "abc", "sequencer": "1"}}
    body = json.dumps({"detail-type": "Object Created", "source": "aws.s3", "detail": detail})
    assert ObjectArrivalTrigger.event_of(body) == {"bucket": "b", "key": "inbox/m/a b.csv", "etag": "abc"}


def test_a_rule_lets_through_what_comes_into_the_inbox_alone() -> None:
    from include.ops.mwaa import templates
    from include.score.inbox_events import event_pattern

    rule = templates.read("inbox")["Resources"]["ArrivalRule"]["Properties"]["EventPattern"]
    assert rule["detail"]["object"] == event_pattern("b")["detail"]["object"]
