"""The way to Amazon MWAA: its artifacts (``bundle``), their check without AWS (``check``) and the ``deploy``.

Imported by the modules of ops alone; it imports ``local_stack``, for its proofs, and what ops may import.
"""

AIRFLOW_VERSION = "3.3.1"  # of the MWAA environment; constraints.txt is Airflow's own for this version
