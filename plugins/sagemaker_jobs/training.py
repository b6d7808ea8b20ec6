"""Operators for training and tuning jobs."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator, SageMakerTuningOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_jobs.base import JobOperator
from sagemaker_jobs.kinds import TRAINING, TUNING, Description, JobResult, compact
from sagemaker_jobs.products import absent


class TrainingJobOperator(JobOperator, SageMakerTrainingOperator):
    """A training job; the result's ``artifact`` is its model.tar.gz."""

    kind = TRAINING

    def missing(self, description: Description) -> list[str]:
        return absent(self._client("s3"), [description["ModelArtifacts"]["S3ModelArtifacts"]])


class TuningJobOperator(JobOperator, SageMakerTuningOperator):
    """A tuning job; the result is that of its best training job, with ``best_training_job`` and ``hyperparameters``."""

    kind = TUNING

    def missing(self, description: Description) -> list[str]:
        if not (best := description.get("BestTrainingJob")):
            return []
        training = self.client.describe_training_job(TrainingJobName=best["TrainingJobName"])
        return absent(self._client("s3"), [training["ModelArtifacts"]["S3ModelArtifacts"]])

    def result(self, context: Context, description: Description) -> JobResult:
        found = super().result(context, description)
        best = description.get("BestTrainingJob")
        if not best:
            raise AirflowFailException(f"tuning job {found['name']} completed, but none of its training jobs did")
        training = self.client.describe_training_job(TrainingJobName=best["TrainingJobName"])
        of_best = compact(TRAINING, {**training})
        found |= {"best_training_job": best["TrainingJobName"], "hyperparameters": training["HyperParameters"]}
        return found | {"artifact": of_best["artifact"], "metrics": of_best.get("metrics", {})}
