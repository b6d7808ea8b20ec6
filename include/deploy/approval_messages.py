"""Notifications about a pending decision: at once, half-way through the time to answer, and before it ends.

While it waits, the question is kept in S3 (``production/<model>/question.json``), since no task may ask Airflow what
other tasks wait for. It is answered once the run has recorded a decision.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict, cast

from airflow.sdk import Context
from airflow.sdk.bases.notifier import BaseNotifier

from include.models.config import ModelConfig
from include.platform.clients import s3_client
from include.platform.environment import ml_environment
from include.platform.notifications import notify
from include.platform.objects import read_json, write_text
from include.platform.run_context import current_run
from include.platform.storage import open_question, split_uri
from include.registry.history import now

if TYPE_CHECKING:
    from airflow.providers.standard.operators.hitl import HITLOperator
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

REMINDED_AFTER = (0.5, 0.9)  # shares of the time to answer
AT_THE_END = "Without an answer by then, it counts as Reject: production stays unchanged."


class Question(TypedDict):
    """A pending question. Times are ISO 8601; ``decision`` is the object that the run writes once it is answered;
    ``reminded`` counts the reminders."""

    subject: str
    packet: str
    form: str
    asked_at: str
    ends_at: str
    decision: str
    reminded: int


class ApproverNotifier(BaseNotifier):
    """Notifies people when ``approve_production`` asks its question."""

    template_fields: Sequence[str] = ()

    def __init__(self, model: ModelConfig) -> None:
        super().__init__()
        self.model = model.name
        self.hours = model.serving.approval.timeout_hours

    def notify(self, context: Context) -> None:
        environment, run = current_run(context)
        packet = context["ti"].xcom_pull(task_ids="prepare_promotion", key="packet")
        asked_at, asking = now(), cast("HITLOperator", context["task"])
        question: Question = {
            "subject": packet["subject"],
            "packet": packet["page"],
            "form": asking.generate_link_to_ui(task_instance=context["ti"]),
            "asked_at": asked_at.isoformat(),
            "ends_at": (asked_at + timedelta(hours=self.hours)).isoformat(),
            "decision": run.promotion_decision,
            "reminded": 0,
        }
        write_text(s3_client(environment), open_question(environment.bucket, self.model), json.dumps(question))
        notify(question["subject"], message(question), group=f"{question['subject']} {run.run_id}")


def message(question: Question) -> str:
    """The text of the notification about a question."""
    ends = f"{question['ends_at'][:16].replace('T', ' ')} UTC"
    return (
        f"{question['subject']}\n\nAnswer: {question['form']}\nThe packet: {question['packet']}\n\n"
        f"Please answer by {ends}. {AT_THE_END}"
    )


def reminders_due(question: Question, at: datetime) -> int:
    """How many reminders should have been sent by then. Pure."""
    asked, ends = (datetime.fromisoformat(question[key]) for key in ("asked_at", "ends_at"))
    return sum(at >= asked + share * (ends - asked) for share in REMINDED_AFTER)


def remind_approvers(models: Sequence[ModelConfig], context: Context) -> list[str]:
    """Sends the reminders that are due.

    Returns:
        The models whose questions they were about.

    Raises:
        botocore.exceptions.ClientError: S3 cannot be asked, or publishing to the topic failed.
    """
    environment, at = ml_environment(), now()
    s3, reminded = s3_client(environment), []
    for model in models:
        uri = open_question(environment.bucket, model.name)
        question: Question | None = read_json(s3, uri)
        if question is None:
            continue
        if _is_over(s3, question, at):
            bucket, key = split_uri(uri)
            s3.delete_object(Bucket=bucket, Key=key)
            continue
        due = reminders_due(question, at)
        if due > question["reminded"]:
            last = "The last reminder: " if due == len(REMINDED_AFTER) else "Still waiting: "
            notify(last + question["subject"], message(question), dag_id=f"deploy_{model.name}")
            write_text(s3, uri, json.dumps({**question, "reminded": due}))
            reminded.append(model.name)
    return reminded


def _is_over(s3: S3Client, question: Question, at: datetime) -> bool:
    ended = at >= datetime.fromisoformat(question["ends_at"])
    return ended or read_json(s3, question["decision"]) is not None
