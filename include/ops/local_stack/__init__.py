"""The whole system on one machine: Airflow and the local SageMaker as ordinary processes, bound to 127.0.0.1."""
