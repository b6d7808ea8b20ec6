"""Programs that run inside SageMaker jobs and endpoints: ``python -m include.jobs.<verb_noun>``.

The programs are this folder's modules; what they share is in rooms by subject. Nothing here knows Airflow: it imports
``include.models`` and the libraries of the job image, nothing else of the repository.
"""

import gc
import os
import sys

# Idle OpenMP threads sleep instead of spinning; read when the libraries are loaded. If another process wants a core,
# spinning makes fitting eight times slower; if none does, sleeping costs a fifth or less.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A program's imports create a million objects that stay: garbage collection over them takes a seventh of its start.
# run_program turns it on again. (Python's argv[0] while it looks for a module to run.)
if sys.argv[0] == "-m":
    gc.disable()
