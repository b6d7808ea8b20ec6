"""Raw data of each model, from its simulator or from its profile, split into daily partitions for scoring:
``python -m include.ops.local_stack.raw_data --home FOLDER``.

A simulator generates the same data every time, so it runs once per version. In containers this runs with the
simulators' libraries, on a laptop with Airflow's: it imports nothing that only one of them has.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from include.models.config import load_model, model_names

ROOT = Path(__file__).resolve().parents[3]
NEWEST_DAYS = 60  # of what simulators make, for daily scoring


class RawDataError(RuntimeError):
    """A program that generates data failed; the message ends with its output."""


def raw_data(python: str, home: Path, model: str, say: Callable[[str], None]) -> Path:
    """The folder below ``home`` with the model's raw tables, generated if missing.

    Args:
        python: a Python with the libraries of the job image.

    Raises:
        RawDataError: the simulator failed.
    """
    models = ROOT / "include" / "models"
    own = models / model / "simulate.py"
    made_from = [own] if own.exists() else [*sorted((models / "tabular").glob("*.py")), models / model / "profile.json"]
    version = hashlib.sha256(b"".join(file.read_bytes() for file in made_from if file.exists())).hexdigest()[:12]
    folder = home / "data" / model / version
    if folder.exists():
        return folder
    say(f"generating raw data for {model} (the same every time)")
    program = (
        [f"include.models.{model}.simulate"] if own.exists() else ["include.models.tabular.simulate", "--model", model]
    )
    return _made(folder, lambda unfinished: run_job(python, *program, "--out", str(unfinished)))


def daily_raw_data(python: str, home: Path, model: str, say: Callable[[str], None]) -> Path:
    """The folder below ``home`` with ``date=<day>/`` for each of the newest days of the model's raw tables.

    Raises:
        RawDataError: the simulator failed, or the tables cannot be split.
    """
    raw = raw_data(python, home, model, say)
    days = raw.with_name(f"{raw.name}-newest-{NEWEST_DAYS}")
    which = ("--newest", str(NEWEST_DAYS))
    return days if days.exists() else _made(days, lambda unfinished: split_days(python, model, raw, unfinished, *which))


def split_days(python: str, model: str, raw: Path, days: Path, *which: str) -> None:
    """Args:
        which: arguments of include.jobs.split_days that select the days.

    Raises:
        RawDataError: the tables in ``raw`` cannot be split.
    """
    run_job(python, "include.jobs.split_days", "--model", model, "--raw", str(raw), "--days", str(days), *which)


def run_job(python: str, module: str, *arguments: str) -> str:
    """Run a program of include/jobs or include/models.

    Returns:
        What it printed.

    Raises:
        RawDataError: it failed.
    """
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    command = [python, "-m", module, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RawDataError(f"python -m {module} failed (exit code {done.returncode}):\n{done.stderr[-2000:]}")
    return done.stdout


def _made(folder: Path, make: Callable[[Path], object]) -> Path:
    """The complete folder: the remains of an interrupted start are replaced."""
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    make(unfinished)
    unfinished.rename(folder)
    return folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder to keep the data in")
    home = parser.parse_args(argv).home
    say = partial(print, flush=True)
    try:
        for model in model_names():
            say(raw_data(sys.executable, home, model, say))
            if load_model(model).scoring:
                say(daily_raw_data(sys.executable, home, model, say))
    except RawDataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
