"""The console: every model's state, versions, scored days and pending decisions, with buttons to act on them.

It reads the index objects that the Dags write to S3, and calls Airflow's REST API with the rights of the signed-in
user; it never reads the metadata database. It does not import ``include``, which MWAA's API server does not have.
"""
