"""Which failures are retried, and when."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from airflow.sdk import Context, RetryDecision, RetryPolicy
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_jobs.failures import NoCapacity, QuotaReached, Throttled, is_transient

LONGEST_DELAY = timedelta(hours=2)
QUOTA_TRIES = 3  # a quarter of an hour in all: if no job ended by then, waiting longer does not help


@dataclass(frozen=True)
class SageMakerRetryPolicy(RetryPolicy):
    """Lack of capacity and throttling are waited out with growing delays; what no retry can fix fails at once.

    Everything else is retried as the Dag says. ``JobFailed`` and ``RequestRefused`` never get here: Airflow does not
    retry them anyway. No policy can grant more tries than the task's ``retries``.

    Args:
        capacity: first delay after SageMaker had no capacity; doubled each time.
        quota: likewise, after the account's quota was reached; given up after three.
        throttling: likewise, after too many API calls.
    """

    capacity: timedelta = timedelta(minutes=5)
    throttling: timedelta = timedelta(minutes=1)
    quota: timedelta = timedelta(minutes=2)

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        retries = context["ti"].task.retries if context else max_tries
        # try numbers go on after the task is cleared; the delay starts over
        tries = max(1, try_number - max(0, max_tries - (retries or 0)))
        if isinstance(exception, NoCapacity):
            return _later(self.capacity, tries, "SageMaker lacks capacity")
        if isinstance(exception, QuotaReached):
            if tries > QUOTA_TRIES:
                return RetryDecision.fail("a quota is reached, and waiting did not help")
            return _later(self.quota, tries, "a quota of the account is reached")
        if isinstance(exception, (ClientError, BotoCoreError)) and not is_transient(exception):
            return RetryDecision.fail(f"no retry can fix this: {exception}")
        if isinstance(exception, (Throttled, ClientError, BotoCoreError)):
            return _later(self.throttling, tries, "AWS throttles or does not answer")
        return RetryDecision.default()

    def serialize(self) -> dict[str, float]:
        return {
            "capacity": self.capacity.total_seconds(),
            "throttling": self.throttling.total_seconds(),
            "quota": self.quota.total_seconds(),
        }


def _later(first: timedelta, tries: int, reason: str) -> RetryDecision:
    delay = min(first * 2 ** (tries - 1), LONGEST_DELAY)
    # many tasks fail together when capacity runs out; they should not all retry together
    return RetryDecision.retry(delay * random.uniform(1.0, 1.25), reason)  # noqa: S311 - no secret
