"""``make compose-test``: builds the images, brings up docker-compose.yaml beside whatever else runs here, takes a model
through its whole life in the containers, restarts every service during a run, and takes everything down.

It works on a copy of the checkout, under a project name and its own ports. Ends with one line for each promise, and
exit status 1 if one was broken; the same results are in .local/compose-summary.json. A promise about a Dag that this
checkout does not have is reported as not tried.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from include.models.config import model_names
from include.ops.local_stack.settings import ROOT
from tests.compose.project import Project, PromiseBrokenError
from tests.compose.promises import PROMISES, NotTriedError, it_comes_up
from tests.include.local_sagemaker.local_server import free_port

SYMBOLS = {"kept": "[green]kept[/]", "broken": "[red]broken[/]", "not tried": "[yellow]not tried[/]"}
Promise = Callable[[Project], str]


@dataclass(frozen=True)
class Result:
    """The result of one promise: kept, broken or not tried; ``detail`` says what was observed, or what went wrong."""

    promise: str
    state: str
    seconds: float
    detail: str


@dataclass
class Proof:
    """Runs promises in order and records the results."""

    project: Project
    console: Console
    results: list[Result] = field(default_factory=list)

    def of(self, promise: Promise) -> bool:
        """Try a promise; true unless it was broken."""
        text = (promise.__doc__ or "").strip()
        self.console.print(f"[bold]{text}[/] ...", highlight=False)
        began = time.monotonic()
        try:
            state, detail = "kept", promise(self.project)
        except NotTriedError as reason:
            state, detail = "not tried", str(reason)
        except Exception as error:  # noqa: BLE001 - whatever breaks it, the stack has to come down and the summary be shown
            state = "broken"
            detail = str(error) if isinstance(error, PromiseBrokenError) else f"{type(error).__name__}: {error}"
        result = Result(text, state, round(time.monotonic() - began, 1), detail)
        self.results.append(result)
        shown = f"  {SYMBOLS[state]} after {result.seconds:.0f} s: {escape(detail)}"
        self.console.print(shown, highlight=False, soft_wrap=True)
        return state != "broken"


def copy_checkout(folder: Path) -> Path:
    """Copy the files that git knows or would add, so that a test can edit Dags without a trace in the checkout."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    folder.chmod(0o755)  # containers run as different users
    return folder


def show(results: list[Result], console: Console) -> None:
    table = Table("promise", "", "seconds", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for result in results:
        table.add_row(result.promise, SYMBOLS[result.state], f"{result.seconds:.0f}")
    console.rule("docker-compose.yaml")
    console.print(table)
    for result in results:
        if result.state != "kept":
            console.print(f"\n{result.promise}: {escape(result.detail)}", highlight=False, soft_wrap=True)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="predictive_maintenance", choices=model_names(), help="whose whole way")
    model = parser.parse_args(argv).model
    console = Console(width=None if sys.stdout.isatty() else 140)
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        console.print("[red]error:[/] no Docker engine answers ('docker info' fails): start one, then try again")
        return 1
    with tempfile.TemporaryDirectory(prefix="compose-test-") as folder:
        checkout = copy_checkout(Path(folder) / "checkout")
        project = Project(
            checkout=checkout,
            name=f"compose-test-{os.getpid()}",
            model=model,
            airflow_port=free_port(),
            sagemaker_port=free_port(),
            mlflow_port=free_port(),
            online_port=free_port(),
            log=ROOT / ".local" / "logs" / "compose-test.log",
        )
        proof = Proof(project, console)
        try:
            if proof.of(it_comes_up):
                for promise in PROMISES:
                    proof.of(promise)
        finally:
            proof.of(takes_itself_down)
    show(proof.results, console)
    counts = {state: sum(result.state == state for result in proof.results) for state in SYMBOLS}
    console.print(f"\n{counts['kept']} kept, {counts['broken']} broken, {counts['not tried']} not tried")
    summary = ROOT / ".local" / "compose-summary.json"
    summary.write_text(json.dumps([asdict(result) for result in proof.results], indent=2) + "\n", encoding="utf-8")
    return 1 if counts["broken"] else 0


def takes_itself_down(project: Project) -> str:
    """make compose-down VOLUMES=1 leaves no container, volume or network"""
    project.down()
    if left := project.left_behind():
        raise PromiseBrokenError(f"still there: {', '.join(left)}")
    return "nothing is left"


if __name__ == "__main__":
    sys.exit(main())
