"""The values of --start-up."""

from __future__ import annotations

import pytest

from include.local_sagemaker.core.start_up import AWS, StartUp
from include.local_sagemaker.core.store import PROCESSING_JOB, TRANSFORM_JOB, TUNING_JOB


def test_a_set_with_exceptions_and_a_factor() -> None:
    start_up = StartUp.parse("aws,processing=60", 0.5)
    assert start_up.of_job(PROCESSING_JOB) == 30
    assert start_up.of_job(TRANSFORM_JOB) == AWS["transform"] / 2
    assert start_up.of_job(TUNING_JOB) == 0, "its training jobs have start-up times, the tuning job has none"
    assert start_up.of("serverless") == AWS["serverless"] / 2
    assert start_up.of_warm_training < start_up.of("training") / 5


def test_none_by_default() -> None:
    assert StartUp().of_job(PROCESSING_JOB) == StartUp().of_warm_training == 0


@pytest.mark.parametrize(
    "text", ["aws=5", "procesing=5", "processing", "processing=-1", "processing=1e9", "endpoint=x"]
)
def test_what_is_wrong_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        StartUp.parse(text)
