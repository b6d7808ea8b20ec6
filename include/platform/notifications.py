"""The one place that sends notifications: to an SNS topic, a chat, the console, and the task's log."""

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
PATIENCE = 10  # seconds that a chat has to accept a message
TEAMS = (".webhook.office.com", ".logic.azure.com", ".powerplatform.com")


def notify(subject: str, message: str, *, group: str = "", dag_id: str = "") -> None:
    """Sends a notification.

    Args:
        subject: one line; cut at 100 characters.
        message: plain text: what happened, why, where to look, what to do.
            group: what the message is about. A group sends at most one message an hour; others are counted, and all of
                them are on the console's Messages page. Without a group the message is always sent.
        dag_id: the Dag that sends it, if no task is running (in a callback). The console shows it to users who may see
            that Dag.

    Raises:
        NoMlEnvironmentError, MlEnvironmentError: the environment's settings cannot be read.
        botocore.exceptions.ClientError: publishing to the topic failed.
    """
    environment = ml_environment()
    before = _recorded(environment, subject, message, group, dag_id or _current_dag())
    topic = environment.sns_topic_arn
    log.info("notification to %s: %s\n%s", topic or "the console (no sns_topic_arn is set)", subject, message)
    if before is None:
        log.info("the last message about '%s' was sent less than an hour ago: this one is only counted", group)
        return
    if group:
        message += "\n\nMore of this kind within an hour is counted, not sent: see Messages in the console."
    if before:
        message += f"\n\n{before} more of this kind came since the last message."
    if topic:
        # imported here: Dag files import this module, and parsing must stay cheap
        from airflow.providers.amazon.aws.hooks.sns import SnsHook

        line, text = mail(subject, message)
        SnsHook(region_name=environment.region).publish_to_target(topic, text, subject=line)
    if environment.chat_connection:
        _tell_chat(environment.chat_connection, subject, message)


def notify_failure(context: Context, owners: Mapping[str, str] | None = None, model: str | None = None) -> None:
    """``on_failure_callback`` of every task. Reports the failed task, run, model, owner and reason, with the addresses
    of the log and the runbook; the last line of the task's log sums it up.

    Args:
        owners: by model, for a Dag that serves all models and has the run's model in its form.
        model: the run's model, if the form does not have it.
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
    finally:  # readers of a failed task's log start at its end
        log.error("%s: %s What to do: %s", subject, str(reason).strip().partition("\n")[0], todo)


def runbook(log_url: str, dag_id: str, task_id: str) -> str:
    """The address of a Dag's runbook entry for a failed task."""
    return console_page(log_url, f"runbook/{dag_id}#{task_id.rpartition('.')[2]}")


def console_page(log_url: str, path: str) -> str:
    """The address of a page of the console, in the Airflow that has the task's log."""
    return f"{log_url.partition('/dags/')[0]}/models/{path}"


def chat_body(address: str, subject: str, message: str) -> dict[str, Any]:
    """The body of a chat's webhook: a card for Teams, ``text`` for Slack and most others."""
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
    """An unreachable chat fails no task: the mail and the console have the message too."""
    import httpx
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    try:
        address = str(Connection.get(connection).password or "")
        httpx.post(address, json=chat_body(address, subject, message), timeout=PATIENCE).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL, AirflowException, AirflowRuntimeError) as error:
        # the error's text may contain the address, which is a secret
        log.warning("the chat of connection '%s' could not be notified: %s", connection, type(error).__name__)


def _recorded(environment: MlEnvironment, subject: str, message: str, group: str, dag_id: str) -> int | None:
    """As ``messages.record``; a message that cannot be recorded is still sent."""
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
    except RuntimeError:  # no task is running
        return ""
