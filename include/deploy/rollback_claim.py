"""Decides which run of ``rollback`` may change a model's production. The Dag serves all models, so with Airflow's
``max_active_runs`` two runs of one model could be kept apart only by also holding up every other model's.

A claim is an object in the bucket that names a run, written only if unchanged since it was read. It lapses when its run
is no longer active: nothing has to be released, and a dead run leaves nothing behind.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from include.platform.errors import PermanentError
from include.platform.objects import parsed, read_versioned, write_if_unchanged
from include.platform.storage import rollback_claim

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol
    from types_boto3_s3.client import S3Client

ACTIVE = ["queued", "running"]


class RollbackUnderwayError(PermanentError):
    """Another run is rolling this model back; the message names it."""


def claim_rollback(s3: S3Client, bucket: str, model: str, task_instance: RuntimeTaskInstanceProtocol) -> None:
    """Makes the task's run the only one that may roll this model back, until it ends. Idempotent.

    Args:
        task_instance: Airflow's running task instance, which can look up the states of runs.

    Raises:
        RollbackUnderwayError: another run of this model is active.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    own = task_instance.run_id
    uri = rollback_claim(bucket, model)
    while True:
        body, etag = read_versioned(s3, uri)
        holder = str(parsed(uri, body)["run_id"]) if body is not None else None
        if holder == own:
            return
        dag_id = task_instance.dag_id
        if holder is not None and task_instance.get_dr_count(dag_id=dag_id, run_ids=[holder], states=ACTIVE):
            raise RollbackUnderwayError(
                f"run {holder} of {dag_id} is already rolling {model} back; this run has changed nothing. Follow that "
                "one. To go to another version instead, mark it as failed and trigger again."
            )
        # not written if another run was quicker, or if the response of a first try was lost
        if write_if_unchanged(s3, uri, json.dumps({"run_id": own}).encode(), etag):
            return
