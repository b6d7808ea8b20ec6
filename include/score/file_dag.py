"""Scores files put below `inbox/<model>/`, with the version in production, into `outbox/<model>/`.

**For whom:** anyone who has rows and wants scores, without a day's partition. Putting the object there starts a run
(S3, EventBridge, an SQS queue); so does the *Trigger* button, for one file or for all unscored files of a model.

**Reads** the object, a table like the model's first one: CSV, TSV or Excel as in model.yaml, `.gz`, `.zst`, or Parquet
with the columns' names; unknown columns, such as the label, are left empty. There is no data of further tables.
**Writes** `outbox/<model>/<file>/manifest.json`, last, and in a folder for each version of the object `scores.parquet`
(`scores-<n>.parquet` for a large file), in the form of published scores, and `quarantine/<table>.csv`, the rejected
rows with reasons. Nothing is deleted from the inbox.

**Running it again is safe.** Each version of an object is scored and announced once, even if it is delivered twice; one
that was replaced meanwhile is left to its replacement's event, and an older one never overwrites a newer one's scores.
*Score again* also scores what is already done.

**Steps**, for each file. `find_files` decides which to score and how: up to `scoring.one_job_mb` of text in one job,
larger ones by a batch transform, or through the production endpoint, if the form says so. `score_file` reads and
validates the rows like a day's, builds features with the function used in training, and predicts with the version's
own code, or through the endpoint: in chunks, several at a time, each resent while it is throttled. `score` and
`validate_scores` are the transform job and the check of its output. `publish_file` puts everything into the outbox and
notifies people.

| the file | what happens |
|---|---|
| some bad rows | rejected with reasons, the rest is scored |
| empty, only a header, other columns, too many bad rows | no scores; the manifest and a message say why |
| truncated, or compressed and corrupt | the same |
| encrypted: by S3 with a key that the role may not use, or with a password | the same |
| an unfinished multipart upload | no object yet, so no event |
| cut off between two lines of plain text | cannot be told from a shorter file: compress what you send |
| larger than memory | partitioned by key into chunks; several files of scores |
| arrives before any version is in production | no scores; promote one, then trigger this Dag with the file |

**When it fails** the task's log ends with the reason, where to look and what to do. If a file cannot be scored,
`publish_file` fails: replace the file, and leave the run as it is. Anything else: clear it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

from airflow.sdk import DAG, Asset, AssetWatcher, BaseOperator, XComArg, chain, dag, task_group

from include.models.config import ModelConfig, files
from include.platform.dag_settings import for_any_model, on_events_of, with_form
from include.platform.python_task import python_task
from include.score import file_tasks as tasks
from include.score import form
from include.score.inbox_events import queue_name
from sagemaker_jobs.arrivals import ObjectArrivalTrigger
from sagemaker_jobs.names import environment_name
from sagemaker_jobs.processing import ProcessingJobOperator
from sagemaker_jobs.transform import TransformJobOperator

RUNS_AT_ONCE = 4


def score_file_dag(models: Sequence[ModelConfig]) -> DAG:
    """The Dag ``score_file``, for any of the models."""
    owners = {model.name: model.owner for model in models}
    trigger = ObjectArrivalTrigger(queue=queue_name(environment_name()))
    arrivals = Asset("inbox", watchers=[AssetWatcher(name="inbox", trigger=trigger)])
    settings = for_any_model(owners)
    settings["default_args"] |= {
        "on_success_callback": tasks.keep_cost,
        "on_retry_callback": tasks.keep_cost,
        "on_failure_callback": [tasks.keep_cost, partial(tasks.tell_failure, owners)],
    }

    @dag(
        dag_id="score_file",
        dag_display_name="Score a file",
        description="Score files as they arrive, with the version in production.",
        doc_md=f"# score_file\n\n{__doc__}",
        max_active_runs=RUNS_AT_ONCE,
        **{**settings, "schedule": on_events_of(arrivals)},
    )
    def score_file() -> None:
        find_files = python_task(partial(tasks.find_files, arrivals))()
        _score(find_files)

    return with_form(score_file(), form.file_params(list(owners)))


def _score(found: XComArg) -> BaseOperator:
    """A job for each file, two more for a large one, and the task that publishes its scores."""

    @task_group
    def score(file: XComArg) -> BaseOperator:
        score_file = ProcessingJobOperator(
            task_id="score_file",
            request=tasks.score_file,
            request_kwargs={"file": file},
            result_file=("report", files.FILE_RESULT),
        )
        score = TransformJobOperator(
            task_id="score",
            request=tasks.score,
            request_kwargs={"file": file, "scored": score_file.output},
            model=tasks.hosted_model,
        )
        validate_scores = ProcessingJobOperator(
            task_id="validate_scores",
            request=tasks.validate_scores,
            request_kwargs={"file": file},
            result_file=("report", files.VERDICT),
        )
        publish_file = python_task(tasks.publish_file, trigger_rule="none_failed")(
            file=file, scored=score_file.output, checked=validate_scores.output
        )
        chain(score_file, score, validate_scores, publish_file)
        chain(score_file, publish_file)
        return cast(BaseOperator, publish_file.operator)

    return cast(BaseOperator, score.expand(file=found))
