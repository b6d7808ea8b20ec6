"""Shared by the scoring benchmarks: a day's jobs on the local SageMaker, with the given number of rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from include.platform.environment import MlEnvironment
from rows import Row, end, parser
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting
from tests.include.local_sagemaker.local_server import IMAGE, ROLE


def environment(code_hash: str) -> MlEnvironment:
    return MlEnvironment(bucket=BUCKET, role_arn=ROLE, image_uri=IMAGE, region="us-east-1", code_hash=code_hash)


def run_job(hosting: Hosting, kind: str, name: str, **request: Any) -> dict[str, Any]:
    """Create a job, ``processing`` or ``transform``, and wait for it to end; its description.

    Raises:
        RuntimeError: it did not complete.
    """
    named = {f"{kind.title()}JobName": name}
    getattr(hosting.sagemaker, f"create_{kind}_job")(**named, **request)
    describe, status = getattr(hosting.sagemaker, f"describe_{kind}_job"), f"{kind.title()}JobStatus"
    while (job := describe(**named))[status] in ("InProgress", "Stopping"):
        time.sleep(0.5)
    if job[status] != "Completed":
        raise RuntimeError(f"{name} ended as {job[status]}: {job.get('FailureReason')} {job.get('ExitMessage', '')}")
    described: dict[str, Any] = job
    return described


def show(measure: Callable[[int], list[Row]], description: str | None, rows_of_a_day: int) -> int:
    """The program: ``[--json] [--rows N]``; its exit status."""
    options = parser(description)
    options.add_argument("--rows", type=int, default=rows_of_a_day)
    arguments = options.parse_args()
    return end(measure(arguments.rows), arguments)
