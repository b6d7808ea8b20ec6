"""A model in production with raw data, on the S3 and registry of a local AWS, to test the scoring of its days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from include.platform.environment import EXAMPLE
from include.platform.storage import production_history, split_uri
from include.registry.history import Entry, History, promote
from tests.include.fake_clients import answer_from
from tests.include.local_aws import LocalS3, registered_versions
from tests.include.local_sagemaker.local_server import LocalSageMaker


@pytest.fixture(scope="module")
def registry(local_aws: LocalSageMaker) -> Iterator[Any]:
    from tests.include.score.tabular_classifier_days import GROUP  # a copy of the repository may not have the model

    with registered_versions(local_aws, GROUP, 1) as sagemaker:
        yield sagemaker


@pytest.fixture
def in_production(ml_bucket: LocalS3, registry: Any, monkeypatch: pytest.MonkeyPatch) -> LocalS3:
    """Three days of raw data, and version 1 in production."""
    from tests.include.score.tabular_classifier_days import BUCKET, DAYS_THERE, GROUP, MODEL, raw_key

    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", EXAMPLE)
    answer_from(monkeypatch, s3=ml_bucket, sagemaker=registry)
    entry = Entry(
        version=1,
        model_package_arn=f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{GROUP}/1",
        artifact="s3://bucket/1/model.tar.gz",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        endpoint_config="config",
        dag_id="deploy",
        run_id="run",
    )
    history = promote(History(), entry).model_dump_json(by_alias=True)
    ml_bucket.objects[split_uri(production_history(BUCKET, MODEL.name))[1]] = history.encode()
    for day in DAYS_THERE:
        ml_bucket.objects[raw_key(day)] = b"rows"
    return ml_bucket
