"""The whole system on one machine: Airflow and the local SageMaker as ordinary processes, bound to 127.0.0.1.

Imported by the rest of ops, whose proofs and checks run on it; it imports every room but ``jobs`` and ``mwaa``.
"""
