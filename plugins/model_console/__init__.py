"""The console: every model's state, versions, scored days and waiting decisions, and the buttons that a person needs.

It reads the index objects that the Dags write to S3, and Airflow's own REST API with the rights of whoever looks; never
the metadata database. It imports nothing of ``include``, which MWAA's API server does not have.
"""
