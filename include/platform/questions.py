"""Tells people that a task waits for their answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from airflow.sdk import Context
from airflow.sdk.bases.notifier import BaseNotifier

from include.platform.notifications import notify

if TYPE_CHECKING:
    from airflow.providers.standard.operators.hitl import HITLOperator


class QuestionNotifier(BaseNotifier):
    """Sends the question, the address of its form, and what happens without an answer."""

    template_fields: Sequence[str] = ()

    def __init__(self, otherwise: str) -> None:
        super().__init__()
        self.otherwise = otherwise

    def notify(self, context: Context) -> None:
        asking = cast("HITLOperator", context["task"])
        form = asking.generate_link_to_ui(task_instance=context["ti"])
        about = f"{asking.subject} {context['ti'].run_id}"
        notify(asking.subject, f"{asking.body or ''}\n\nAnswer: {form}\n\n{self.otherwise}".strip(), group=about)
