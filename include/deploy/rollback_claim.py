"""Which run of ``rollback`` may change a model's production. The Dag is of all models, so Airflow's own
``max_active_runs`` could keep two runs of one model apart only by holding up those of every other model.

A claim is an object in the bucket that names a run, and is written only over what was read. It lapses when its run is
not active any more: nothing has to be released, and a run that died leaves nothing behind.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from include.platform.errors import PermanentError
from include.platform.objects import read_versioned, write_if_unchanged
from include.platform.storage import rollback_claim

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol
    from types_boto3_s3.client import S3Client

ACTIVE = ["queued", "running"]


class RollbackUnderwayError(PermanentError):
    """Another run takes this model's production back: the message names the run."""


def claim_rollback(s3: S3Client, bucket: str, model: str, task_instance: RuntimeTaskInstanceProtocol) -> None:
    """From here on the task's run is the only one that may roll this model back, until it ends. Doing it twice changes
    nothing.

    Args:
        task_instance: Airflow's running task instance, which can be asked for the states of runs.

    Raises:
        RollbackUnderwayError: another run of this model is active.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    own = task_instance.run_id
    uri = rollback_claim(bucket, model)
    while True:
        body, etag = read_versioned(s3, uri)
        holder = str(json.loads(body)["run_id"]) if body is not None else None
        if holder == own:
            return
        dag_id = task_instance.dag_id
        if holder is not None and task_instance.get_dr_count(dag_id=dag_id, run_ids=[holder], states=ACTIVE):
            raise RollbackUnderwayError(
                f"run {holder} of {dag_id} is rolling {model} back already; this run has changed nothing. Follow that "
                "one. To go to another version instead, mark it as failed and trigger again."
            )
        # not written where another run was quicker, or the answer of a first try was lost
        if write_if_unchanged(s3, uri, json.dumps({"run_id": own}).encode(), etag):
            return
