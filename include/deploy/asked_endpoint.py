"""An endpoint as its callers see it: asked with boto3, and refusals told from requests that got no answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from include.models.config.watching import GOLDEN_REQUEST
from include.platform.clients import error_code

if TYPE_CHECKING:
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

CSV, JSON = "text/csv", "application/json"
# error codes that mean the endpoint cannot be asked at all, rather than that it rejects the request
NOT_ITS_ANSWER = ("AccessDenied", "AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException")
# error codes of a request that may be answered later, whatever their status is
NOT_NOW = ("InternalFailure", "ModelNotReadyException", "ServiceUnavailable", "ThrottlingException")
TOO_MANY = 429  # the status of a request that came too soon
SHOWN = 200  # characters of requests and responses


class RefusedError(Exception):
    """The endpoint's answer was an error; ``status`` is the model's, or the API's if no model was reached."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {_short(message)}")
        self.status = status

    @property
    def is_no_answer(self) -> bool:
        """Whether it says nothing of the request: the endpoint failed, or was asked too much."""
        return self.status >= 500 or self.status == TOO_MANY


class AskedEndpoint:
    """One endpoint; its requests count as golden ones."""

    def __init__(self, runtime: SageMakerRuntimeClient, name: str, *, quote: bool = True) -> None:
        self.name = name
        self._runtime, self._quote = runtime, quote

    def shown(self, value: object) -> str:
        """A request or response, for people."""
        text = value if isinstance(value, str) else json.dumps(value)
        return _short(text) if self._quote else f"({len(text)} characters, not shown: see quote_values in model.yaml)"

    def ask(self, body: str | bytes, content_type: str) -> object:
        """The predictions, requested as JSON.

        Raises:
            RefusedError: rejected by the model, or by the API.
            botocore.exceptions.BotoCoreError, ClientError: the endpoint cannot be asked at all.
        """
        try:
            answer = self._runtime.invoke_endpoint(
                EndpointName=self.name,
                Body=body,
                ContentType=content_type,
                Accept=JSON,
                CustomAttributes=GOLDEN_REQUEST,
            )
        except ClientError as error:
            code = error_code(error)
            if code == "ModelError":
                said: Mapping[str, object] = {**error.response}  # with members specific to this operation
                raise RefusedError(
                    int(str(said["OriginalStatusCode"])), self.shown(said.get("OriginalMessage"))
                ) from error
            if code in NOT_NOW:
                raise RefusedError(503, str(error)) from error
            # a gateway in front of SageMaker returns a bare status as the code, such as 413 for a body that is too
            # large
            status = int(code) if code.isdecimal() else error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if code == "ValidationError" or (status and 400 <= status < 500 and code not in NOT_ITS_ANSWER):
                raise RefusedError(status or 400, str(error)) from error
            raise
        content = answer["Body"].read()
        try:
            return json.loads(content)["predictions"]
        except (ValueError, KeyError, TypeError):
            raise RefusedError(200, f"no predictions in {self.shown(repr(content))}") from None


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"
