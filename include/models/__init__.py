"""A folder for each model, the contract of model.yaml in ``config``, the reader of raw files in ``raw``, and what model
folders offer to the jobs.

The jobs import all of it. The rooms that run in Airflow import ``include.models.config`` only, which is light.
"""
