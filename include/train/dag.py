"""Trains a model on the raw data in S3 and, if it is good enough, registers it for approval.

**For whom:** those who approve models. A registered version waits as *PendingManualApproval* in the SageMaker Model
Registry, with its metrics, its evaluation report and its lineage; nothing is deployed here.

**Reads** `raw/<model>/` of the environment's bucket; the job code `code/<hash>/`; the version in production, the
champion, and earlier ones, to compare with. **Writes** only below its own folder `runs/<dag>/<run>/`, one folder per
task, and one version in the Model Registry.

**Running it again is safe.** A run never touches another run's folder, and clearing a task attaches to its SageMaker
job if that still runs. A retry of the registration finds the version that the first try created. A run uses the same
code and image from start to end; clearing `prepare_data` restarts it with the current data, code and image. A run that
would repeat the last complete training exactly (the same raw data by its ETags, code, hyperparameters and image) says
so and ends as skipped, unless `force` is set.

**Steps.** `plan_training` checks the form and compares the run with the last training. `prepare_data` is one job: it
validates the raw tables, rejecting bad rows, builds the feature table, splits it by time or at random, validates that,
and stops at the first critical finding. Raw data of more than `processing.one_job_mb` takes another way to the same
files: `cut_data` partitions it by key, the machines of `processing.instance_count` share the chunks in
`prepare_shards`, and `merge_shards` validates and splits the whole. `validate_raw_data` and `validate_features` decide
on its two verdicts, each with its report. `train_model` trains once, or `tune_model` searches hyperparameters first and
keeps the best. `evaluate_model` evaluates the candidate, the champion and simple baselines on the test split.
`check_metrics` applies the gates of model.yaml: then `register_model`, or `reject_model`, which says which gate was
missed and by how much. A rejected model is a successful run. `record_training` records what the training was made of.
With `tracking.model_versions` in model.yaml, `track_model_version` also registers the version in MLflow.

**When it fails** the task's log ends with the reason, where to look and what to do:

| task | usual reason | what to do |
|---|---|---|
| `validate_raw_data` | a file is missing or wrong | read the report (button), fix the data, clear `prepare_data` |
| `validate_features` | features out of range, an empty split | likewise; compare the data with the last good run's |
| any job | `CapacityError`, throttling | nothing: it is retried; a repeated failure needs another instance type |
| any job | `AlgorithmError` | the last log lines are in the task's log; fix the code, deploy, start a new run |
| any task | Variable `ml_environment` | the message says which key is missing or wrong |
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from airflow.sdk import DAG, Asset, XComArg, chain, dag, task

from include.models.config import ModelConfig, files
from include.platform.dag_settings import NO_BACKFILLS, of_model, trained, with_form
from include.platform.python_task import python_task
from include.train import form, tasks
from sagemaker_jobs.processing import ProcessingJobOperator, VerdictOperator
from sagemaker_jobs.registry import RegisterModelOperator
from sagemaker_jobs.training import TrainingJobOperator, TuningJobOperator


def train_dag(model: ModelConfig) -> DAG:
    """The Dag ``train_<model>``."""

    @dag(
        **of_model("train", model, does="Train, evaluate and register", runbook=__doc__),
        schedule=trained(model.schedule.train),
        allowed_run_types=NO_BACKFILLS,
        catchup=False,
        max_active_runs=1,
    )
    def train() -> None:
        plan_training = python_task(partial(tasks.plan_training, model), task.branch)()
        # the choice is made beside the validation: the next job waits for one turn of the scheduler less
        choose_training = python_task(
            partial(tasks.choose_training, model), task.branch, trigger_rule="none_failed_min_one_success"
        )()
        prepared = _prepare(model, after=plan_training, before=choose_training)
        evaluate_model = _train_and_evaluate(model, after=[prepared, choose_training])
        check_metrics = python_task(partial(tasks.check_metrics, model), task.branch)(evaluated=evaluate_model.output)
        register_model = _register(model, evaluate_model, gates=check_metrics["gates"])
        reject_model = python_task(partial(tasks.reject_model, model))(gates=check_metrics["gates"])
        record_training = python_task(
            partial(tasks.record_training, model), trigger_rule="none_failed_min_one_success"
        )()
        chain(evaluate_model, check_metrics, [register_model, reject_model], record_training)

    return with_form(train(), form.form_of(model))


def _prepare(model: ModelConfig, after: XComArg, before: XComArg) -> VerdictOperator:
    """From raw data to checked splits: one job, or three if several machines share the data, and the decisions on its
    verdicts. Returns the last of them; ``before`` comes when the data is prepared, beside the decisions."""
    reports = [(f"{step}-report", name) for step in ("raw", "features") for name in (files.VERDICT, files.VERDICT_PAGE)]
    prepare_data = ProcessingJobOperator(
        task_id="prepare_data",
        request=partial(tasks.prepare_data, model),
        result_file=("preparation", files.VERDICT),
        report_file=("preparation", files.VERDICT_PAGE),
        products=[
            *(("validated", f"{table}.parquet") for table in model.data.tables),
            *(("features", f"{split}/{files.FEATURE_TABLE}") for split in files.SPLITS),
            *reports,
        ],
    )
    cut_data = ProcessingJobOperator(task_id="cut_data", request=partial(tasks.cut_data, model))
    prepare_shards = ProcessingJobOperator(task_id="prepare_shards", request=partial(tasks.prepare_shards, model))
    merge_shards = ProcessingJobOperator(
        task_id="merge_shards",
        request=partial(tasks.merge_shards, model),
        result_file=("preparation", files.VERDICT),
        report_file=("preparation", files.VERDICT_PAGE),
        products=[("features", files.FEATURES_MANIFEST), *reports],
    )
    decide = partial(_decide, [prepare_data, merge_shards])
    validate_raw_data = decide("validate_raw_data", "raw-report")
    validate_features = decide("validate_features", "features-report")
    chain(after, prepare_data, validate_raw_data, validate_features)
    chain(after, cut_data, prepare_shards, merge_shards, validate_raw_data)
    chain([prepare_data, merge_shards], before)
    return validate_features


def _decide(jobs: list[ProcessingJobOperator], task_id: str, output: str) -> VerdictOperator:
    """The decision on a verdict of the job that ran."""
    return VerdictOperator(
        task_id=task_id,
        trigger_rule="none_failed_min_one_success",
        jobs=[job.output for job in jobs],
        verdict_file=(output, files.VERDICT),
        report_file=(output, files.VERDICT_PAGE),
    )


def _train_and_evaluate(model: ModelConfig, after: Sequence[VerdictOperator | XComArg]) -> ProcessingJobOperator:
    """From checked splits to the evaluation of a candidate."""
    train_model = TrainingJobOperator(
        task_id="train_model",
        request=partial(tasks.train_model, model),
    )
    tune_model = TuningJobOperator(
        task_id="tune_model",
        request=partial(tasks.tune_model, model),
    )
    evaluate_model = ProcessingJobOperator(
        task_id="evaluate_model",
        trigger_rule="none_failed_min_one_success",
        request=partial(tasks.evaluate_model, model),
        request_kwargs={"trained": train_model.output, "tuned": tune_model.output},
        result_file=("evaluation", files.METRICS),
        report_file=("evaluation", files.EVALUATION_PAGE),
        products=[
            ("evaluation", name) for name in (files.QUALITY_STATISTICS, files.GOLDEN_REQUESTS, files.DRIFT_PROFILE)
        ],
    )
    for training in (train_model, tune_model):
        chain(after, training, evaluate_model)
    return evaluate_model


def _register(model: ModelConfig, evaluate_model: ProcessingJobOperator, *, gates: XComArg) -> RegisterModelOperator:
    """The registration, followed by MLflow's version if model.yaml asks for one."""
    register_model = RegisterModelOperator(
        task_id="register_model",
        group=partial(tasks.model_package_group, model),
        request=partial(tasks.register_model, model),
        request_kwargs={"evaluated": evaluate_model.output, "gates": gates},
        outlets=[Asset(f"{model.name}_model_package")],
        on_success_callback=partial(tasks.notify_registration, model),
    )
    if model.tracking.model_versions:
        track_model_version = ProcessingJobOperator(
            task_id="track_model_version",
            request=partial(tasks.track_model_version, model),
            request_kwargs={"evaluated": evaluate_model.output, "registered": register_model.output},
        )
        chain(register_model, track_model_version)
    return register_model
