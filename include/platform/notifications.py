"""The one place from which people are told: an SNS topic, a chat, the console; the task's log says it too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import Context, get_current_context
from botocore.exceptions import BotoCoreError, ClientError

from include.platform.borders import description, mail
from include.platform.environment import MlEnvironment, ml_environment

log = logging.getLogger(__name__)

LONGEST_IN_CHAT = 3000  # characters; chats refuse long messages
PATIENCE = 10  # seconds that a chat has to take a message
TEAMS = (".webhook.office.com", ".logic.azure.com", ".powerplatform.com")


def notify(subject: str, message: str, *, group: str = "", dag_id: str = "") -> None:
    """Tell people.

    Args:
        subject: one line; cut at 100 characters.
        message: plain text: what happened, why, where to look, what to do.
        group: what the message is about. Of one group a message is sent at most once an hour; what comes meanwhile is
            counted, and all of it is on the console's page Messages. Without a group it is always sent.
        dag_id: whose message it is, where no task runs (in a callback). Who may see that Dag sees it in the console.

    Raises:
        NoMlEnvironmentError, MlEnvironmentError: the environment's settings cannot be read.
        botocore.exceptions.ClientError: the topic cannot be published to.
    """
    environment = ml_environment()
    before = _recorded(environment, subject, message, group, dag_id or _current_dag())
    topic = environment.sns_topic_arn
    log.info("notification to %s: %s\n%s", topic or "the console (no sns_topic_arn is set)", subject, message)
    if before is None:
        log.info("the last one about '%s' was sent less than an hour ago: this one is only counted", group)
        return
    if group:
        message += "\n\nMore of the same within an hour is counted, not sent: see Messages in the console."
    if before:
        message += f"\n\n{before} more of this kind came since the last message."
    if topic:
        # imported late: Dag files import this module, and parsing stays cheap
        from airflow.providers.amazon.aws.hooks.sns import SnsHook

        line, text = mail(subject, message)
        SnsHook(region_name=environment.region).publish_to_target(topic, text, subject=line)
    if environment.chat_connection:
        _tell_chat(environment.chat_connection, subject, message)


def notify_failure(context: Context, owners: Mapping[str, str] | None = None, model: str | None = None) -> None:
    """``on_failure_callback`` of every task: which task of which run failed, for which model, whose it is, why, the
    address of its log and of the runbook. The last line of the task's log says it in one sentence.

    Args:
        owners: of each model, of a Dag that is for all of them and whose runs are told theirs in the form.
        model: the run's, where the form does not say.
    """
    task_instance = context["ti"]
    dag_id, owner = task_instance.dag_id, context["task"].owner
    if owners and (model := model or context["params"]["model"]):
        dag_id, owner = f"{dag_id} of {model}", owners[model]
    subject = f"{dag_id}: {task_instance.task_id} failed"
    reason = context.get("exception") or "no exception was recorded; the worker may have been killed"
    todo = runbook(task_instance.log_url, task_instance.dag_id, task_instance.task_id)
    try:
        notify(
            subject,
            f"{subject} in run {task_instance.run_id}, try {task_instance.try_number}. Owner: {owner}.\n\n{reason}\n\n"
            f"Log: {task_instance.log_url}\nWhat to do: {todo}",
            group=subject,
            dag_id=task_instance.dag_id,
        )
    finally:  # whoever opens a failed task's log reads its end first
        log.error("%s: %s What to do: %s", subject, str(reason).strip().partition("\n")[0], todo)


def runbook(log_url: str, dag_id: str, task_id: str) -> str:
    """Address of what a Dag's runbook says of a task that failed: a page of the console of the Airflow that has the
    task's log."""
    return f"{log_url.partition('/dags/')[0]}/models/runbook/{dag_id}#{task_id.rpartition('.')[2]}"


def chat_body(address: str, subject: str, message: str) -> dict[str, Any]:
    """What a chat's webhook takes: Teams a card, Slack and most others ``text``."""
    text = message[:LONGEST_IN_CHAT]
    if not (urlsplit(address).hostname or "").endswith(TEAMS):
        return {"text": f"*{description(subject)}*\n{text}"}
    blocks = [
        {"type": "TextBlock", "text": description(subject), "weight": "Bolder", "wrap": True},
        {"type": "TextBlock", "text": text, "wrap": True},
    ]
    card = {"type": "AdaptiveCard", "version": "1.4", "body": blocks}
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def _tell_chat(connection: str, subject: str, message: str) -> None:
    """A chat that is away fails no task: the mail and the console have the message too."""
    import httpx
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    try:
        address = str(Connection.get(connection).password or "")
        httpx.post(address, json=chat_body(address, subject, message), timeout=PATIENCE).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, AirflowException, AirflowRuntimeError) as error:
        # its text may have the address, which is a secret
        log.warning("the chat of connection '%s' was not told: %s", connection, type(error).__name__)


def _recorded(environment: MlEnvironment, subject: str, message: str, group: str, dag_id: str) -> int | None:
    """As ``messages.record``; a message that cannot be kept is sent all the same."""
    from include.platform.clients import s3_client
    from include.platform.messages import record

    now = datetime.now(UTC).isoformat(timespec="seconds")
    about = group or description(subject)
    try:
        return record(
            s3_client(environment),
            environment.bucket,
            {
                "group": about,
                "dag_id": dag_id,
                "subject": description(subject),
                "message": message,
                "first_at": now,
                "last_at": now,
                "sent_at": now,
                "count": 1,
                "unsent": 0,
            },
            always=not group,
        )
    except (ClientError, BotoCoreError) as error:
        log.warning("the console will not show this message: %s", error)
        return 0


def _current_dag() -> str:
    try:
        return str(get_current_context()["ti"].dag_id)
    except RuntimeError:  # no task runs here
        return ""
