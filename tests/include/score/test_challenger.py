"""A candidate that scores a day next to production: which one, and where its scores are stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from include.models.config.files import CHALLENGER, CHALLENGER_ROWS
from include.platform.storage import challenger_folder, split_uri
from include.registry.versions import VersionError, keep_decision
from include.score import tasks
from include.score.challenger import choose_challenger
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker
from tests.include.score.tabular_classifier_days import GROUP, MODEL
from tests.include.score.test_tasks import DAY, VERDICT, context, folder, job, stage

WITH = MODEL.model_copy(update={"challenger": True})


@pytest.fixture(scope="module")
def registry(local_aws: LocalSageMaker) -> Iterator[Any]:
    with registered_versions(local_aws, GROUP, 3) as sagemaker:
        yield sagemaker


@pytest.fixture(autouse=True)
def s3(in_production: LocalS3, registry: Any, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    answer_from(monkeypatch, s3=in_production, sagemaker=registry)
    return in_production


def chosen(s3: Any, registry: Any, *, asked: int | None = None, scored_with: int = 1, model: Any = WITH) -> int | None:
    found = choose_challenger(model, s3, registry, asked=asked, scored_with=scored_with)
    return found and found.version


def test_it_is_the_newest_candidate_or_the_version_asked_for(s3: LocalS3, registry: Any) -> None:
    assert chosen(s3, registry) == 3
    assert chosen(s3, registry, model=MODEL) is None, "model.yaml does not ask for it"
    assert chosen(s3, registry, model=MODEL, asked=2) == 2
    assert chosen(s3, registry, asked=1) is None, "the day is scored with it"
    assert chosen(s3, registry, scored_with=3) is None
    with pytest.raises(VersionError, match="no version 9"):
        chosen(s3, registry, asked=9)


def test_one_that_a_person_declined_is_none(s3: LocalS3, registry: Any) -> None:
    arn = registry.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
    newest = max(arn, key=lambda one: one["ModelPackageVersion"])["ModelPackageArn"]
    keep_decision(registry, newest, {"decision": "not promoted", "by": "ann", "at": "now"}, promoted=False)
    assert chosen(s3, registry) == 2


def test_it_takes_no_extra_job_and_changes_nothing_that_is_published(s3: LocalS3) -> None:
    tasks.plan_day(MODEL, context())
    alone = tasks.planned_day(context())[2].digest
    tasks.plan_day(MODEL, context(challenger=2))
    run, plan = tasks.planned_day(context())[1:]
    assert plan.digest == alone
    request = tasks.score_day(MODEL, context())
    inputs = {each["InputName"]: each["S3Input"]["S3Uri"] for each in request["ProcessingInputs"]}
    outputs = {each["OutputName"]: each["S3Output"]["S3Uri"] for each in request["ProcessingOutputConfig"]["Outputs"]}
    assert (inputs["challenger"], outputs["beside"]) == ("s3://bucket/2/model.tar.gz", run.challenger)
    stage(s3, folder(context()).staged_scores("score_day"))
    for name in (CHALLENGER, CHALLENGER_ROWS):
        s3.objects[f"{split_uri(run.challenger)[1]}/{name}"] = json.dumps({"rows": 7}).encode()
    published = tasks.publish_scores(MODEL, context(), jobs={"score_day": job(**VERDICT)})
    assert published["model_version"] == 1
    kept = challenger_folder(MODEL.name, DAY, 2)
    assert sorted(key for key in s3.objects if key.startswith(kept)) == [kept + CHALLENGER, kept + CHALLENGER_ROWS]


def test_a_day_of_several_jobs_is_scored_without(s3: LocalS3) -> None:
    tasks.plan_day(MODEL, context(challenger=2, several_jobs=True))
    assert tasks.planned_day(context())[2].challenger is None
