"""What the benchmarks of scoring share: a day's jobs on the local SageMaker, and how their rows are shown."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from include.config import MlEnvironment
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting
from tests.include.local_sagemaker.local_server import IMAGE, ROLE


def environment(code_hash: str) -> MlEnvironment:
    return MlEnvironment(bucket=BUCKET, role_arn=ROLE, image_uri=IMAGE, region="us-east-1", code_hash=code_hash)


def run_job(hosting: Hosting, kind: str, name: str, **request: Any) -> dict[str, Any]:
    """Create a job, ``processing`` or ``transform``, and wait for its end; its description.

    Raises:
        RuntimeError: the end is not Completed.
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


def show(measure: Callable[[int], list[dict[str, Any]]], description: str | None, rows_of_a_day: int) -> None:
    """The program: ``[--json] [--rows N]``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=int, default=rows_of_a_day)
    arguments = parser.parse_args()
    rows = measure(arguments.rows)
    print(json.dumps(rows) if arguments.json else "\n".join(map(str, rows)))
