"""Which retraining policy pays off: replays past days under each policy, on a local SageMaker.

``world`` is a replay's environment, ``policy`` runs it, ``page`` shows the results. Decisions, requests and jobs are
the Dags' own; only Airflow is absent, and the clock is the replay's.
"""
