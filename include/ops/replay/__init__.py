"""Which policy of retraining pays: past days lived through once more, for each policy, on a local SageMaker.

``world`` is what such a life goes on in, ``policy`` lives it, ``page`` shows what came of each. What is decided, asked
for and run are the Dags' own tasks and jobs; only Airflow is absent, and the clock is the replay's.
"""
