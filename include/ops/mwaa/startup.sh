#!/usr/bin/env bash
# Runs on every MWAA machine before its requirements are installed. What it exports reaches tasks, the scheduler and the
# triggerer; what it prints is in the log group of the component, under "startup_script_execution".
set -euo pipefail

# Throttled and broken-off calls of every AWS client are tried again by botocore itself, with growing pauses.
export AWS_RETRY_MODE=standard
export AWS_MAX_ATTEMPTS=10

echo "startup: ${MWAA_AIRFLOW_COMPONENT:-unknown component}, $(python3 --version), region ${AWS_REGION:-unknown}"
