"""``--quota`` and ``--rate``: requests beyond them are refused with AWS's messages."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting, hosting_server
from tests.include.local_sagemaker.job_requests import finished_processing, finished_training, processing, training
from tests.include.local_sagemaker.jobs.test_tuning import RANGES, tuning_request
from tests.include.local_sagemaker.local_server import ROOT, until

QUOTAS = "processing=4,training/ml.m5.large=2,spot=0,transform=1,endpoint/ml.m5.large=2,endpoint/ml.c5.xlarge=0"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    running = hosting_server(
        tmp_path_factory.mktemp("limited"), "--quota", QUOTAS, "--rate", "DescribeModel=3,List*=1000"
    )
    running.start()
    hosting = Hosting(running)
    hosting.upload_artifact()
    yield hosting
    assert running.stop() == 0
    assert "Traceback" not in running.log, running.log


def _refusal(call: Callable[..., Any], **request: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**request)
    assert refused.value.response["Error"]["Code"] == "ResourceLimitExceeded"
    return str(refused.value.response["Error"]["Message"])


def test_instances_of_all_types_together(limited: Hosting) -> None:
    sagemaker = limited.sagemaker
    sagemaker.create_processing_job(**processing("three", ["sleep", "60"], instances=3))
    message = _refusal(sagemaker.create_processing_job, **processing("two", ["true"], instances=2))
    assert message.startswith(
        "The account-level service limit 'Number of instances across all processing jobs' is 4 Instances, with current "
        "utilization of 3 Instances and a request delta of 2 Instances. Please use AWS Service Quotas"
    )
    sagemaker.stop_processing_job(ProcessingJobName="three")
    finished_processing(sagemaker, "three")
    sagemaker.create_processing_job(**processing("two", ["true"], instances=2))


def test_of_many_at_once_only_those_that_fit_are_created(limited: Hosting) -> None:
    def create(number: int) -> str:
        try:
            limited.sagemaker.create_training_job(**training(f"race-{number}", ["sleep", "60"]))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(8)))
    assert sorted(outcomes) == ["ResourceLimitExceeded"] * 6 + ["created"] * 2
    for number in (number for number, outcome in enumerate(outcomes) if outcome == "created"):
        limited.sagemaker.stop_training_job(TrainingJobName=f"race-{number}")


def test_each_instance_type_has_its_own(limited: Hosting) -> None:
    other = training("other", ["true"])
    other["ResourceConfig"]["InstanceType"] = "ml.c5.xlarge"
    limited.sagemaker.create_training_job(**other)
    spot = {"EnableManagedSpotTraining": True}
    request = training("spot", ["true"], **spot)
    request["StoppingCondition"]["MaxWaitTimeInSeconds"] = 3600
    assert "across all spot training jobs' is 0 Instances" in _refusal(limited.sagemaker.create_training_job, **request)


def test_transform(limited: Hosting) -> None:
    request = {
        "TransformJobName": "two-instances",
        "ModelName": limited.model(),
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": ARTIFACT}}},
        "TransformOutput": {"S3OutputPath": "s3://ml-local/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
    }
    assert "across all transform jobs' is 1 Instances" in _refusal(limited.sagemaker.create_transform_job, **request)


def test_endpoints_need_both_fleets_for_an_update(limited: Hosting) -> None:
    sagemaker, model = limited.sagemaker, limited.model(MODE="echo")
    sagemaker.create_endpoint_config(
        EndpointConfigName="none",
        ProductionVariants=[
            {"VariantName": "A", "ModelName": model, "InstanceType": "ml.c5.xlarge", "InitialInstanceCount": 1}
        ],
    )
    message = _refusal(sagemaker.create_endpoint, EndpointName="none", EndpointConfigName="none")
    assert message.startswith("The account-level service limit 'ml.c5.xlarge for endpoint usage' is 0 Instances")
    endpoint = limited.endpoint(limited.config(model))
    two = limited.config(model, instances=2)
    assert "utilization of 1 Instances and a request delta of 2" in _refusal(
        sagemaker.update_endpoint, EndpointName=endpoint, EndpointConfigName=two
    )
    sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=limited.config(model))
    assert limited.settled(endpoint)["EndpointStatus"] == "InService"
    wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 3}]
    assert "a request delta of 2" in _refusal(
        sagemaker.update_endpoint_weights_and_capacities, EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
    )
    sagemaker.delete_endpoint(EndpointName=endpoint)


def test_more_calls_than_the_rate_are_throttled(limited: Hosting) -> None:
    model = limited.model()
    codes = []
    for _ in range(10):
        try:
            limited.sagemaker.describe_model(ModelName=model)
        except ClientError as error:
            codes.append((error.response["Error"]["Code"], error.response["Error"]["Message"]))
    assert set(codes) == {("ThrottlingException", "Rate exceeded")}
    assert 4 <= len(codes) <= 7
    for _ in range(20):  # other operations have separate buckets
        limited.sagemaker.list_models()


def test_a_tuning_job_needs_room_for_what_runs_at_once_and_waits_when_others_take_it(limited: Hosting) -> None:
    sagemaker = limited.sagemaker
    request = tuning_request("three-at-once", RANGES, parallel=3)
    message = _refusal(sagemaker.create_hyper_parameter_tuning_job, **request)
    assert "'ml.m5.large for training job usage' is 2 Instances" in message
    assert "a request delta of 3 Instances" in message

    sagemaker.create_training_job(**training("first", ["sleep", "60"]))
    sagemaker.create_hyper_parameter_tuning_job(**tuning_request("waiting", RANGES, parallel=1, most=8))

    def taken() -> bool:
        """Take the last instance between two training jobs of the search."""
        try:
            sagemaker.create_training_job(**training("second", ["sleep", "60"]))
        except ClientError:
            return False
        return True

    def status() -> str:
        found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="waiting")
        return str(found["HyperParameterTuningJobStatus"])

    until(taken)
    time.sleep(1)
    assert status() == "InProgress", "it waits"
    for name in ("first", "second"):
        sagemaker.stop_training_job(TrainingJobName=name)
        finished_training(sagemaker, name)
    until(lambda: status() == "Completed", 90)


@pytest.mark.parametrize("option", ["--quota=processing", "--quota=notebook=1", "--rate=Describe*", "--rate=x=0"])
def test_options_that_cannot_be_read_say_so(option: str) -> None:
    python = ROOT / ".venv" / "local_sagemaker" / "bin" / "python"
    command = [str(python), "-m", "include.local_sagemaker", "--state", "/nonexistent", option]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"'{option.partition('=')[2]}'" in done.stderr


def test_no_instances_are_refused(limited: Hosting) -> None:
    with pytest.raises(ClientError, match=r"ValidationException.*InstanceCount must be at least 1"):
        limited.sagemaker.create_training_job(**training("zero", ["true"], instances=0))
