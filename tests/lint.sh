#!/usr/bin/env bash
# Style, types, borders between the parts, and generated files. Reports everything before it fails.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
check() { # name, command...
  local name=$1
  shift
  printf -- '--- %s\n' "$name"
  "$@" || failed=1
}

check "ruff check" .venv/dev/bin/ruff check .
check "ruff format" .venv/dev/bin/ruff format --check .
# two worlds, two interpreters: what Airflow imports, and what runs inside jobs
check "mypy: Airflow's side" env MYPYPATH=plugins .venv/dev/bin/mypy --python-executable .venv/airflow/bin/python \
  dags plugins include/*.py include/pipelines include/laptop include/mwaa
check "mypy: jobs and models" env -C include MYPYPATH=. ../.venv/dev/bin/mypy --config-file ../pyproject.toml \
  --python-executable ../.venv/jobs/bin/python jobs models
check "mypy: the local SageMaker" .venv/dev/bin/mypy --python-executable .venv/local_sagemaker/bin/python \
  include/local_sagemaker
check "import borders" env PYTHONPATH=.:plugins .venv/dev/bin/lint-imports
check "README's table of Dags" env PYTHONPATH=.:plugins .venv/airflow/bin/python -m include.laptop.dag_table --check README.md
exit $failed
