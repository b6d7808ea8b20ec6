"""``make run``: brings the stack up, puts data in place, triggers ``train_<model>``, follows it step by step and ends
with a summary, on the screen and in ``run-summary.json``.

Exit status: 0 if the run succeeded (registered, rejected by a gate, or skipped because nothing changed since the last
training, which the summary says), 1 if it failed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from include.deploy.serving_modes import mode_of
from include.models.config import load_model, model_names
from include.models.config.judging import told_of_suspects
from include.ops import Json
from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.arguments import check_data, check_model
from include.ops.local_stack.command import carry_out, write_summary
from include.ops.local_stack.processes import ProcessError, wait_until
from include.ops.local_stack.seed import raw_files, seed
from include.ops.local_stack.settings import BUCKET, REGION, Settings
from include.ops.local_stack.status import next_runs
from include.platform.run_folders import Run

FINISHED = ("success", "failed")
ENDED = (*FINISHED, "skipped", "upstream_failed")  # of a step
LONGEST_SILENCE = 10.0  # seconds, where the screen is a file
SYMBOLS = {
    "success": "[green]✓[/]",
    "failed": "[red]✗[/]",
    "upstream_failed": "[red]·[/]",
    "skipped": "[dim]–[/]",
    "running": "[yellow]●[/]",
    "deferred": "[yellow]◌[/]",
    "awaiting_input": "[yellow]?[/]",
    "up_for_retry": "[yellow]↻[/]",
}


@dataclass(frozen=True)
class Step:
    """One task of the run: its state in Airflow, and the seconds from its start to its end or now."""

    task_id: str
    state: str
    seconds: float
    try_number: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of a finished run; ``summary`` is the content of run-summary.json."""

    summary: Json
    reasons: dict[str, str]

    @property
    def next_step(self) -> str:
        """The suggested next command; empty after a failure, whose message has it."""
        if self.summary["state"] != "success":
            return ""
        model = self.summary["dag_id"].removeprefix("train_")
        if self.summary["model_package_arn"]:
            return f"make promote MODEL={model}"
        if any(step["task_id"] == "reject_model" and step["state"] == "success" for step in self.summary["steps"]):
            return "look at the evaluation report: it says which gates were missed, and by how much"
        return f"make promote MODEL={model}, for the newest version that is registered"


def steps_of(api: AirflowApi, dag_id: str, run_id: str, order: list[str]) -> list[Step]:
    instances = {instance["task_id"]: instance for instance in api.task_instances(dag_id, run_id)}
    return [_step(instances[task_id]) for task_id in order if task_id in instances]


def _step(instance: Json) -> Step:
    seconds = 0.0
    if instance["start_date"]:
        start = datetime.fromisoformat(instance["start_date"])
        end = datetime.fromisoformat(instance["end_date"]) if instance["end_date"] else datetime.now(start.tzinfo)
        seconds = max(0.0, (end - start).total_seconds())
    return Step(instance["task_id"], instance["state"] or "waiting", round(seconds, 1), instance["try_number"])


def follow(
    api: AirflowApi,
    dag_id: str,
    run_id: str,
    console: Console,
    pause: Callable[[list[Step]], bool] = lambda steps: False,
) -> str:
    """Shows the run's steps live; returns its final state, or its state when ``pause`` of its steps is true."""
    order = api.task_ids(dag_id)
    if not console.is_terminal:
        return _follow_lines(api, dag_id, run_id, order, console, pause)
    with Live(console=console, refresh_per_second=4, transient=True) as live:  # the summary shows it again
        while True:
            state = api.run_state(dag_id, run_id)
            steps = steps_of(api, dag_id, run_id, order)
            live.update(step_table(steps))
            if state in FINISHED or pause(steps):
                return state
            time.sleep(0.5)


def _follow_lines(
    api: AirflowApi,
    dag_id: str,
    run_id: str,
    order: list[str],
    console: Console,
    pause: Callable[[list[Step]], bool],
) -> str:
    """The same for a log file: one line whenever a step changes its state, and after ten seconds without one those that
    go on."""
    shown: dict[str, str] = {}
    said_at = time.monotonic()
    while True:
        state = api.run_state(dag_id, run_id)
        steps = steps_of(api, dag_id, run_id, order)
        news = [step for step in steps if step.state not in ("waiting", shown.get(step.task_id))]
        if not news and time.monotonic() - said_at >= LONGEST_SILENCE:
            news = [step for step in steps if step.state not in (*ENDED, "waiting")]
        for step in news:
            console.print(f"  {step.task_id:24}{step.state:16}{step.seconds:6.1f} s", highlight=False)
            shown[step.task_id] = step.state
            said_at = time.monotonic()
        if state in FINISHED or pause(steps):
            return state
        time.sleep(0.5)


def step_table(steps: list[Step]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title, justify in (("", "left"), ("step", "left"), ("state", "left"), ("seconds", "right")):
        table.add_column(title, justify=justify)  # type: ignore[arg-type]
    for step in steps:
        seconds = f"{step.seconds:.1f}" if step.seconds else ""
        table.add_row(SYMBOLS.get(step.state, "[dim] [/]"), step.task_id, step.state, seconds)
    return table


def outcome_of(api: AirflowApi, dag_id: str, run_id: str, state: str, total_seconds: float) -> Outcome:
    steps = steps_of(api, dag_id, run_id, api.task_ids(dag_id))
    evaluated = api.xcom(dag_id, run_id, "evaluate_model") or {}
    registered = api.xcom(dag_id, run_id, "register_model") or {}
    summary = {
        "dag_id": dag_id,
        "run_id": run_id,
        "state": state,
        "model_package_arn": registered.get("arn"),
        "metrics": (evaluated.get("result") or {}).get("metrics", {}),
        "tracking": (evaluated.get("result") or {}).get("tracking"),
        "suspicion": told_of_suspects(evaluated["result"]) if evaluated.get("result") else [],
        "gates": api.xcom(dag_id, run_id, "check_metrics", key="gates") or [],
        "costs": api.xcom(dag_id, run_id, "record_training", key="costs"),
        "steps": [{"task_id": step.task_id, "state": step.state, "seconds": step.seconds} for step in steps],
        "total_seconds": round(total_seconds, 1),
    }
    return Outcome(summary, reasons_of(api, dag_id, run_id, steps))


def reasons_of(api: AirflowApi, dag_id: str, run_id: str, steps: list[Step]) -> dict[str, str]:
    """The reasons of failed steps, from their logs."""
    return {
        step.task_id: api.failure_reason(dag_id, run_id, step.task_id, step.try_number)
        for step in steps
        if step.state == "failed"
    }


def show(outcome: Outcome, settings: Settings, console: Console) -> None:
    summary = outcome.summary
    console.rule(f"{summary['dag_id']}: {_verdict(summary)}")
    console.print(step_table([Step(step["task_id"], step["state"], step["seconds"], 0) for step in summary["steps"]]))
    console.print(f"total {summary['total_seconds']:.1f} s from trigger to end")
    if costs := summary["costs"]:
        on_aws = f"on AWS in {REGION}: {costs['actual_usd']} USD, estimated {costs['estimated_usd']} USD"
        jobs = f"{costs['jobs']} SageMaker job{'' if costs['jobs'] == 1 else 's'}"
        console.print(f"{jobs}; {on_aws}\n", highlight=False)
    if summary["gates"]:
        gates = Table("gate", "threshold", "value", "", box=None, pad_edge=False)
        for gate in summary["gates"]:
            mark = "[green]passed[/]" if gate["passed"] else "[red]not passed[/]"
            gates.add_row(gate["metric"], f"{gate['threshold']:.6g}", _number(gate["value"]), mark)
        console.print(gates, "")
    for sentence in summary["suspicion"]:
        console.print(f"[yellow]{escape(sentence)}.[/]\n", highlight=False, soft_wrap=True)
    if summary["tracking"]:
        console.print("[yellow]MLflow lacks part of it:[/] " + escape(summary["tracking"]) + "\n", soft_wrap=True)
    for task_id, reason in outcome.reasons.items():
        console.print(f"[red]{task_id} failed:[/] {escape(reason)}\n", highlight=False, soft_wrap=True)
    for title, link in _links(summary, settings):
        console.print(f"{title:20}{link}", highlight=False, markup=False, soft_wrap=True)
    if outcome.next_step:
        console.print(f"next: {outcome.next_step}", highlight=False, markup=False, soft_wrap=True)
    if summary["model_package_arn"]:
        model = load_model(summary["dag_id"].removeprefix("train_"))
        usd = mode_of(model).monthly_usd(model.serving, REGION)
        costs = mode_of(model).unknown_cost(model.serving, REGION) if usd is None else f"about {usd:.0f} USD a month"
        console.print(f"      its endpoint costs, on AWS: {costs}; nothing here", highlight=False, soft_wrap=True)


def show_next_runs(settings: Settings, console: Console) -> None:
    """What now starts without being asked, and when."""
    for line in next_runs(AirflowApi(settings.airflow_url, settings.login).unpaused()):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.6g}"


def _verdict(summary: Json) -> str:
    if summary["state"] != "success":
        return "[red]failed[/]"
    if any(step["task_id"] == "prepare_data" and step["state"] == "skipped" for step in summary["steps"]):
        return "[yellow]skipped, nothing changed since the last training[/] (FORCE=1 trains anyway)"
    return "[green]registered[/]" if summary["model_package_arn"] else "[yellow]rejected, nothing registered[/]"


def _links(summary: Json, settings: Settings) -> list[tuple[str, str]]:
    run = Run(bucket=BUCKET, dag_id=summary["dag_id"], run_id=summary["run_id"])
    pages = {
        "raw data validation": run.validation_page("validate_raw_data"),
        "feature validation": run.validation_page("validate_features"),
        "evaluation report": run.evaluation_report,
    }
    addresses = {title: uri.replace("s3://", f"{settings.sagemaker_url}/_local/s3/") for title, uri in pages.items()}
    # a stopped run has written only some; the validation that stopped it has, and its page says why
    links = [(title, url) for title, url in addresses.items() if httpx.get(url, trust_env=False).is_success]
    if summary["model_package_arn"]:
        links.insert(0, ("model package", summary["model_package_arn"]))
    return [
        *links,
        ("Airflow", f"{settings.airflow_url}/dags/{summary['dag_id']}/runs/{summary['run_id']}"),
        ("local SageMaker", f"{settings.sagemaker_url}/_local/"),
        ("this summary", str(settings.home / "run-summary.json")),
        ("to stop all of it", "make down"),
    ]


def require_dag(api: AirflowApi, dag_id: str) -> None:
    """Waits for the Dag to be parsed; shows import errors instead of waiting if there are any."""

    def parsed() -> bool:
        if dag_id in api.dag_ids():
            return True
        if errors := api.import_errors():
            shown = "\n".join(f"{name}:\n{trace}" for name, trace in errors.items())
            raise ProcessError(f"{dag_id} is missing, and the Dag folder has errors:\n{shown}")
        return False

    wait_until(parsed, f"{dag_id} being parsed", 120)


def run(settings: Settings, model: str, data: Path | None, console: Console, *, force: bool = False) -> Outcome:
    """All of ``make run`` up to its outcome.

    Raises:
        ArgumentsError, ProcessError, RawDataError, ConfigError: with a message for the user.
    """
    config = load_model(check_model(model))
    if data:
        check_data(data, raw_files(config))
    dag_id = f"train_{model}"
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    stack.up(settings, say)
    seed(settings, model, data, say)
    api = AirflowApi(settings.airflow_url, settings.login)
    require_dag(api, dag_id)
    api.unpause(dag_id)
    run_id = api.trigger(dag_id, conf={"force": True} if force else {})
    began = time.monotonic()
    say(f"triggered {dag_id}: {settings.airflow_url}/dags/{dag_id}/runs/{run_id}")
    state = follow(api, dag_id, run_id, console)
    return outcome_of(api, dag_id, run_id, state, time.monotonic() - began)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help=f"one of: {', '.join(model_names())}")
    parser.add_argument("--data", type=Path, help="raw tables: a folder, or a model's only file; default: generated")
    parser.add_argument(
        "--force", action="store_true", help="train even if nothing changed, register even if worse than the champion"
    )
    arguments = parser.parse_args(argv)
    console = Console()

    def work(settings: Settings) -> int:
        outcome = run(settings, arguments.model, arguments.data, console, force=arguments.force)
        write_summary(settings, "run-summary.json", outcome.summary)
        show(outcome, settings, console)
        show_next_runs(settings, console)
        return 0 if outcome.summary["state"] == "success" else 1

    return carry_out(work, console)


if __name__ == "__main__":
    sys.exit(main())
