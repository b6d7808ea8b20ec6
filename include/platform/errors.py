"""The base of errors that end a task at once."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowFailException


class PermanentError(AirflowFailException):
    """An error that no retry fixes: Airflow fails the task at once, whatever retries it has left.

    The message is for the person on call: what failed, why, where to look, what to do. Anything else that a task raises
    is retried.
    """
