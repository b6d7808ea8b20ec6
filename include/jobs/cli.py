"""How a job ends: successfully, or with a reason that SageMaker shows to the person on call."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from include.models.config import ConfigError, model_names
from include.models.errors import JobError
from include.models.quoting import quotes_values, unforeseen

# always /opt/ml on SageMaker; the local SageMaker sets it where jobs cannot have their own mount
OPT_ML = Path(os.environ.get("OPT_ML", "/opt/ml"))
OUTPUT = OPT_ML / "output"
PROCESSING_MESSAGE = OUTPUT / "message"  # becomes ExitMessage
TRAINING_FAILURE = OUTPUT / "failure"  # becomes FailureReason
LONGEST_REASON = 1024


def run_program(main: Callable[[list[str]], None], reason_file: Path = PROCESSING_MESSAGE) -> NoReturn:
    """Runs ``main`` with the command line's arguments and exits; writes a failure's reason where SageMaker reads it.

    An understood failure (JobError, ConfigError) is one message; any other also leaves its traceback in the log.
    """
    gc.freeze()  # imported objects stay
    gc.enable()
    try:
        main(sys.argv[1:])
    except (JobError, ConfigError) as error:
        _leave(reason_file, str(error))
        print(error, file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception as error:
        if not quotes_values():
            said = unforeseen(error)
            _leave(reason_file, said.partition("\n")[0])
            print(said, file=sys.stderr, flush=True)
            sys.exit(1)
        _leave(reason_file, f"{type(error).__name__}: {error}")
        raise
    sys.exit(0)


def arguments_of(program_doc: str | None, **folders: str) -> argparse.ArgumentParser:
    """A parser with ``--model`` and one required folder per keyword, whose value is its help text."""
    parser = argparse.ArgumentParser(description=program_doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, choices=model_names())
    for name, help_text in folders.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=help_text)
    return parser


def _leave(reason_file: Path, reason: str) -> None:
    if OUTPUT.parent.is_dir():  # only in a SageMaker container; elsewhere the screen is enough
        reason_file.parent.mkdir(parents=True, exist_ok=True)
        reason_file.write_text(reason[:LONGEST_REASON], encoding="utf-8")
