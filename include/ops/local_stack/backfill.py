"""``make backfill``: shows what scoring a range of days would do and cost, starts the Dag ``backfill``, follows it day
by day and ends with a summary, on the screen and in ``backfill-summary.json``.

Exit status: 0 if every day of the range has its scores, 1 if not.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from include.models.config import ModelConfig, load_model, model_names
from include.ops import Json
from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.arguments import check_days, check_model, check_version
from include.ops.local_stack.command import LONGEST_SILENCE, carry_out, under_way, write_summary
from include.ops.local_stack.run import FINISHED, reasons_of, require_dag, steps_of
from include.ops.local_stack.seed import ALL_DAYS, aws_client, newest_days, s3_client, seed_days
from include.ops.local_stack.settings import BUCKET, JOB_IMAGE, REGION, Settings
from include.platform.code_bundle import code_hash
from include.platform.errors import PermanentError
from include.platform.request_parts import group_name
from include.platform.run_folders import Run
from include.platform.storage import split_uri
from include.score.backfill_tasks import days_asked_for, in_words
from include.score.batches import batches_of, estimate
from include.score.impossible import in_one_sentence
from include.score.plan import (
    CHAMPION_AT,
    PlanError,
    Planner,
    Preview,
    days_between,
    list_partitions,
    look_back,
    parts_of,
)
from include.score.published import read_published

LOOK_EVERY = 2.0
MOST_SHOWN = 10
DAG, QUESTION = "backfill", "approve_cost"


class BackfillError(RuntimeError):
    """The run has no summary; the message says why."""


@dataclass(frozen=True)
class Asked:
    """The arguments."""

    model: str
    first: str
    last: str
    version: str
    force: bool
    dry_run: bool
    budget: float | None = None

    @property
    def days(self) -> list[str]:
        return days_between(self.first, self.last)


def planner(settings: Settings, model: ModelConfig) -> Planner:
    s3, version = s3_client(settings), code_hash(settings.code_root)
    return Planner(
        model,
        s3=s3,
        sagemaker=aws_client(settings, "sagemaker"),
        bucket=BUCKET,
        partitions=list_partitions(s3, BUCKET, model.name),
        group=group_name(model),
        code_hash=version,
        image_uri=JOB_IMAGE,
        parts=parts_of(s3, BUCKET, version, model.name),
    )


def preview_lines(model: ModelConfig, preview: Preview) -> list[str]:
    return in_words(preview, estimate(model, None, REGION, preview, len(batches_of(model, preview))), REGION)


def follow(api: AirflowApi, settings: Settings, run_id: str, total: int, console: Console) -> None:
    """A progress bar of scored days, until the run ends; lines without a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    began = said = time.monotonic()
    line = ""
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("days", total=total)
        while api.run_state(DAG, run_id) not in FINISHED:
            done, now = staged_days(api, settings, run_id), time.monotonic()
            doing = _doing(api, settings, run_id, done, total, now - began)
            progress.update(bar, completed=done, description=doing)
            if not console.is_terminal and (doing != line or now - said > LONGEST_SILENCE):
                console.print(f"  {doing}", highlight=False, soft_wrap=True)
                line, said = doing, now
            time.sleep(LOOK_EVERY)


def _doing(api: AirflowApi, settings: Settings, run_id: str, done: int, total: int, seconds: float) -> str:
    tasks = api.task_instances(DAG, run_id)
    if any(task["task_id"] == QUESTION and task["state"] == "awaiting_input" for task in tasks):
        page = f"{settings.airflow_url}/dags/{DAG}/runs/{run_id}/tasks/{QUESTION}/required_actions"
        return f"it costs more than may be spent without asking: answer at {page}"
    left = f", about {seconds * (total - done) / done:.0f} s left" if done else ""
    return f"{done} of {total} days scored{left}" if done < total else f"all {total} days scored, publishing"


def staged_days(api: AirflowApi, settings: Settings, run_id: str) -> int:
    """The number of days that the run's jobs have finished, by their folders."""
    plan = api.xcom(DAG, run_id, "plan_days", key="plan")
    s3, run = s3_client(settings), Run(BUCKET, DAG, run_id)
    found = 0
    for batch in plan["batches"] if plan else []:
        prefix = f"{split_uri(run.of_batch(plan['model'], batch['number']).days)[1]}/"
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, Delimiter="/")
        found += len(listed.get("CommonPrefixes", []))
    return found


def summary_of(settings: Settings, asked: Asked, preview: Preview, reported: Json, seconds: float) -> Json:
    """The content of backfill-summary.json.

    Args:
        reported: the summary of the Dag's run; empty if there was nothing to do.
    """
    s3 = s3_client(settings)
    partitions = []
    for day in asked.days:
        if found := read_published(s3, BUCKET, asked.model, day):
            partitions.append({name: found[name] for name in ("date", "rows", "model_package_arn", "sha256")})
    scored, unchanged = reported.get("scored", 0), reported.get("skipped_unchanged", len(preview.unchanged))
    return {
        "model": asked.model,
        "days": len(asked.days),
        "scored": scored,
        "skipped_unchanged": unchanged,
        "failed": len(asked.days) - scored - unchanged,
        "failed_days": reported.get("failed_days", preview.impossible),
        "rows": sum(partition["rows"] for partition in partitions),
        "jobs": reported.get("jobs", 0),
        "estimated_usd": reported.get("estimated_usd", 0.0),
        "actual_usd": reported.get("actual_usd", 0.0),
        "seconds": round(seconds, 1),
        "partitions": partitions,
    }


def backfill(settings: Settings, asked: Asked, console: Console) -> Json | None:
    """All of ``make backfill`` up to its summary; None after a dry run without problems.

    Raises:
        ArgumentsError, ProcessError, SeedError, ConfigError, PermanentError: with a message for the person at the
            keyboard; also if no day can be scored, or a dry run finds one that cannot.
    """
    check_days(asked.first, asked.last)
    check_version(asked.version)
    model = load_model(check_model(asked.model))
    _ = model.daily_scoring  # a model that is not scored daily is refused here
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    stack.up(settings, say)
    with under_way("cutting raw data into days", say):
        seed_days(settings, asked.model, (look_back(model, asked.first) or [asked.first])[0], asked.last, say)
    there = set(list_partitions(s3_client(settings), BUCKET, model.name))
    if there.isdisjoint(asked.days):  # the raw tables may have more days than were cut from them
        there |= set(newest_days(settings, asked.model, ALL_DAYS) or ())
    days_asked_for(asked.first, asked.last, there)
    with under_way("looking at what is there of each day", say):
        preview = planner(settings, model).preview(asked.days, asked.version, force=asked.force)
    if preview.impossible and not (preview.changed or preview.unchanged):
        raise PlanError(in_one_sentence(preview.impossible))
    for line in preview_lines(model, preview):
        say(line)
    if asked.dry_run and preview.impossible:
        raise PlanError(f"{len(preview.impossible)} of {len(asked.days)} days cannot be scored; nothing was started")
    if asked.dry_run:
        say("dry run: nothing was started")
        return None
    if not preview.changed:
        return summary_of(settings, asked, preview, {}, 0.0)
    return _run(settings, asked, preview, console)


def _run(settings: Settings, asked: Asked, preview: Preview, console: Console) -> Json:
    """Lets the Dag score the days; returns the summary."""
    api = AirflowApi(settings.airflow_url, settings.login)
    require_dag(api, DAG)
    conf = {"model": asked.model, "from": asked.first, "to": asked.last, "force": asked.force}
    began = time.monotonic()
    run_id = api.trigger(DAG, conf={**conf, "model_version": asked.version, "budget_usd": asked.budget})
    page = f"{settings.airflow_url}/dags/{DAG}/runs/{run_id}"
    console.print(f"triggered {DAG}: {page}", highlight=False, markup=False, soft_wrap=True)
    follow(api, settings, run_id, len(preview.changed), console)
    seconds = time.monotonic() - began
    reported = api.xcom(DAG, run_id, "report_days", key="summary")
    if reported is None:
        reasons = reasons_of(api, DAG, run_id, steps_of(api, DAG, run_id, api.task_ids(DAG)))
        raise BackfillError("; ".join(f"{task_id} failed: {reason}" for task_id, reason in reasons.items()))
    with under_way("reading what is published", partial(console.print, highlight=False)):
        return summary_of(settings, asked, preview, reported, seconds)


def show(summary: Json, settings: Settings, console: Console) -> None:
    failed = summary["failed"]
    mark = "[green]done[/]" if not failed else f"[red]{failed} days have no new scores[/]"
    console.rule(f"backfill of {summary['model']}: {mark}")
    rate = f", {60 * summary['scored'] / summary['seconds']:.1f} days per minute" if summary["scored"] else ""
    console.print(
        f"{summary['days']} days: {summary['scored']} scored, {summary['skipped_unchanged']} unchanged, {failed} "
        f"failed; {summary['rows']:,} rows in their partitions; {summary['seconds']:.1f} s{rate}",
        highlight=False,
    )
    costs = [f"{_usd(summary[name])} {name.removesuffix('_usd')}" for name in ("estimated_usd", "actual_usd")]
    jobs = f"{summary['jobs']} SageMaker job{'' if summary['jobs'] == 1 else 's'}"
    console.print(f"{jobs}; on AWS in {REGION}: {', '.join(costs)}", highlight=False)
    for day, why in list(summary["failed_days"].items())[:MOST_SHOWN]:
        console.print(f"  {day}: {why}", highlight=False, markup=False, soft_wrap=True)
    for title, link in (
        ("Airflow", f"{settings.airflow_url}/dags/{DAG}/runs"),
        ("scores", f"s3://{BUCKET}/scores/{summary['model']}/"),
        ("this summary", str(settings.home / "backfill-summary.json")),
    ):
        console.print(f"{title:20}{link}", highlight=False, markup=False, soft_wrap=True)


def _usd(cost: float | None) -> str:
    return "an unknown cost" if cost is None else f"{cost:.4f} USD"


def _asked(argv: list[str] | None) -> Asked:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help=f"one of: {', '.join(model_names())}")
    parser.add_argument("--from", dest="first", required=True, help="the first day, such as 2015-06-01")
    parser.add_argument("--to", dest="last", required=True, help="the last day, inclusive")
    parser.add_argument("--version", default=CHAMPION_AT, help="champion_at (as it is), current, or a version number")
    parser.add_argument("--force", action="store_true", help="score unchanged days too")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument(
        "--budget", type=float, help="USD that may be spent without asking; default: model.yaml's budget"
    )
    found = parser.parse_args(argv)
    return Asked(found.model, found.first, found.last, found.version, found.force, found.dry_run, found.budget)


def main(argv: list[str] | None = None) -> int:
    asked = _asked(argv)
    console = Console()

    def work(settings: Settings) -> int:
        summary = backfill(settings, asked, console)
        if summary is None:
            return 0
        write_summary(settings, "backfill-summary.json", summary)
        show(summary, settings, console)
        return 1 if summary["failed"] else 0

    return carry_out(work, console, PermanentError, BackfillError)


if __name__ == "__main__":
    sys.exit(main())
