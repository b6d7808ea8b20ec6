"""One try of a job's task in a separate process, for tests to kill: ``run_operator.py <task instance as JSON>``.

Ends with a line of JSON: ``{"deferred": true}``, ``{"result": ...}`` or ``{"error": type, "message": text}``. As in
Airflow's task runner, SIGTERM calls ``on_kill``, and the task continues.
"""

from __future__ import annotations

import json
import signal
import sys
from types import SimpleNamespace
from typing import Any

from airflow.sdk.exceptions import AirflowException, TaskDeferred

from sagemaker_jobs import base
from sagemaker_jobs.processing import ProcessingJobOperator
from tests.include.local_sagemaker import job_requests


def main(arguments: dict[str, Any]) -> dict[str, Any]:
    run = SimpleNamespace(
        **{"dag_id": "dag", "task_id": "job", "map_index": -1, "max_tries": 0, "bucket": "", **arguments}
    )
    run.xcom_push = lambda key, value: None
    folder = "/opt/ml/processing/output/report"
    pause = f"import time; time.sleep({run.seconds})"
    program = f"{pause}; import pathlib; pathlib.Path('{folder}/a.json').write_text('{{}}')"
    outputs = {"report": f"s3://{run.bucket}/{run.run_id}"} if run.bucket else {}
    request = job_requests.processing("", ["python", "-c", program if outputs else pause], outputs=outputs)
    del request["ProcessingJobName"]
    result_file = ("report", "a.json") if outputs else None
    operator = ProcessingJobOperator(task_id="job", request=lambda context: request, result_file=result_file, retries=0)
    base.state_of = lambda task_instance: run.state  # there is no API server
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    context: Any = {"ti": run}
    try:
        return {"result": operator.execute(context)}
    except TaskDeferred:
        return {"deferred": True}
    except AirflowException as error:
        return {"error": type(error).__name__, "message": str(error)}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
