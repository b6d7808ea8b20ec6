"""A folder per model, the contract of model.yaml in ``config``, the reader of raw files in ``raw``, and what model
folders offer to the jobs.

The jobs import all of it. The rooms that run in Airflow import only ``include.models.config``, which is light.
"""
