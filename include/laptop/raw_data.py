"""Raw data of each model, from its simulator or from its profile: ``python -m include.laptop.raw_data --home FOLDER``.

A simulator makes the same data every time, so it runs once for each version of it. Only the standard library: in
containers this runs beside the simulators' libraries, on a laptop beside Airflow's.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[1]


class RawDataError(RuntimeError):
    """A simulator failed; the message ends with what it said."""


def raw_data(python: str, home: Path, model: str, say: Callable[[str], None]) -> Path:
    """The folder below ``home`` with the model's raw tables, made now if it is not there.

    Args:
        python: a Python with the libraries of the job image.

    Raises:
        RawDataError: the simulator failed.
    """
    models = INCLUDE / "models"
    own = models / model / "simulate.py"
    made_from = [own] if own.exists() else [*sorted((models / "tabular").glob("*.py")), models / model / "profile.json"]
    version = hashlib.sha256(b"".join(file.read_bytes() for file in made_from if file.exists())).hexdigest()[:12]
    folder = home / "data" / model / version
    if folder.exists():
        return folder
    say(f"generating raw data for {model} (the same every time)")
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    program = [f"models.{model}.simulate"] if own.exists() else ["models.tabular.simulate", "--model", model]
    command = [python, "-m", *program, "--out", str(partial)]
    environment = {"PYTHONPATH": str(INCLUDE), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RawDataError(f"generating data failed (exit code {done.returncode}):\n{done.stderr[-2000:]}")
    partial.rename(folder)
    return folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder to keep the data in")
    home = parser.parse_args(argv).home
    try:
        for configuration in sorted(INCLUDE.glob("models/*/model.yaml")):
            print(raw_data(sys.executable, home, configuration.parent.name, print), flush=True)
    except RawDataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
