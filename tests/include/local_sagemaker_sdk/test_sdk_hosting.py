"""The SageMaker SDK 3.x's resources for the registry, endpoints, transform and tuning jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.local_server import IMAGE, ROLE, LocalSageMaker

REGION = "us-east-1"


@pytest.fixture(scope="module")
def hosting(server: LocalSageMaker) -> Hosting:
    hosting = Hosting(server)
    hosting.upload_artifact()
    return hosting


@pytest.fixture
def resources(server: LocalSageMaker) -> Any:  # the environment must be set before the SDK is imported
    from sagemaker.core import resources

    return resources


def test_packages_are_registered_listed_and_approved(hosting: Hosting, resources: Any) -> None:
    group = hosting.name("sdk-group")
    resources.ModelPackageGroup.create(model_package_group_name=group, region=REGION)
    specification = {"Containers": [{"Image": IMAGE, "ModelDataUrl": ARTIFACT}], "SupportedContentTypes": ["text/csv"]}
    # not ModelPackage.create: SDK 3.27 reads a name that the API's answer does not have
    created = hosting.sagemaker.create_model_package(ModelPackageGroupName=group, InferenceSpecification=specification)
    package = resources.ModelPackage.get(model_package_name=created["ModelPackageArn"], region=REGION)
    assert package.model_package_version == 1
    assert package.model_approval_status == "PendingManualApproval"
    package.update(model_approval_status="Approved", approval_description="all gates passed")
    package.refresh()
    assert (package.model_approval_status, package.approval_description) == ("Approved", "all gates passed")
    found = resources.ModelPackage.get_all(model_package_group_name=group, model_approval_status="Approved")
    assert [one.model_package_arn for one in found] == [package.model_package_arn]


def test_an_endpoint_is_waited_for_and_invoked(hosting: Hosting, resources: Any) -> None:
    config = hosting.config(hosting.model())
    name = hosting.name("sdk-endpoint")
    endpoint = resources.Endpoint.create(endpoint_name=name, endpoint_config_name=config, region=REGION)
    endpoint.wait_for_status("InService", poll=1, timeout=60)
    answer = endpoint.invoke(body=b"1,2,3", content_type="text/csv")
    assert answer.body.read() == b"1,2,3"
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=30)


def test_a_transform_job_is_waited_for(hosting: Hosting, resources: Any) -> None:
    from tests.include.local_sagemaker.jobs.test_transform import Transforms

    transforms = Transforms(hosting)
    request = transforms.request(transforms.put(a_csv=b"1,2\n"))
    hosting.sagemaker.create_transform_job(**request)
    job = resources.TransformJob.get(transform_job_name=request["TransformJobName"], region=REGION)
    job.wait(poll=1, timeout=60)
    assert job.transform_job_status == "Completed"
    assert transforms.outputs(request["TransformJobName"]) == {"a.csv.out": b"3.0\n"}


def test_a_tuning_job_is_waited_for(hosting: Hosting, resources: Any) -> None:
    from tests.include.local_sagemaker.jobs.test_tuning import GRID, tuning_request

    name = hosting.name("sdk-tune")
    hosting.sagemaker.create_hyper_parameter_tuning_job(**tuning_request(name, GRID, "Grid"))
    job = resources.HyperParameterTuningJob.get(hyper_parameter_tuning_job_name=name, region=REGION)
    job.wait(poll=1, timeout=60)
    assert job.best_training_job.tuned_hyper_parameters == {"x": "0.3", "n": "5"}
    assert len(list(job.get_all_training_jobs())) == 6
    assert job.training_job_definition.role_arn == ROLE
    assert Path(job.best_training_job.training_job_arn).name == job.best_training_job.training_job_name
