"""Where a Dag run's tasks write in S3: each run's folder, as listed in ``storage``. Pure; nothing here talks to S3."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from include.models.config import files
from include.platform.storage import golden_requests_of


@dataclass(frozen=True)
class Run:
    """One Dag run's folder. Every task writes below its own task id; reruns overwrite their own folder only."""

    bucket: str
    dag_id: str
    run_id: str

    @property
    def slug(self) -> str:
        """The run id as a folder name: readable, and unique by its digest."""
        readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.run_id)[:80]
        return f"{readable}-{hashlib.sha256(self.run_id.encode()).hexdigest()[:8]}"

    @property
    def folder(self) -> str:
        return f"s3://{self.bucket}/runs/{self.dag_id}/{self.slug}"

    @property
    def code(self) -> str:
        """The job code and image that this training is pinned to from its beginning, whatever is deployed later."""
        return f"{self.folder}/plan_training/code.json"

    @property
    def data_manifest(self) -> str:
        """What this run is pinned to: raw data (keys, sizes, ETags), job code and image."""
        return f"{self.folder}/prepare_data/data_manifest.json"

    def output(self, task_id: str, name: str) -> str:
        """Where a task, or its job, writes the output of this name."""
        return f"{self.folder}/{task_id}/{name}"

    @property
    def checks(self) -> str:
        """Folder, of all runs of the Dag, of what its last validations found."""
        return f"s3://{self.bucket}/runs/{self.dag_id}/checks"

    @property
    def validated(self) -> str:
        """Folder of clean tables, ``<table>.parquet``."""
        return self.output("prepare_data", "validated")

    @property
    def features(self) -> str:
        """Folder of the feature table's splits, with manifest.json."""
        return self.output("prepare_data", "features")

    @property
    def chunks(self) -> str:
        """Folder of raw data that does not fit on one machine, partitioned by key: ``chunk-<n>.tar``."""
        return self.output("cut_data", "chunks")

    @property
    def shards(self) -> str:
        """Folder of each chunk's results, ``shard-<n>/``."""
        return self.output("prepare_shards", "shards")

    def feature_split(self, split: str) -> str:
        return f"{self.features}/{split}"

    def report(self, task_id: str) -> str:
        """Folder with a validation's verdict, report and rejected rows; for ``prepare_data`` also its progress."""
        return self.output(task_id, "report")

    def validation_verdict(self, task_id: str) -> str:
        return f"{self.report(task_id)}/{files.VERDICT}"

    def validation_page(self, task_id: str) -> str:
        return f"{self.report(task_id)}/{files.VERDICT_PAGE}"

    def training_output(self, task_id: str) -> str:
        """SageMaker adds ``/<job name>/output/model.tar.gz``."""
        return f"{self.folder}/{task_id}"

    def checkpoints(self, task_id: str) -> str:
        return f"{self.folder}/{task_id}/checkpoints"

    @property
    def evaluation(self) -> str:
        return self.output("evaluate_model", "evaluation")

    @property
    def refit(self) -> str:
        """Folder of the registered model.tar.gz, if model.yaml asks to refit on all rows."""
        return self.output("evaluate_model", "refit")

    @property
    def evaluation_statistics(self) -> str:
        """Model quality in the shape that the Model Registry reads."""
        return f"{self.evaluation}/{files.QUALITY_STATISTICS}"

    @property
    def gates(self) -> str:
        """The gates that the candidate was held to, with their verdicts."""
        return self.output("check_metrics", "gates.json")

    @property
    def golden_requests(self) -> str:
        """Rows with the model's predictions, to test an endpoint with."""
        return golden_requests_of(self.evaluation_statistics)

    @property
    def promotion_packet(self) -> str:
        return f"{self.folder}/prepare_promotion/packet.html"

    @property
    def promotion_decision(self) -> str:
        """The approver's decision, with the reason in their words."""
        return f"{self.folder}/record_decision/decision.json"

    @property
    def evaluation_report(self) -> str:
        return f"{self.evaluation}/{files.EVALUATION_PAGE}"

    @property
    def day_plan(self) -> str:
        """What a scoring run is pinned to: the day, its raw data (keys, ETags), version, job code and image."""
        return f"{self.folder}/plan_day/plan.json"

    @property
    def backfill_plan(self) -> str:
        """A backfill's plan: which days to score and why, which not, and what it may cost."""
        return f"{self.folder}/plan_days/plan.json"

    @property
    def backfill_summary(self) -> str:
        return f"{self.folder}/report_days/summary.json"

    @property
    def label_plan(self) -> str:
        """The scored days for which labels arrived."""
        return f"{self.folder}/find_labels/plan.json"

    @property
    def label_inputs(self) -> str:
        """SageMaker's manifest of the objects to join."""
        return f"{self.folder}/find_labels/inputs.manifest"

    @property
    def joined_labels(self) -> str:
        """Folder of the join's results, ``date=<day>/``, before publication."""
        return self.output("join_labels", "performance")

    @property
    def traffic_plan(self) -> str:
        """Which day of an endpoint is counted, by which version."""
        return f"{self.folder}/find_captures/plan.json"

    @property
    def traffic_inputs(self) -> str:
        """SageMaker's manifest of the files of data capture that counting it takes."""
        return f"{self.folder}/find_captures/inputs.manifest"

    @property
    def counted_captures(self) -> str:
        """Folder of its results, before they are published."""
        return self.output("count_captures", "counted")

    def of_batch(self, model: str, number: int) -> BatchRun:
        return BatchRun(self.bucket, self.dag_id, self.run_id, model, number)

    def of_day(self, digest: str, day: str) -> DayRun:
        """The folder of one day's run; ``digest`` is that of the day's plan."""
        return DayRun(self.bucket, self.dag_id, self.run_id, digest, day)


@dataclass(frozen=True)
class DayRun(Run):
    """A scoring run's folder under one plan: a run that is planned again never sees an earlier plan's files."""

    digest: str
    day: str

    def output(self, task_id: str, name: str) -> str:
        return f"{self.folder}/{task_id}/{self.digest}/{name}"

    @property
    def day_inputs(self) -> str:
        """SageMaker's manifest of the raw files that the run reads."""
        return self.output("plan_day", "inputs.manifest")

    @property
    def day_chunks(self) -> str:
        """Folder of the day's clean tables, partitioned by key: ``chunk-<n>.tar``."""
        return self.output("validate_input", "validated")

    @property
    def day_features(self) -> str:
        """Folder of the day's rows to score, ``rows/shard-<n>.csv``, described by ``shards/shard-<n>.json``."""
        return self.output("build_features", "features")

    @property
    def day_rows(self) -> str:
        return f"{self.day_features}/{files.ROWS}/"

    @property
    def day_shards(self) -> str:
        return f"{self.day_features}/{files.SHARDS}/"

    @property
    def predictions(self) -> str:
        """Folder of the transform job's output, ``shard-<n>.csv.out``."""
        return self.output("score", "predictions")

    @property
    def challenger(self) -> str:
        """Folder of the day's scores by a candidate, beside those of production."""
        return self.output("score_day", "challenger")

    def staged_scores(self, task_id: str) -> str:
        """Folder of the day's checked scores before publication, with ``parts.json``, by the task that wrote them:
        ``score_day`` or ``validate_scores``."""
        return self.output(task_id, "scores")


@dataclass(frozen=True)
class BatchRun(Run):
    """A backfill's folder for one batch of days: below the model's name, as its jobs' role may be limited to that."""

    model: str
    number: int

    @property
    def folder(self) -> str:
        return f"s3://{self.bucket}/runs/{self.dag_id}/{self.model}/{self.slug}"

    def output(self, task_id: str, name: str) -> str:
        return f"{self.folder}/{task_id}/batch-{self.number:03}/{name}"

    @property
    def plans(self) -> str:
        """The plans of the batch's days."""
        return self.output("plan_days", "plans.json")

    @property
    def batch_inputs(self) -> str:
        """SageMaker's manifest of the raw files that the job reads."""
        return self.output("score_batch", "inputs.manifest")

    @property
    def batch_files(self) -> str:
        """Folder of ``days.json``: the files that each day is scored from."""
        return self.output("score_batch", "plan")

    @property
    def days(self) -> str:
        """Folder of the scored days, ``date=<day>/{scores,report}``."""
        return self.output("score_batch", "days")

    def sent(self, sink: str) -> str:
        """SageMaker's manifest of the published files to send to a sink."""
        return self.output("send_scores", f"{sink}.manifest")

    @property
    def published(self) -> str:
        """The outcome of the batch's days, and the cost of its job."""
        return self.output("publish_batch", "published.json")

    def of(self, day: str, name: str) -> str:
        """A folder of one day: ``scores`` before publication, or the ``report``."""
        return f"{self.days}/{files.day_folder(day)}/{name}"
