"""Operators for training and tuning jobs."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator, SageMakerTuningOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from sagemaker_jobs.base import JobOperator
from sagemaker_jobs.kinds import TRAINING, TUNING, Description, compact


class TrainingJobOperator(JobOperator, SageMakerTrainingOperator):
    """A training job; the result's ``artifact`` is its model.tar.gz."""

    kind = TRAINING


class TuningJobOperator(JobOperator, SageMakerTuningOperator):
    """A tuning job; the result is that of its best training job, with ``best_training_job`` and ``hyperparameters``."""

    kind = TUNING

    def result(self, context: Context, description: Description) -> dict[str, Any]:
        found = super().result(context, description)
        best = description.get("BestTrainingJob")
        if not best:
            raise AirflowFailException(f"tuning job {found['name']} completed, but none of its training jobs did")
        training = self.hook.conn.describe_training_job(TrainingJobName=best["TrainingJobName"])
        return {
            **found,
            "best_training_job": best["TrainingJobName"],
            "hyperparameters": training["HyperParameters"],
            **{name: value for name, value in compact(TRAINING, training).items() if name in ("artifact", "metrics")},
        }
