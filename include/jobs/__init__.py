"""Programs that run inside SageMaker jobs and endpoints, ``python -m jobs.<verb_noun>``; none knows of Airflow."""

import os

# Idle OpenMP threads sleep instead of spinning; read when the libraries are loaded. Where another process wants a core,
# spinning makes fitting eight times slower; where none does, sleeping costs a fifth or less.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
