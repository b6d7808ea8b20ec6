"""The tasks that join labels with scores, each named after its id."""

from __future__ import annotations

import json
import logging

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import ModelConfig
from include.models.config.files import LABELLED_ROWS, PERFORMANCE, TO_LABEL, day_of_folder
from include.models.config.performance import Performance
from include.monitor import requests
from include.monitor.labels import Labelled, first_looked_at
from include.platform.clients import s3_client
from include.platform.objects import read_json, write_text
from include.platform.raw_files import list_raw_data
from include.platform.request_parts import Request
from include.platform.run_context import current_run, read_record
from include.platform.storage import performance_of, performance_partition, split_uri
from include.registry.model_index import index_performance
from include.score.tasks import day_of_run

log = logging.getLogger(__name__)

ON_EVENT = "asset_triggered"  # the type of a run started by published scores
SWEEPS = ("scheduled", "manual")


def find_labels(model: ModelConfig, context: Context) -> int:
    """Records which scored days have new or corrected labels; returns their number."""
    environment, run = current_run(context)
    day, s3 = day_of_run(context), s3_client(environment)
    first = first_looked_at(model, day, sweep=context["dag_run"].run_type in SWEEPS)
    due = Labelled(model, s3, environment.bucket).due(first, day)
    log.info("labels of %s to %s: new ones of %s", first, day, ", ".join(due.days) or "no day")
    write_text(s3, run.label_inputs, json.dumps([{"prefix": f"s3://{environment.bucket}/"}, *due.keys]))
    write_text(s3, run.label_plan, json.dumps({"days": due.days, "windows": due.windows}))
    return len(due.days)


def join_labels(model: ModelConfig, context: Context) -> Request:
    """Raises AirflowSkipException: there are no new labels."""
    environment, run = current_run(context)
    plan = read_record(environment, run.label_plan, by="find_labels")
    if not plan["days"] and not plan["windows"]:
        raise AirflowSkipException("no labels have arrived or changed since")
    return requests.join_labels(model, environment, run, days=plan["days"], windows=plan["windows"])


def publish_performance(model: ModelConfig, context: Context) -> list[str]:
    """Publishes the job's results for each day; returns the days.

    A day's file says what it was made from, and is written last: later results, or the same again, replace it whole.
    """
    environment, run = current_run(context)
    s3, bucket = s3_client(environment), environment.bucket
    plan = read_record(environment, run.label_plan, by="find_labels")
    published: list[str] = []
    staged, prefix = list_raw_data(s3, *split_uri(f"{run.joined_labels}/")), split_uri(run.joined_labels)[1]
    for file in sorted(staged, key=lambda one: one["key"].endswith(PERFORMANCE)):
        day, name = day_of_folder(file["key"].removeprefix(prefix)), file["key"].rpartition("/")[2]
        if day is None or day not in {*plan["days"], *plan["windows"]}:
            continue
        if name in (LABELLED_ROWS, TO_LABEL):
            key = f"{performance_partition(model.name, day)}{name}"
            s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": file["key"]})
        elif name == PERFORMANCE:
            found: Performance = read_json(s3, f"s3://{bucket}/{file['key']}")
            found["made_of"] = plan["days"].get(day, found["made_of"])
            write_text(s3, performance_of(bucket, model.name, day), json.dumps(found, indent=1))
            log.info("%s: %d of %d rows have a label", day, found["labelled"], found["rows"])
            published.append(day)
    index_performance(s3, bucket, model, published)
    return published
