"""``make backfill``: says what scoring a range of days would come to, starts the backfill as a person would in the UI,
follows it day by day and ends with a summary, on the screen and in ``backfill-summary.json``.

Exit status: 0 if every day of the range has its scores, 1 if not.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from include.models.config import ModelConfig, load_model, model_names
from include.ops import Json
from include.ops.local_stack import stack
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.arguments import check_days, check_model, check_version
from include.ops.local_stack.command import carry_out, write_summary
from include.ops.local_stack.run import require_dag
from include.ops.local_stack.seed import aws_client, s3_client, seed_days
from include.ops.local_stack.settings import BUCKET, JOB_IMAGE, REGION, Settings
from include.platform.code_bundle import code_hash
from include.platform.errors import PermanentError
from include.platform.request_parts import group_name
from include.score.impossible import in_one_sentence
from include.score.plan import (
    CHAMPION_AT,
    RUNS_AT_ONCE,
    PlanError,
    Planner,
    Preview,
    days_between,
    list_partitions,
    look_back,
)
from include.score.published import read_published
from sagemaker_jobs.account import account, no_price

LOOK_EVERY = 2.0
UNDER_WAY = ("queued", "running")
JOBS_A_DAY, ASSUMED_SECONDS = 4, 180  # where no day has been scored yet that could be measured


@dataclass(frozen=True)
class Asked:
    """What a person asked for."""

    model: str
    first: str
    last: str
    version: str
    force: bool
    dry_run: bool

    @property
    def days(self) -> list[str]:
        return days_between(self.first, self.last)


def planner(settings: Settings, model: ModelConfig) -> Planner:
    s3 = s3_client(settings)
    return Planner(
        model,
        s3=s3,
        sagemaker=aws_client(settings, "sagemaker"),
        bucket=BUCKET,
        partitions=list_partitions(s3, BUCKET, model.name),
        group=group_name(model),
        code_hash=code_hash(),
        image_uri=JOB_IMAGE,
    )


def refuse_impossible(preview: Preview) -> None:
    """Raises PlanError: none of the days can be scored, nor has been."""
    if preview.impossible and not preview.changed + preview.unchanged:
        raise PlanError(in_one_sentence(preview.impossible))


def show_preview(model: ModelConfig, preview: Preview, say: Callable[[str], None]) -> None:
    days = len(preview.changed) + len(preview.unchanged) + len(preview.impossible)
    say(f"{days} days: {len(preview.changed)} to score, {len(preview.unchanged)} done and unchanged")
    seconds = preview.seconds
    how = "as days scored before took on average"
    if not seconds:
        seconds = {model.daily_scoring.instance_type: float(JOBS_A_DAY * ASSUMED_SECONDS)}
        how = f"at {ASSUMED_SECONDS} s for each of {JOBS_A_DAY} jobs a day: none has been scored yet to measure"
    for instance_type, each in seconds.items():
        total = each * len(preview.changed)
        cost = account().cost(REGION, instance_type, total)
        unknown = f"at an unknown price ({no_price(instance_type, REGION)})"
        price = f"{cost:.2f} USD on AWS in {REGION}" if isinstance(cost, float) else unknown
        say(f"  about {total / 3600:.2f} instance-hours of {instance_type}, {price}, {how}")


def reprocess(api: AirflowApi, dag_id: str, asked: Asked, changed: list[str]) -> str:
    """Which days that have a run get another: all, if one of those to score has a run that succeeded."""
    runs = api.runs_between(dag_id, asked.first, asked.last)
    succeeded = any(day in runs and runs[day]["state"] == "success" for day in changed)
    return "completed" if succeeded else "failed"


def wait_for_earlier(api: AirflowApi, dag_id: str, say: Callable[[str], None]) -> None:
    """Airflow takes one backfill of a Dag at a time, and notices an end half a minute late."""
    said = False
    while earlier := api.backfills_under_way(dag_id):
        if not said:
            say(f"backfill {earlier[0]} of {dag_id} is not over: this one starts after it")
            said = True
        time.sleep(LOOK_EVERY)


def follow(api: AirflowApi, dag_id: str, days: list[str], console: Console) -> dict[str, str]:
    """A bar that grows with each day that ends; the state of each day's run."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("days", total=len(days))
        shown = -1
        while True:
            under_way = api.count_runs(dag_id, days[0], days[-1], *UNDER_WAY)
            failed = api.count_runs(dag_id, days[0], days[-1], "failed")
            ended = max(0, len(days) - under_way)
            progress.update(bar, completed=ended, description=f"days ({failed} failed)" if failed else "days")
            if not console.is_terminal and ended != shown:
                console.print(f"  {ended} of {len(days)} days, {failed} failed", highlight=False)
                shown = ended
            if not under_way:
                runs = api.runs_between(dag_id, days[0], days[-1])
                return {day: runs[day]["state"] for day in days if day in runs}
            time.sleep(LOOK_EVERY)


def summary_of(settings: Settings, asked: Asked, preview: Preview, states: dict[str, str], seconds: float) -> Json:
    """What goes into backfill-summary.json."""
    s3 = s3_client(settings)
    partitions = []
    for day in asked.days:
        if found := read_published(s3, BUCKET, asked.model, day):
            partitions.append({name: found[name] for name in ("date", "rows", "model_package_arn", "sha256")})
    scored = [day for day in preview.changed if states.get(day) == "success"]
    return {
        "model": asked.model,
        "days": len(asked.days),
        "scored": len(scored),
        "skipped_unchanged": len(preview.unchanged),
        "failed": len(asked.days) - len(scored) - len(preview.unchanged),
        "rows": sum(partition["rows"] for partition in partitions),
        "seconds": round(seconds, 1),
        "partitions": partitions,
    }


def backfill(settings: Settings, asked: Asked, console: Console) -> Json | None:
    """All of ``make backfill`` up to its summary; None after a dry run that found nothing in the way.

    Raises:
        ArgumentsError, ProcessError, SeedError, ConfigError, PermanentError: with a message for the person at the
            keyboard; also where no day can be scored, or a dry run finds one that cannot.
    """
    check_days(asked.first, asked.last)
    check_version(asked.version)
    model = load_model(check_model(asked.model))
    _ = model.daily_scoring  # a model that is not scored daily is refused here
    dag_id = f"score_{asked.model}"
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    stack.up(settings, say)
    seed_days(settings, asked.model, (look_back(model, asked.first) or [asked.first])[0], asked.last, say)
    preview = planner(settings, model).preview(asked.days, asked.version, force=asked.force)
    refuse_impossible(preview)
    show_preview(model, preview, say)
    if preview.impossible:
        if asked.dry_run:
            raise PlanError(in_one_sentence(preview.impossible))
        say(f"  not possible: {in_one_sentence(preview.impossible)}")
    if asked.dry_run:
        say("dry run: nothing was started")
        return None
    states: dict[str, str] = {}
    seconds = 0.0
    if preview.changed:
        api = AirflowApi(settings.airflow_url, settings.login)
        require_dag(api, dag_id)
        api.unpause(dag_id)
        first, last = preview.changed[0], preview.changed[-1]
        wait_for_earlier(api, dag_id, say)
        behaviour = reprocess(api, dag_id, asked, preview.changed)
        conf = {"model_version": asked.version, "force": asked.force}
        began = time.monotonic()
        number = api.create_backfill(dag_id, first, last, conf=conf, reprocess=behaviour, runs_at_once=RUNS_AT_ONCE)
        say(f"backfill {number} from {first} to {last}: {settings.airflow_url}/dags/{dag_id}/backfills")
        states = follow(api, dag_id, preview.changed, console)
        seconds = time.monotonic() - began
    return summary_of(settings, asked, preview, states, seconds)


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
    for title, link in (
        ("Airflow", f"{settings.airflow_url}/dags/score_{summary['model']}/runs"),
        ("scores", f"s3://{BUCKET}/scores/{summary['model']}/"),
        ("this summary", str(settings.home / "backfill-summary.json")),
    ):
        console.print(f"{title:20}{link}", highlight=False, markup=False, soft_wrap=True)


def _asked(argv: list[str] | None) -> Asked:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help=f"one of: {', '.join(model_names())}")
    parser.add_argument("--from", dest="first", required=True, help="the first day, as 2015-06-01")
    parser.add_argument("--to", dest="last", required=True, help="the last day, itself among them")
    parser.add_argument("--version", default=CHAMPION_AT, help="champion_at (as it is), current, or a version number")
    parser.add_argument("--force", action="store_true", help="score unchanged days too")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    found = parser.parse_args(argv)
    return Asked(found.model, found.first, found.last, found.version, found.force, found.dry_run)


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

    return carry_out(work, console, PermanentError)


if __name__ == "__main__":
    sys.exit(main())
