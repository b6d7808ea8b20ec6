"""SageMaker jobs that survive the night: operators and a trigger on top of the Amazon provider's.

A job's name follows from Dag, run, task and generation, so a retry finds its job again: it attaches to the one that
runs, takes the result of the one that finished while nobody watched, and starts a new one only after a failure.
Imported by the triggerer and the API server too, where no Dag folder is on the path: nothing here imports ``include``.
"""
