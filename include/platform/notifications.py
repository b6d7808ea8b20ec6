"""The one place from which people are told: an SNS topic, or the task's log where the environment has none."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow.sdk import Context

from include.platform.borders import mail
from include.platform.environment import ml_environment

log = logging.getLogger(__name__)


def notify(subject: str, message: str) -> None:
    """Tell people.

    Args:
        subject: one line; cut at 100 characters.
        message: plain text: what happened, why, where to look, what to do.

    Raises:
        NoMlEnvironmentError, MlEnvironmentError: the environment's settings cannot be read.
        botocore.exceptions.ClientError: the topic cannot be published to.
    """
    environment = ml_environment()
    topic = environment.sns_topic_arn
    log.info("notification to %s: %s\n%s", topic or "this log only (no sns_topic_arn is set)", subject, message)
    if topic:
        # imported late: Dag files import this module, and parsing stays cheap
        from airflow.providers.amazon.aws.hooks.sns import SnsHook

        subject, message = mail(subject, message)
        SnsHook(region_name=environment.region).publish_to_target(topic, message, subject=subject)


def notify_failure(context: Context, owners: Mapping[str, str] | None = None) -> None:
    """``on_failure_callback`` of every task: which task of which run failed, for which model, whose it is, why, and the
    address of its log.

    Args:
        owners: of each model, of a Dag that is for all of them and whose runs are told theirs in the form.
    """
    task_instance = context["ti"]
    dag_id, owner = task_instance.dag_id, context["task"].owner
    if owners:
        model = context["params"]["model"]
        dag_id, owner = f"{dag_id} of {model}", owners[model]
    subject = f"{dag_id}: {task_instance.task_id} failed"
    reason = context.get("exception") or "no exception was recorded; the worker may have been killed"
    notify(
        subject,
        f"{subject} in run {task_instance.run_id}, try {task_instance.try_number}. Owner: {owner}.\n\n{reason}\n\n"
        f"Log: {task_instance.log_url}\nWhat to do: see the Dag's documentation in the Airflow UI.",
    )
