"""The operator for batch transform jobs."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTransformOperator
from airflow.sdk import Context

from sagemaker_jobs.base import JobOperator, RequestBuilder
from sagemaker_jobs.hosting import ensure_model
from sagemaker_jobs.kinds import TRANSFORM, Description, JobResult, Request
from sagemaker_jobs.products import unanswered


class TransformJobOperator(JobOperator, SageMakerTransformOperator):
    """A batch transform job. Its Model is created if missing, and kept: all runs of a version share it.

    Args:
        model: like ``request``, for CreateModel: ``model(context, **request_kwargs)``; its ``ModelName`` becomes the
            prefix of the Model's name. The transform's request names no Model.
    """

    kind = TRANSFORM

    def __init__(self, *, model: RequestBuilder, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def _build_request(self, context: Context) -> Request:
        request = super()._build_request(context)
        model = self.model(context, **self.request_kwargs)
        return {**request, "ModelName": ensure_model(self.client, model)}

    def missing(self, description: Description) -> list[str]:
        source = description["TransformInput"]["DataSource"]["S3DataSource"]
        answered = description["TransformOutput"]["S3OutputPath"]
        if source["S3DataType"] != "S3Prefix":
            return []
        found = unanswered(self._client("s3"), source["S3Uri"], answered)
        return [f"{answered.rstrip('/')}/{name}.out" for name in found]

    def result(self, context: Context, description: Description) -> JobResult:
        answered = description["TransformOutput"]["S3OutputPath"]
        return super().result(context, description) | {"model_name": description["ModelName"], "output": answered}
