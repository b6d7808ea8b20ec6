"""What the MWAA proofs share: promises and findings, and a model's whole life cycle, from raw data via a registered
version and production to a day's scores and their drift."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.models.config import files, load_model
from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.backfill import Asked, backfill
from include.ops.local_stack.command import EXPECTED
from include.ops.local_stack.promote import PromotionError, promote
from include.ops.local_stack.raw_data import daily_raw_data
from include.ops.local_stack.run import follow, reasons_of, run, steps_of
from include.ops.local_stack.settings import ROOT, Settings, SettingsError
from include.platform.errors import PermanentError
from include.score.plan import CHAMPION_AT

MACHINES = 30  # of the generated fleet: enough failures to learn from, quick to train on
DAY = "2015-06-15"  # within the generated year


@dataclass(frozen=True)
class Finding:
    """A promise, whether it holds, and what was found."""

    promise: str
    kept: bool
    found: str
    seconds: float = 0.0


class BrokenPromiseError(Exception):
    """Raised by a check; the message is the finding."""


# besides broken promises, the errors of the laptop's commands, each with a message for the user
FAILURES: tuple[type[Exception], ...]
FAILURES = (BrokenPromiseError, *EXPECTED, PromotionError, PermanentError, httpx.HTTPError)


@contextlib.contextmanager
def alone(name: str) -> Iterator[Path]:
    """A folder for the exclusive use of a proof of this name: two at a time would clear each other's files.

    Raises:
        SettingsError: the home cannot be used, or the same proof runs already.
    """
    home = Settings.from_environment().home / name
    home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (home.parent / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"another 'make {name}' runs in {home}. Wait for its end, or set LAPTOP_HOME to another folder"
            ) from None
        yield home


def held(promise: str, check: Callable[[], str]) -> Finding:
    """The result of a check: its answer, or how the promise is broken."""
    began = time.monotonic()
    try:
        return Finding(promise, kept=True, found=check(), seconds=time.monotonic() - began)
    except FAILURES as error:
        return Finding(promise, kept=False, found=str(error), seconds=time.monotonic() - began)


def whole_way(settings: Settings, model: str, console: Console, where: str) -> Iterator[Finding]:
    """Runs the model's Dags in sequence, as far as each provides what the next needs."""
    steps = [
        (f"train_{model} registers a version {where}", lambda: trained(settings, model, console)),
        (f"deploy_{model} brings it into production {where}", lambda: deployed(settings, model, console)),
    ]
    if load_model(model).scoring:
        steps.append((f"score_{model} scores a day {where}", lambda: scored(settings, model, console)))
    if load_model(model).monitoring:
        steps.append((f"monitor_{model} monitors the day {where}", lambda: watched(settings, model, console)))
    for promise, check in steps:
        finding = held(promise, check)
        yield finding
        if not finding.kept:
            return


def trained(settings: Settings, model: str, console: Console) -> str:
    """``make run``: a version is registered.

    Raises:
        BrokenPromiseError: the run failed, or the model was rejected; or one of FAILURES.
    """
    outcome = run(settings, model, small_data(settings, model), console)
    if outcome.summary["state"] != "success":
        raise BrokenPromiseError("; ".join(f"{task}: {reason}" for task, reason in outcome.reasons.items()))
    if not outcome.summary["model_package_arn"]:
        missed = [gate["metric"] for gate in outcome.summary["gates"] if not gate["passed"]]
        raise BrokenPromiseError(f"the model was rejected by {', '.join(missed)}")
    return f"{outcome.summary['model_package_arn']} after {outcome.summary['total_seconds']} s"


def deployed(settings: Settings, model: str, console: Console) -> str:
    """``make promote``: the registered version goes to production.

    Raises:
        BrokenPromiseError: it did not; or one of FAILURES.
    """
    summary = promote(settings, model, True, console)
    if summary["state"] != "promoted":
        raise BrokenPromiseError(f"{summary['state']}: {summary['reasons']}")
    return f"version {summary['version']} after {summary['total_seconds']} s"


def scored(settings: Settings, model: str, console: Console) -> str:
    """``make backfill``: one day has its scores.

    Raises:
        BrokenPromiseError: it has not; or one of FAILURES.
    """
    day = day_with_data(settings, model)
    asked = Asked(model, day, day, CHAMPION_AT, force=False, dry_run=False)
    summary = backfill(settings, asked, console)
    if summary is None or summary["scored"] != 1:
        raise BrokenPromiseError(f"{day} was not scored: {summary}")
    return f"{summary['rows']} rows of {day} after {summary['seconds']} s"


def watched(settings: Settings, model: str, console: Console) -> str:
    """``monitor_<model>``: the scored day is compared with its version's training.

    Raises:
        BrokenPromiseError: it is not; or one of FAILURES.
    """
    api, dag_id = AirflowApi(settings.airflow_url, settings.login), f"monitor_{model}"
    api.unpause(dag_id)
    run_id = api.trigger(dag_id, {"day": day_with_data(settings, model)})
    if follow(api, dag_id, run_id, console) != "success":
        steps = steps_of(api, dag_id, run_id, api.task_ids(dag_id))
        raise BrokenPromiseError("; ".join(reasons_of(api, dag_id, run_id, steps).values()))
    return str(api.xcom(dag_id, run_id, "judge_day")["summary"])


def small_data(settings: Settings, model: str) -> Path | None:
    """A small year of data, if the model's simulator can make one; otherwise None, for the usual amount."""
    if model != "predictive_maintenance":
        return None
    folder = settings.home / "data" / f"{model}-{MACHINES}-machines"
    if not folder.exists():
        command = [settings.python("jobs"), "-m", f"include.models.{model}.simulate", "--machines", str(MACHINES)]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        subprocess.run([*command, "--out", str(folder)], env=environment, check=True, capture_output=True)
    return folder


def day_with_data(settings: Settings, model: str) -> str:
    """A day that the model's generated data has rows of: the last but one, which is whole."""
    if small_data(settings, model):
        return DAY
    days = daily_raw_data(settings.python("jobs"), settings.home, model, lambda said: None)
    return sorted(files.day_of_folder(folder.name) or "" for folder in days.iterdir())[-2]


def conclude(findings: list[Finding], title: str, summary: Path, console: Console) -> int:
    """Shows and writes the findings; returns the exit status, 1 if a promise is broken."""
    console.rule(title)
    table = Table("", "promise", "found", "seconds", box=None, pad_edge=False)
    for finding in findings:
        mark = "[green]✓[/]" if finding.kept else "[red]✗[/]"
        table.add_row(mark, finding.promise, escape(finding.found), f"{finding.seconds:.1f}")
    console.print(table)
    summary.write_text(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n", encoding="utf-8")
    broken = [finding for finding in findings if not finding.kept]
    console.print(
        f"{len(findings) - len(broken)} promises hold, {len(broken)} do not; this summary: {escape(str(summary))}"
    )
    return 1 if broken else 0
