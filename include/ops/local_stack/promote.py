"""``make promote``: brings a model into production. Approves the newest registered version, follows the deployment run
that this starts, shows the promotion packet and asks; ends with a summary, on the screen and in
``promote-summary.json``, and a first prediction of the production endpoint.

Meanwhile a client calls the production endpoint, if one exists, 20 times a second; its failed requests are
counted. Exit status: 0 if the run succeeded (promoted or not, as decided), 1 if it failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from include.deploy.approval_events import APPROVE, REJECT
from include.deploy.endpoint_checks import load_golden_requests
from include.models.config import load_model, model_names
from include.ops import Json
from include.ops.local_stack import run as training
from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.arguments import check_model
from include.ops.local_stack.command import carry_out, write_summary
from include.ops.local_stack.processes import wait_until
from include.ops.local_stack.raw_data import RawDataError
from include.ops.local_stack.run import FINISHED, Step
from include.ops.local_stack.seed import aws_client, newest_days
from include.ops.local_stack.settings import BUCKET, Settings
from include.platform.raw_files import list_raw_data
from include.platform.request_parts import endpoint_name, group_name
from include.platform.storage import golden_requests_of, raw_prefix
from include.registry.history import current, read_history

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient

QUESTION = "approve_production"
NEXT_DAYS = 7  # days to suggest for scoring next
# the newest days are not suggested: where the data ends, rows and labels are missing, and monitoring would say so
CUT_SHORT = timedelta(days=2)
REQUEST_SECONDS = 0.05


class PromotionError(RuntimeError):
    """There is nothing to promote; the message says why."""


@dataclass
class Client:
    """Statistics of a client of the production endpoint."""

    requests: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def asking(runtime: SageMakerRuntimeClient, endpoint: str, body: str | None) -> Iterator[Client]:
    """A client that calls the endpoint 20 times a second meanwhile; idle without a request body."""
    seen, stop = Client(), threading.Event()

    def ask() -> None:
        while not stop.wait(REQUEST_SECONDS):
            seen.requests += 1
            try:
                invoke(runtime, endpoint, str(body))
            except (ClientError, BotoCoreError) as error:
                seen.failures.append(str(error))

    thread = threading.Thread(target=ask, name="client", daemon=True)
    if body is not None:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        if body is not None:
            thread.join()


def invoke(runtime: SageMakerRuntimeClient, endpoint: str, body: str) -> Any:
    answer = runtime.invoke_endpoint(
        EndpointName=endpoint, Body=body, ContentType="application/json", Accept="application/json"
    )
    return json.loads(answer["Body"].read())


def promote(settings: Settings, model: str, yes: bool, console: Console) -> Json:
    """All of ``make promote`` up to its summary.

    Raises:
        ProcessError, SeedError, RawDataError, ConfigError, PromotionError: with a message for the user.
    """
    config = load_model(check_model(model))
    group, endpoint, dag_id = group_name(config), endpoint_name(config, "production"), f"deploy_{model}"
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    stack.up(settings, say)
    api = AirflowApi(settings.airflow_url, settings.login)
    sagemaker, s3, runtime = (aws_client(settings, name) for name in ("sagemaker", "s3", "sagemaker-runtime"))
    package = require_package(settings, model, group, console)
    training.require_dag(api, dag_id)
    api.unpause(dag_id)
    before = current(read_history(s3, BUCKET, model))
    if warning := last_training(api, f"train_{model}"):
        say(warning)
    if before and before.version == package["ModelPackageVersion"] and _is_in_service(sagemaker, endpoint):
        since = f"{before.since:%Y-%m-%d %H:%M} UTC"
        say(f"version {before.version} of {model} is in production since {since}: nothing to do")
        return {"state": "in_production", "version": before.version, "next": next_step(settings, model)}
    body = (
        _golden_request(s3, sagemaker.describe_model_package(ModelPackageName=before.model_package_arn))
        if before
        else None
    )
    began = time.monotonic()
    with asking(runtime, endpoint, body) as client:
        run_id = _start(api, dag_id, sagemaker, package, say)
        say(f"following {dag_id}: {settings.airflow_url}/dags/{dag_id}/runs/{run_id}")
        state = training.follow(api, dag_id, run_id, console, _asks)
        if state not in FINISHED:
            _answer(api, dag_id, run_id, settings, yes, console)
            state = training.follow(api, dag_id, run_id, console)
    summary = summary_of(api, dag_id, run_id, state, package=package, client=client, seconds=time.monotonic() - began)
    return summary | {
        "first_prediction": _first_prediction(runtime, endpoint, s3, package),
        "next": next_step(settings, model) if summary["state"] == "promoted" else "",
    }


def last_training(api: AirflowApi, dag_id: str) -> str:
    """A warning about the newest training, before an older version is promoted; empty if there is none."""
    run_id = next(iter(api.run_ids(dag_id)), None)
    if run_id is None:
        return ""
    states = {task["task_id"]: task["state"] for task in api.task_instances(dag_id, run_id)}
    if states.get("reject_model") == "success":
        return f"the last training, run {run_id}, was rejected and registered nothing: this is an older version"
    if "failed" in states.values():
        return f"the last training, run {run_id}, failed: this is an older version"
    return ""


def next_step(settings: Settings, model: str) -> str:
    """The suggested next command, with existing days; empty for a model that is not scored daily."""
    if not load_model(model).scoring:
        return ""
    try:
        days = newest_days(settings, model, NEXT_DAYS + CUT_SHORT.days)
    except RawDataError:
        return ""  # a failed hint must not fail the command
    if not days:
        return ""
    last = max(days[0], (date.fromisoformat(days[1]) - CUT_SHORT).isoformat())
    return f"make backfill MODEL={model} FROM={days[0]} TO={last}"


def summary_of(
    api: AirflowApi, dag_id: str, run_id: str, state: str, *, package: Json, client: Client, seconds: float
) -> Json:
    """The content of promote-summary.json; ``state`` is promoted, not_promoted or failed."""
    steps = training.steps_of(api, dag_id, run_id, api.task_ids(dag_id))
    recorded = api.xcom(dag_id, run_id, "record_promotion") or {}
    champion = (api.xcom(dag_id, run_id, "resolve_package") or {}).get("champion") or {}
    outcome = {"success": "promoted" if recorded else "not_promoted"}.get(state, "failed")
    return {
        "state": outcome,
        "model_package_arn": package["ModelPackageArn"],
        "version": package["ModelPackageVersion"],
        "staging": _latency(api.xcom(dag_id, run_id, "test_staging")),
        "production": _latency(api.xcom(dag_id, run_id, "test_production")),
        "client_requests": client.requests,
        "failed_client_requests": len(client.failures),
        "client_failures": client.failures[:5],
        "previous_version": champion.get("version"),
        "dag_id": dag_id,
        "run_id": run_id,
        "steps": [{"task_id": step.task_id, "state": step.state, "seconds": step.seconds} for step in steps],
        "reasons": training.reasons_of(api, dag_id, run_id, steps),
        "total_seconds": round(seconds, 1),
    }


def show(summary: Json, settings: Settings, console: Console) -> None:
    say = partial(console.print, highlight=False, soft_wrap=True)
    colour = {"promoted": "green", "not_promoted": "yellow"}.get(summary["state"], "red")
    said = summary["state"].replace("_", " ")
    console.rule(f"{summary['dag_id']}: [{colour}]version {summary['version']} {said}[/]")
    console.print(training.step_table([Step(**step, try_number=0) for step in summary["steps"]]))
    for task_id, reason in summary["reasons"].items():
        say(f"[red]{task_id} failed:[/] {escape(reason)}\n")
    rows = [("model package", summary["model_package_arn"])]
    for stage in ("staging", "production"):
        if report := summary[stage]:
            rows.append((stage, f"p50 {report['p50_ms']} ms, p99 {report['p99_ms']} ms, golden requests answered"))
    rows.append(("version before", str(summary["previous_version"] or "none")))
    if summary["client_requests"]:
        rows.append(
            ("client meanwhile", f"{summary['client_requests']} requests, {summary['failed_client_requests']} failed")
        )
    if summary["first_prediction"]:
        rows.append(("first prediction", json.dumps(summary["first_prediction"])))
    rows += [
        ("Airflow", f"{settings.airflow_url}/dags/{summary['dag_id']}/runs/{summary['run_id']}"),
        ("this summary", str(settings.home / "promote-summary.json")),
    ]
    if summary["state"] == "promoted" and summary["previous_version"]:
        rows.append(("to go back", f"trigger rollback for {summary['dag_id'].removeprefix('deploy_')} in Airflow"))
    for title, value in rows:
        say(f"{title:20}{escape(value)}")
    _say_next(summary, console)


def _say_next(summary: Json, console: Console) -> None:
    if summary.get("next"):
        console.print(f"next: {summary['next']}", highlight=False, markup=False, soft_wrap=True)
        console.print("      its price on AWS: the same with DRY_RUN=1", highlight=False)


def _is_in_service(sagemaker: SageMakerClient, endpoint: str) -> bool:
    try:
        return sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "InService"
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return False  # someone deleted it: promoting creates it again


def _newest_package(sagemaker: SageMakerClient, group: str) -> Json | None:
    try:
        found = sagemaker.list_model_packages(
            ModelPackageGroupName=group, SortBy="CreationTime", SortOrder="Descending", MaxResults=1
        )["ModelPackageSummaryList"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationException":
            raise
        return None  # the first registration creates the group
    return dict(sagemaker.describe_model_package(ModelPackageName=found[0]["ModelPackageArn"])) if found else None


def require_package(settings: Settings, model: str, group: str, console: Console) -> Json:
    """The newest registered version; trains one, on generated data, if the model has neither a version nor raw data.

    Raises:
        PromotionError: the training registered no version.
    """
    sagemaker = aws_client(settings, "sagemaker")
    if package := _newest_package(sagemaker, group):
        return package
    if list_raw_data(aws_client(settings, "s3"), BUCKET, raw_prefix(model)):  # generated data must not replace it
        raise PromotionError(
            f"no version of {model} is registered: the training on its raw data failed, or a gate rejected it. The "
            f"evaluation report says which; then run 'make run MODEL={model}' again, with the same DATA"
        )
    console.print(f"{group} has no registered version yet: training one first, as make run does")
    outcome = training.run(settings, model, None, console)
    training.show(outcome, settings, console)
    package = _newest_package(sagemaker, group)
    if package is None:
        raise PromotionError(f"the training run of {model} registered no version; see above")
    return package


def _start(api: AirflowApi, dag_id: str, sagemaker: SageMakerClient, package: Json, say: Callable[[str], None]) -> str:
    """Approves the version and waits for the run that this starts; deploys an already approved one by number."""
    arn, version = package["ModelPackageArn"], package["ModelPackageVersion"]
    known = set(api.run_ids(dag_id))
    if package["ModelApprovalStatus"] == "Approved":
        say(f"version {version} is already approved: triggering its deployment")
        return api.trigger(dag_id, {"version": version})
    sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="approved by make promote"
    )
    say(f"approved {arn}; the approval starts the deployment")
    wait_until(lambda: set(api.run_ids(dag_id)) - known, f"a run of {dag_id} starting", 180)
    return next(run_id for run_id in api.run_ids(dag_id) if run_id not in known)


def _asks(steps: list[Step]) -> bool:
    return any(step.task_id == QUESTION and step.state == "awaiting_input" for step in steps)


def _answer(api: AirflowApi, dag_id: str, run_id: str, settings: Settings, yes: bool, console: Console) -> None:
    question = api.question(dag_id, run_id, QUESTION)
    console.print(Markdown(f"**{question['subject']}**\n\n{question['body']}"))
    page = f"{settings.airflow_url}/dags/{dag_id}/runs/{run_id}/tasks/{QUESTION}/required_actions"
    if yes:
        console.print("YES=1: answering yes", highlight=False)
        api.answer(dag_id, run_id, QUESTION, APPROVE, {"reason": "make promote YES=1"})
    elif console.is_terminal and sys.stdin.isatty():
        approved = console.input(f"{escape(question['subject'])} [y/N] ").strip().lower() in ("y", "yes")
        reason = console.input("Why? (may stay empty) ").strip()
        api.answer(dag_id, run_id, QUESTION, APPROVE if approved else REJECT, {"reason": reason})
    else:
        console.print(f"no terminal to ask on; answer in Airflow: {page}", highlight=False, soft_wrap=True)


def _golden_request(s3: S3Client, package: Json) -> str:
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    return json.dumps(load_golden_requests(s3, golden_requests_of(statistics))[0]["features"])


def _first_prediction(runtime: SageMakerRuntimeClient, endpoint: str, s3: S3Client, package: Json) -> Any:
    """A prediction of the production endpoint, whatever it serves; None if there is none."""
    try:
        return invoke(runtime, endpoint, _golden_request(s3, package))["predictions"][0]
    except ClientError:
        return None


def _latency(report: Json | None) -> Json | None:
    return {name: report[name] for name in ("p50_ms", "p99_ms", "golden_ok")} if report else None


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help=f"one of: {', '.join(model_names())}")
    parser.add_argument("--yes", action="store_true", help="answer yes")
    arguments = parser.parse_args(argv)
    console = Console()

    def work(settings: Settings) -> int:
        summary = promote(settings, arguments.model, arguments.yes, console)
        write_summary(settings, "promote-summary.json", summary)
        if summary["state"] == "in_production":
            _say_next(summary, console)
            return 0
        show(summary, settings, console)
        training.show_next_runs(settings, console)
        return 1 if summary["state"] == "failed" else 0

    return carry_out(work, console, PromotionError)


if __name__ == "__main__":
    sys.exit(main())
