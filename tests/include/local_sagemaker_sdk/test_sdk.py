"""The SageMaker SDK 3.x against the local SageMaker: its resources, waiters and ModelTrainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.include.local_sagemaker.job_requests import processing, training
from tests.include.local_sagemaker.local_server import IMAGE, ROLE, LocalSageMaker


@pytest.fixture(scope="session")
def resources(server: LocalSageMaker) -> Any:  # the environment must be set before the SDK is imported
    from sagemaker.core import resources

    boto3.client("s3").create_bucket(Bucket="ml-local")
    return resources


def test_a_training_job_is_created_waited_for_and_read(resources: Any) -> None:
    boto3.client("sagemaker").create_training_job(**training("sdk-read", ["echo", "hello"]))
    job = resources.TrainingJob.get(training_job_name="sdk-read", region="us-east-1")
    job.wait(poll=1, timeout=60)
    assert job.training_job_status == "Completed"
    assert job.model_artifacts.s3_model_artifacts == "s3://ml-local/models/sdk-read/output/model.tar.gz"
    assert [item.training_job_name for item in resources.TrainingJob.get_all(name_contains="sdk-read")] == ["sdk-read"]


def test_a_failed_job_raises_with_its_reason(resources: Any) -> None:
    from sagemaker.core.utils.exceptions import FailedStatusError

    request = training("sdk-fails", ["sh", "-c", "echo bad rows > /opt/ml/output/failure; exit 1"])
    boto3.client("sagemaker").create_training_job(**request)
    job = resources.TrainingJob.get(training_job_name="sdk-fails", region="us-east-1")
    with pytest.raises(FailedStatusError, match="bad rows"):
        job.wait(poll=1, timeout=60)


def test_a_processing_job_is_read_and_listed(resources: Any) -> None:
    boto3.client("sagemaker").create_processing_job(**processing("sdk-processing", ["true"]))
    job = resources.ProcessingJob.get(processing_job_name="sdk-processing", region="us-east-1")
    job.wait(poll=1, timeout=60)
    assert job.processing_job_status == "Completed"


def test_an_absent_job_is_a_client_error(resources: Any) -> None:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        resources.TrainingJob.get(training_job_name="absent", region="us-east-1")


def test_model_trainer_runs_a_script(resources: Any, tmp_path: Path) -> None:
    """Its driver reads SageMaker's files, sets the SM_* variables and runs the script."""
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import Compute, SourceCode
    from sagemaker.train import ModelTrainer

    boto3.client("s3").create_bucket(Bucket="sdk-default")
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    boto3.client("iam").create_role(RoleName="sagemaker", AssumeRolePolicyDocument=policy)
    script = (
        "import os; open(os.path.join(os.environ['SM_MODEL_DIR'], 'model.txt'), 'w').write(os.environ['SM_HP_ROUNDS'])"
    )
    (tmp_path / "train.py").write_text(script)
    trainer = ModelTrainer(
        sagemaker_session=Session(boto3.session.Session(), default_bucket="sdk-default"),
        role=ROLE,
        base_job_name="sdk-trainer",
        training_image=IMAGE,
        source_code=SourceCode(source_dir=str(tmp_path), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"rounds": "7"},
    )
    trainer.train(wait=False, logs=False)
    [job] = resources.TrainingJob.get_all(name_contains="sdk-trainer")
    job.wait(poll=1, timeout=60)
    job.refresh()
    assert job.training_job_status == "Completed"
    assert job.model_artifacts.s3_model_artifacts.startswith("s3://sdk-default/")
