"""SageMaker jobs that survive the night: operators and a trigger built on the Amazon provider's.

A job's name is derived from its Dag, run, task and generation, so a retry finds its job again: it attaches to one that
runs, takes the result of one that finished unwatched, and starts a new one only after a failure. The triggerer and the
API server import this too, without a Dag folder on their path, so nothing here imports ``include``.
"""

import logging

# each client would note where it found credentials and its endpoint, before what matters in a task's log; Airflow's
# logging.namespace_levels has no effect on loggers of the standard library
logging.getLogger("botocore").setLevel(logging.WARNING)
