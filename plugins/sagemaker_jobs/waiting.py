"""How jobs are awaited: the one place for polling.

First, a short wait in the worker: jobs of seconds never defer, which saves two turns of the scheduler. Longer jobs are
deferred to a trigger that never fires in its first seconds. Together these avoid a race in Airflow 3.3: if a trigger
fires before the executor has reported the worker's end, the task fails as "finished with state success, but ...
running" (https://github.com/apache/airflow/issues/71580, https://github.com/apache/airflow/issues/72716). A worker's
supervisor may notice the end as late as ``workers.min_heartbeat_interval``, 5 s, after the deferral: FIRST_LOOK is
longer. It can go when those issues are fixed; the short wait remains worthwhile.
"""

from __future__ import annotations

import os
import random

SHORT_WAIT = 5.0  # seconds that a worker waits before it defers
# the same for a job; a laptop waits longer, as its jobs take seconds
JOB_WAIT_VARIABLE = "AIRFLOW__SAGEMAKER_JOBS__JOB_WAIT"
JOB_WAIT = float(os.environ.get(JOB_WAIT_VARIABLE, SHORT_WAIT))
SHORT_WAIT_STEP = 0.5
FIRST_LOOK = 8.0  # seconds before a trigger looks for the first time
FASTEST, SLOWEST = 1.0, 60.0
SLOWEST_START, USUAL_START = 6.0, 240.0
CALLS_PER_SECOND = 10.0  # per triggerer, over all jobs: Describe quotas are per account


def first_look(waiting: int) -> float:
    """Seconds until a trigger's first look: longer the more wait, as a restarted triggerer starts them all at once."""
    return FIRST_LOOK + random.uniform(0, waiting / CALLS_PER_SECOND)  # noqa: S311 - no secret


def poll_interval(elapsed: float, waiting: int = 1, *, starts: bool = False) -> float:
    """Seconds until the next look at a job that has run, or waited for instances, for ``elapsed`` seconds: a tenth of
    that, within bounds; less while it ``starts``, which usually takes minutes.

    So an end is noticed at most 10 % late, and an hour's job costs about 90 calls, its start-up 60 more. ``waiting``
    jobs share CALLS_PER_SECOND: each of five hundred is looked at every 50 s. Jitter spreads the calls of jobs that
    started together.
    """
    slowest = SLOWEST_START if starts and elapsed < USUAL_START else SLOWEST
    interval = max(FASTEST, min(slowest, elapsed / 10), waiting / CALLS_PER_SECOND)
    return interval * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
