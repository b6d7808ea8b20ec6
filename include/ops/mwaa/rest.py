"""Airflow's REST API through MWAA's ``invoke-rest-api``: the deploy's only way in, with IAM instead of a password."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from include.ops import Json

if TYPE_CHECKING:
    from types_boto3_mwaa import MWAAClient

LONGEST_PATH = 64
LARGEST_BODY = 6 * 2**20
PAGE = 100


class RestError(RuntimeError):
    """Airflow refused; the message has the request and the answer. ``status`` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowOnMwaa:
    """The API of one environment.

    Raises, from every method:
        RestError: Airflow refused. botocore's ClientError: MWAA refused.
    """

    def __init__(self, mwaa: MWAAClient, environment: str) -> None:
        self._mwaa = mwaa
        self._environment = environment

    def get(self, path: str, **query: Any) -> Json:
        """Any other question."""
        return self._call("GET", path, **query)

    def import_errors(self) -> dict[str, str]:
        """Stack traces by file name."""
        return {one["filename"]: one["stack_trace"] for one in self._all("/importErrors", "import_errors")}

    def dags(self) -> dict[str, Json]:
        """Every Dag by its id, stale ones too."""
        return {one["dag_id"]: one for one in self._all("/dags", "dags", exclude_stale=False)}

    def variable(self, key: str) -> str | None:
        try:
            value: str = self._call("GET", f"/variables/{key}")["value"]
        except RestError as error:
            if error.status == 404:
                return None
            raise
        return value

    def set_variable(self, key: str, value: str) -> None:
        body = {"key": key, "value": value}
        if self.variable(key) is None:
            self._call("POST", "/variables", body=body)
        else:
            self._call("PATCH", f"/variables/{key}", body=body)

    def pools(self) -> dict[str, int]:
        """Slots by name."""
        return {one["name"]: one["slots"] for one in self._all("/pools", "pools")}

    def set_pool(self, name: str, slots: int, *, new: bool) -> None:
        if new:
            description = "SageMaker jobs at the same time"
            body = {"name": name, "slots": slots, "description": description, "include_deferred": True}
            self._call("POST", "/pools", body=body)
        else:
            self._call("PATCH", f"/pools/{name}", body={"slots": slots}, update_mask="slots")

    def _all(self, path: str, key: str, **query: Any) -> list[Json]:
        found: list[Json] = []
        while True:
            page = self._call("GET", path, limit=PAGE, offset=len(found), **query)
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Json:
        asked = f"{method} {path}"
        if len(path) > LONGEST_PATH or len(json.dumps(body or {})) > LARGEST_BODY:
            raise RestError(f"{asked}: MWAA passes on paths of {LONGEST_PATH} characters and bodies of 6 MB", 400)
        request: Json = {"Name": self._environment, "Method": method, "Path": path}
        request |= {"Body": dict(body)} if body else {}
        request |= {"QueryParameters": query} if query else {}
        try:
            answer: Json = self._mwaa.invoke_rest_api(**request)["RestApiResponse"]
        except ClientError as error:
            response: Mapping[str, Any] = {**error.response}  # with what InvokeRestApi adds
            if "RestApiStatusCode" not in response:
                raise
            status = int(response["RestApiStatusCode"])
            raise RestError(f"{asked}: Airflow answered {status}: {response.get('RestApiResponse')}", status) from error
        return answer
