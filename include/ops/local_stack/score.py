"""``make score``: a file's or folder's rows, scored with the champion; ``make scores``: a day's published scores.

Both print to the terminal, and write files.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from include.models.config import load_model
from include.ops.local_stack import stack
from include.ops.local_stack.arguments import check_data, check_day, check_model
from include.ops.local_stack.command import carry_out
from include.ops.local_stack.promote import PromotionError
from include.ops.local_stack.seed import raw_files, s3_client
from include.ops.local_stack.serve import service_environment
from include.ops.local_stack.settings import BUCKET, ROOT, Settings

MODES = {
    "job": "local",
    "endpoint": "endpoint",
}  # the backend: the artifact in a local process, or SageMaker's endpoint


def score(settings: Settings, model: str, data: Path, mode: str, console: Console) -> int:
    """Raises ArgumentsError, ProcessError, PromotionError: with a message for the user."""
    config = load_model(check_model(model))
    check_data(data, raw_files(config)) if data.is_dir() else check_data(data, raw_files(config)[:1])
    _require_stack(settings, console)
    told = service_environment(settings, config, s3_client(settings), console)
    out = (
        settings.home / "scored" / f"{model}-{data.name}-{hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:8]}"
    )
    return _run(settings, "include.online.score_file", str(data), str(out), **told, BACKEND=MODES[mode])


def scores(settings: Settings, model: str, day: str, out: str | None, console: Console) -> int:
    check_model(model)
    check_day("DAY", day)
    _require_stack(settings, console)
    return _run(settings, "include.client", model, day, *([out] if out else []), BUCKET=BUCKET)


def _require_stack(settings: Settings, console: Console) -> None:
    if not stack.answers(f"{settings.sagemaker_url}/_local/health"):
        stack.up(settings, console.print)


def _run(settings: Settings, module: str, *arguments: str, **told: str) -> int:
    environment = {**os.environ, **settings.aws_environment(), "PYTHONPATH": str(ROOT), **told}
    command = [settings.python("jobs"), "-m", module, *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--mode", choices=MODES, default="job")
    parser.add_argument("--day")
    parser.add_argument("--out")
    given = parser.parse_args(argv)
    console = Console()

    def work(settings: Settings) -> int:
        if given.day:
            return scores(settings, given.model, given.day, given.out, console)
        return score(settings, given.model, given.data, given.mode, console)

    return carry_out(work, console, PromotionError)


if __name__ == "__main__":
    sys.exit(main())
