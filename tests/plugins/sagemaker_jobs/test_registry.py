"""Registration of a version and its group, against stubbed clients."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from botocore.stub import Stubber

from sagemaker_jobs.failures import RequestRefused, Throttled
from sagemaker_jobs.names import client_token
from sagemaker_jobs.registry import RegisterModelOperator

from .conftest import FakeTaskInstance

GROUP = {"ModelPackageGroupName": "pumps"}
PACKAGE = {**GROUP, "ModelApprovalStatus": "PendingManualApproval"}
GROUP_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/pumps"
PACKAGE_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/pumps/7"
REGISTERED = {"arn": PACKAGE_ARN, "group": "pumps", "version": 7, "approval": "PendingManualApproval"}
ASSET = Asset("pumps_package")


@pytest.fixture
def ti() -> FakeTaskInstance:
    return FakeTaskInstance(task_id="register_model")


@pytest.fixture
def register(prepare: Callable[..., Any]) -> RegisterModelOperator:
    def description(context: Any) -> dict[str, str]:
        return {"ModelPackageDescription": f"of {context['ti'].run_id}"}

    operator: RegisterModelOperator = prepare(
        RegisterModelOperator(
            task_id="register_model",
            retries=2,
            group=lambda context: {**GROUP, "Tags": [{"Key": "dag", "Value": context["ti"].dag_id}]},
            request=lambda context: {**PACKAGE, **description(context)},
            outlets=[ASSET],
        )
    )
    return operator


def context_of(ti: FakeTaskInstance) -> dict[str, Any]:
    return {"ti": ti, "outlet_events": {ASSET: SimpleNamespace(extra=None)}}


def expect_no_group(sagemaker: Stubber) -> None:
    sagemaker.add_client_error(
        "describe_model_package_group", "ValidationException", "does not exist", 400, None, GROUP
    )


def expect_group(sagemaker: Stubber) -> None:
    group = {**GROUP, "ModelPackageGroupArn": GROUP_ARN, "CreationTime": datetime.now(UTC), "CreatedBy": {}}
    sagemaker.add_response("describe_model_package_group", {**group, "ModelPackageGroupStatus": "Completed"}, GROUP)


def expect_registration(sagemaker: Stubber, ti: FakeTaskInstance, generation: int = 1) -> None:
    description = {"ModelPackageDescription": f"of {ti.run_id}", "ClientToken": client_token(ti, generation)}
    sagemaker.add_response("create_model_package", {"ModelPackageArn": PACKAGE_ARN}, {**PACKAGE, **description})


def test_the_group_is_made_with_the_first_version(register: Any, ti: FakeTaskInstance, sagemaker: Stubber) -> None:
    expect_no_group(sagemaker)
    group = {**GROUP, "Tags": [{"Key": "dag", "Value": ti.dag_id}]}
    sagemaker.add_response("create_model_package_group", {"ModelPackageGroupArn": GROUP_ARN}, group)
    expect_registration(sagemaker, ti)
    context = context_of(ti)
    assert register.execute(context) == REGISTERED
    assert context["outlet_events"][ASSET].extra == REGISTERED


def test_a_retry_asks_with_the_same_token_and_a_cleared_task_with_another(
    register: Any, ti: FakeTaskInstance, sagemaker: Stubber
) -> None:
    for try_number, max_tries, generation in ((1, 2, 1), (2, 2, 1), (3, 5, 4)):
        ti.try_number, ti.max_tries = try_number, max_tries
        expect_group(sagemaker)
        expect_registration(sagemaker, ti, generation)
        assert register.execute(context_of(ti)) == REGISTERED
    tokens = {client_token(ti, generation) for generation in (1, 4)}
    assert [len(token) for token in tokens] == [36, 36], "no longer than SageMaker accepts"


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDeniedException", RequestRefused), ("ThrottlingException", Throttled)]
)
@pytest.mark.parametrize("operation", ["describe_model_package_group", "create_model_package"])
def test_a_refusal_names_the_group(
    register: Any, ti: FakeTaskInstance, sagemaker: Stubber, operation: str, code: str, expected: type[Exception]
) -> None:
    if operation == "create_model_package":
        expect_group(sagemaker)
    sagemaker.add_client_error(operation, code, "not today", 400)
    with pytest.raises(expected, match=r"refused to register a version of pumps: .*not today"):
        register.execute(context_of(ti))
