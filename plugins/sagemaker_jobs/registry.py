"""The operator that registers model packages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from botocore.exceptions import ClientError

from sagemaker_jobs.base import RequestBuilder, RequestOperator
from sagemaker_jobs.failures import is_absent, refused
from sagemaker_jobs.kinds import Json, Request
from sagemaker_jobs.names import client_token

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient


class RegisterModelOperator(RequestOperator):
    """Registers a model package, and creates its group if needed. Retries find the same version again.

    Returns ``{"arn", "group", "version", "approval"}``; the events of the task's outlets carry the same.

    Args:
        group: like ``request``, for the group: ``group(context)``.

    Raises:
        RequestRefused: SageMaker refuses the request; not retried.
    """

    def __init__(self, *, group: RequestBuilder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group

    def execute(self, context: Context) -> Json:
        request = self._build_request(context)
        group = self.group(context)
        client = self.client
        try:
            self._ensure_group(client, group)
            arn = client.create_model_package(
                **request,
                ClientToken=client_token(context["ti"], self._generation(context)),
            )["ModelPackageArn"]
        except ClientError as error:
            raise refused(f"register a version of {group['ModelPackageGroupName']}", error) from error
        version = int(arn.rsplit("/", 1)[1])
        self.log.info("registered %s as version %d", arn, version)
        registered = {
            "arn": arn,
            "group": group["ModelPackageGroupName"],
            "version": version,
            "approval": request["ModelApprovalStatus"],
        }
        for outlet in self.outlets:
            context["outlet_events"][outlet].extra = registered
        return registered

    def _ensure_group(self, client: SageMakerClient, group: Request) -> None:
        try:
            client.describe_model_package_group(ModelPackageGroupName=group["ModelPackageGroupName"])
        except ClientError as error:
            if not is_absent(error):
                raise
            client.create_model_package_group(**group)
            self.log.info("created model package group %s", group["ModelPackageGroupName"])
