#!/usr/bin/env bash
# Known vulnerabilities of everything that is installed, by PyPI's own database. A finding that is lived with has a line
# in tests/audit-accepted.txt: its id, and after a # why it does no harm here and when it is to be looked at again.
# --strict: a package index that has no such database is a failure, not a clean result.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=0
accepted=()
while read -r id reason; do
  case $id in '' | '#'*) continue ;; esac
  [ -n "$reason" ] || { echo "tests/audit-accepted.txt: $id has no reason"; exit 2; }
  accepted+=(--ignore-vuln "$id")
done <tests/audit-accepted.txt
audit() {
  printf -- '--- %s\n' "$1"
  shift
  .venv/dev/bin/pip-audit --strict --progress-spinner off "${accepted[@]}" "$@" || failed=1
}
for file in include/jobs include/online include/local_sagemaker include/ops/local_stack tests tests/checkov; do
  audit "$file/requirements.txt" --requirement "$file/requirements.txt" --disable-pip --require-hashes
done
# what MWAA's image holds, with what this repository adds: its versions are AWS's to change
audit "MWAA" --path .venv/mwaa/lib/python3.12/site-packages
exit $failed
