"""The provider's operators and sensors for models, endpoints, transform, tuning and the registry, in both modes."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import MagicMock

import pytest
from airflow.providers.amazon.aws.operators.sagemaker import (
    SageMakerDeleteModelOperator,
    SageMakerEndpointConfigOperator,
    SageMakerEndpointOperator,
    SageMakerModelOperator,
    SageMakerRegisterModelVersionOperator,
    SageMakerTransformOperator,
    SageMakerTuningOperator,
)
from airflow.providers.amazon.aws.sensors.sagemaker import (
    SageMakerEndpointSensor,
    SageMakerTransformSensor,
    SageMakerTuningSensor,
)
from airflow.providers.amazon.aws.utils.sagemaker import ApprovalStatus
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.jobs.test_transform import Transforms
from tests.include.local_sagemaker.jobs.test_tuning import GRID, tuning_request
from tests.include.local_sagemaker.local_server import CREDENTIALS, IMAGE, ROLE

CONNECTION: dict[str, Any] = {"aws_conn_id": None, "region_name": "us-east-1"}


@pytest.fixture(autouse=True)
def _environment(hosting: Hosting, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": hosting.url}.items():
        monkeypatch.setenv(key, value)


def _execute(operator: Any, *, deferred: bool) -> dict[str, Any]:
    """The operator's result; a deferred operator's trigger runs here as in the triggerer."""
    context = {"ti": MagicMock()}
    if not deferred:
        result: dict[str, Any] = operator.execute(context)
        return result
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context)

    async def first_event() -> Any:
        async for event in deferral.value.trigger.run():
            return event.payload
        return None

    resumed: dict[str, Any] = getattr(operator, deferral.value.method_name)(context, event=asyncio.run(first_event()))
    return resumed


def _variant(model: str) -> dict[str, Any]:
    return {"VariantName": "AllTraffic", "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}


@pytest.mark.parametrize("deferred", [False, True])
def test_model_to_endpoint_and_its_update(hosting: Hosting, deferred: bool) -> None:
    endpoint = hosting.name("endpoint")
    for word in ("first", "second"):
        model, config = hosting.name("model"), hosting.name("config")
        container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT, "Environment": {"MODE": "name", "NAME": word}}
        made = SageMakerModelOperator(
            task_id="model",
            config={"ModelName": model, "ExecutionRoleArn": ROLE, "PrimaryContainer": container},
            **CONNECTION,
        ).execute({})
        assert made["Model"]["ModelName"] == model
        configured = SageMakerEndpointConfigOperator(
            task_id="config",
            config={"EndpointConfigName": config, "ProductionVariants": [_variant(model)]},
            **CONNECTION,
        ).execute({})
        assert configured["EndpointConfig"]["EndpointConfigName"] == config
        # the second time the operator falls back from create to update
        operator = SageMakerEndpointOperator(
            task_id="endpoint",
            config={"EndpointName": endpoint, "EndpointConfigName": config},
            check_interval=1,
            deferrable=deferred,
            **CONNECTION,
        )
        result = _execute(operator, deferred=deferred)
        assert result["Endpoint"]["EndpointStatus"] == "InService"
        assert result["Endpoint"]["EndpointConfigName"] == config
        assert hosting.invoke(endpoint) == word.encode()
    SageMakerEndpointSensor(task_id="sense", endpoint_name=endpoint, poke_interval=1, **CONNECTION).execute({})
    SageMakerDeleteModelOperator(task_id="delete", config={"ModelName": model}, **CONNECTION).execute({})
    with pytest.raises(hosting.sagemaker.exceptions.ClientError, match="Could not find model"):
        hosting.sagemaker.describe_model(ModelName=model)


def test_an_endpoint_that_fails_fails_the_operator(hosting: Hosting) -> None:
    config = hosting.config(hosting.model(MODE="exit"))
    operator = SageMakerEndpointOperator(
        task_id="endpoint",
        config={"EndpointName": hosting.name("endpoint"), "EndpointConfigName": config},
        check_interval=1,
        deferrable=True,
        **CONNECTION,
    )
    with pytest.raises(AirflowException, match="endpoint"):
        _execute(operator, deferred=True)


@pytest.mark.parametrize("deferred", [False, True])
def test_transform(hosting: Hosting, deferred: bool) -> None:
    transforms = Transforms(hosting)
    # long enough for the operator to defer
    source = transforms.put(a_csv=b"sleep2\n" if deferred else b"1,2\n")
    config = transforms.request(source, model=transforms.model, instances=1)
    operator = SageMakerTransformOperator(
        task_id="transform", config=config, check_interval=1, deferrable=deferred, **CONNECTION
    )
    result = _execute(operator, deferred=deferred)
    assert result["Transform"]["TransformJobStatus"] == "Completed"
    assert result["Model"]["ModelName"] == transforms.model
    assert list(transforms.outputs(config["TransformJobName"])) == ["a.csv.out"]
    name = config["TransformJobName"]
    SageMakerTransformSensor(task_id="sense", job_name=name, poke_interval=1, **CONNECTION).execute({})


def test_a_transform_that_fails_says_so(hosting: Hosting) -> None:
    transforms = Transforms(hosting)
    config = transforms.request(transforms.put(a_csv=b"bad\n"))
    operator = SageMakerTransformOperator(task_id="transform", config=config, check_interval=1, **CONNECTION)
    with pytest.raises(AirflowException, match="See job logs for more information"):
        _execute(operator, deferred=False)


@pytest.mark.parametrize("deferred", [False, True])
def test_tuning(hosting: Hosting, deferred: bool) -> None:
    name = hosting.name("tune")
    config = tuning_request(name, GRID, "Grid", static={"seconds": "0.3"})
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/serving/"}
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    config["TrainingJobDefinition"]["InputDataConfig"] = [channel]  # the provider requires it
    operator = SageMakerTuningOperator(
        task_id="tune", config=config, check_interval=1, deferrable=deferred, **CONNECTION
    )
    result = _execute(operator, deferred=deferred)
    assert result["Tuning"]["HyperParameterTuningJobStatus"] == "Completed"
    assert result["Tuning"]["BestTrainingJob"]["TunedHyperParameters"] == {"x": "0.3", "n": "5"}
    SageMakerTuningSensor(task_id="sense", job_name=name, poke_interval=1, **CONNECTION).execute({})


def test_registering_versions(hosting: Hosting) -> None:
    group = hosting.name("group")
    arns = [
        SageMakerRegisterModelVersionOperator(
            task_id="register",
            image_uri=IMAGE,
            model_url=ARTIFACT,
            package_group_name=group,
            model_approval=ApprovalStatus.PENDING_MANUAL_APPROVAL,
            **CONNECTION,
        ).execute({})
        for _ in range(2)
    ]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2"]
    package = hosting.sagemaker.describe_model_package(ModelPackageName=arns[1])
    assert package["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_registration_without_its_artifact_fails_and_leaves_no_group(hosting: Hosting) -> None:
    group = hosting.name("group")
    operator = SageMakerRegisterModelVersionOperator(
        task_id="register",
        image_uri=IMAGE,
        model_url=f"s3://{BUCKET}/nowhere/model.tar.gz",
        package_group_name=group,
        **CONNECTION,
    )
    with pytest.raises(hosting.sagemaker.exceptions.ClientError, match="Could not find model data"):
        operator.execute({})
    with pytest.raises(hosting.sagemaker.exceptions.ClientError, match="does not exist"):
        hosting.sagemaker.describe_model_package_group(ModelPackageGroupName=group)
