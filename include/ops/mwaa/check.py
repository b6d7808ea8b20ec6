"""``make bundle-test``: the real artifacts, unpacked and run as MWAA runs them, without AWS.

    quick   requirements resolve, the startup script runs, Dags parse, plugins load without the Dag folder
    whole   then the Dags run from the unpacked bundle against the local SageMaker, up to a day's scores

Ends with a table of promises and findings, also in ``bundle-test-summary.json``. Exit status: 0 only if
every promise holds.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from include.models.errors import and_then
from include.ops import Json
from include.ops.local_stack import stack
from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.settings import ROOT, SettingsError
from include.ops.mwaa.bundle import CONSTRAINTS, build, contents, download_wheels
from include.ops.mwaa.home import MwaaHome, StartupError
from include.ops.mwaa.proof import BrokenPromiseError, Finding, alone, conclude, held, whole_way
from include.ops.mwaa.templates import configuration_options

PARSE_SECONDS = 30  # core.dagbag_import_timeout, at which Airflow gives a file up
LONGEST_KEY = 64  # of a configuration option on MWAA
PROBES = Path(__file__).parent / "probes"
# tasks have no way to the database in Airflow 3, and what is heavy belongs into jobs
FORBIDDEN = ("sqlalchemy", "airflow.models", "airflow.settings", "airflow.utils.session", "airflow.utils.db")
HEAVY = ("pandas", "numpy", "polars", "sklearn", "lightgbm", "great_expectations", "sagemaker", "mlflow")


def resolve_requirements(home: MwaaHome) -> str:
    """pip, with the image's packages in place, accepts requirements.txt under its constraints and replaces nothing."""
    source = home.airflow_home / "requirements" / "requirements.txt"
    local = home.home / "requirements-to-resolve.txt"
    on_mwaa, here = "/usr/local/airflow/", f"{home.airflow_home.relative_to(home.home)}/"
    text = source.read_text(encoding="utf-8")
    if not any(line.lstrip("# ").startswith("--constraint") for line in text.splitlines()):
        raise BrokenPromiseError("requirements.txt has no --constraint line: MWAA would add its own, unseen")
    # relative to the file that is written: of the whole path, pip might take a part for a comment
    local.write_text(text.replace(on_mwaa, here), encoding="utf-8")
    report = home.home / "pip-report.json"
    command = [
        str(ROOT / ".venv/tools/bin/pip"),
        "--python",
        home.python("mwaa_image"),
        "install",
        "--dry-run",
        "--quiet",
    ]
    command += ["--disable-pip-version-check", "--report", str(report), "--requirement", str(local)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)
    if done.returncode:
        raise BrokenPromiseError(f"pip refuses: {done.stderr.strip()[-1500:]}")
    wanted = {item["metadata"]["name"].lower(): item["metadata"]["version"] for item in _installs(report)}
    command = [str(ROOT / ".venv/tools/bin/uv"), "pip", "list", "--format=json", "--python", home.python("mwaa_image")]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if replaced := wanted.keys() & {item["name"].lower() for item in json.loads(listed)}:
        raise BrokenPromiseError(f"would replace what MWAA's image holds: {', '.join(sorted(replaced))}")
    return "adds " + (", ".join(f"{name} {version}" for name, version in sorted(wanted.items())) or "nothing")


def resolve_wheels(home: MwaaHome) -> str:
    """The same without the internet: the shipped wheels are all that the image lacks."""
    folder = home.home / "wheels"
    try:
        wheels = download_wheels(folder)
    except subprocess.CalledProcessError as error:
        raise BrokenPromiseError(f"pip finds no wheels: {error.stderr.strip()[-1500:]}") from error
    command = [str(ROOT / ".venv/tools/bin/pip"), "--python", home.python("mwaa_image"), "install", "--dry-run"]
    command += ["--quiet", "--disable-pip-version-check", "--no-index", "--find-links", str(folder)]
    command += ["--requirement", str(folder.with_suffix(".txt")), "--constraint", str(ROOT / CONSTRAINTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=540, check=False)
    if done.returncode:
        raise BrokenPromiseError(f"pip refuses: {done.stderr.strip()[-1500:]}")
    return ", ".join(wheel.name for wheel in wheels)


def _installs(report: Path) -> list[Json]:
    return list(json.loads(report.read_text(encoding="utf-8"))["install"])


def start_up(home: MwaaHome) -> str:
    """The startup script succeeds within MWAA's time limit."""
    try:
        return f"exports {', '.join(sorted(home.startup_exports)) or 'nothing'}"
    except StartupError as error:
        raise BrokenPromiseError(str(error)) from error


def check_configuration(options: Mapping[str, str]) -> str:
    """MWAA accepts the configuration options."""
    if wrong := [key for key in options if len(key) > LONGEST_KEY or key.count(".") != 1]:
        raise BrokenPromiseError(f"not 'section.key' of at most {LONGEST_KEY} characters: {', '.join(wrong)}")
    return f"{len(options)} options"


def parse_dags(home: MwaaHome) -> list[str]:
    """The ids of all Dags: every file parses in time and imports nothing heavy."""
    found = _probe(home, "dags.py")
    if found["import_errors"]:
        raise BrokenPromiseError("\n".join(f"{file}: {trace}" for file, trace in found["import_errors"].items()))
    if not found["dag_ids"]:
        raise BrokenPromiseError("no Dag at all")
    if slow := {file: seconds for file, seconds in found["seconds"].items() if seconds > PARSE_SECONDS / 2}:
        raise BrokenPromiseError(f"slow to parse (Airflow gives up after {PARSE_SECONDS} s): {slow}")
    if found["heavy"]:
        raise BrokenPromiseError(f"parsing imports {', '.join(found['heavy'])}")
    return list(found["dag_ids"])


def load_plugins(home: MwaaHome) -> str:
    """Plugins, and every trigger by its class path, import where no Dag folder is on the path."""
    found = _probe(home, "plugins.py")
    if found["errors"]:
        raise BrokenPromiseError("\n".join(f"{name}: {trace}" for name, trace in found["errors"].items()))
    if found["include"] or found["dag_folder_on_path"]:
        raise BrokenPromiseError(f"they reach into the Dag folder: {found['include'] or found['dag_folder_on_path']}")
    if not found["triggers"]:
        raise BrokenPromiseError("no trigger found: the check looks in the wrong place")
    return f"{len(found['triggers'])} triggers: {', '.join(found['triggers'])}"


def scan_imports(home: MwaaHome) -> str:
    """Nothing that tasks import uses the database's ORM or a heavy library, not even inside a function. (The plugins'
    own modules, at the root of their folder, run in the scheduler, which has the database.)"""
    files = [*(home.airflow_home / "dags").rglob("*.py"), *(home.airflow_home / "plugins").rglob("*/*.py")]
    found = [
        f"{file.relative_to(home.airflow_home)}:{line} imports {name}"
        for file in sorted(files)
        for line, name in _imports(file)
        if any(name == one or name.startswith(one + ".") for one in (*FORBIDDEN, *HEAVY))
    ]
    if found:
        raise BrokenPromiseError("\n".join(found))
    return f"{len(files)} files"


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module


def _probe(home: MwaaHome, script: str) -> Json:
    command = [home.python("mwaa"), "-P", str(PROBES / script)]
    environment = {"PATH": "/usr/bin:/bin", **home.airflow_environment()}
    done = subprocess.run(
        command, env=environment, cwd=home.home, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        raise BrokenPromiseError(f"{script} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: Json = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def quick_findings(home: MwaaHome) -> Iterator[Finding]:
    """Checks without a running Airflow. The home must be unpacked."""
    yield held("MWAA accepts the configuration options", lambda: check_configuration(configuration_options()))
    yield held("the startup script runs", lambda: start_up(home))
    yield held("requirements resolve under the constraints", lambda: resolve_requirements(home))
    yield held("without the internet, the wheels that are shipped suffice", lambda: resolve_wheels(home))
    yield held("Dags parse, quickly, importing nothing heavy", lambda: ", ".join(parse_dags(home)))
    yield held("plugins and triggers import without the Dag folder", lambda: load_plugins(home))
    yield held("nothing imports the ORM or a heavy library", lambda: scan_imports(home))


def run_findings(home: MwaaHome, model: str, console: Console) -> Iterator[Finding]:
    """The Dags, run from the unpacked bundle by all of Airflow's processes."""
    with and_then(lambda: stack.down(home, lambda line: console.print(line, highlight=False))):
        yield from whole_way(home, model, console, "from the unpacked bundle")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only what needs no running Airflow")
    parser.add_argument("--model", default="predictive_maintenance", help="the model to run (predictive_maintenance)")
    arguments = parser.parse_args(argv)
    console = Console(width=160)
    try:
        with alone("bundle-test") as folder:
            return _prove(folder, arguments.model, arguments.quick, console)
    except SettingsError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 2


def _prove(folder: Path, model: str, quick: bool, console: Console) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    airflow_port, sagemaker_port = free_ports(2)
    home = MwaaHome(folder, airflow_port, sagemaker_port, build(folder=folder / "dist"))
    console.print("\n".join(contents(home.bundle)), highlight=False)
    stack.down(home, lambda _: None)  # from an interrupted earlier test
    stack.clear(home)
    home.unpack()
    findings = list(quick_findings(home))
    if not quick and all(finding.kept for finding in findings):
        findings += run_findings(home, model, console)
    title = f"Airflow {home.bundle.manifest['airflow']} as on MWAA, from the unpacked bundle"
    return conclude(findings, title, folder.parent / "bundle-test-summary.json", console)


if __name__ == "__main__":
    sys.exit(main())
