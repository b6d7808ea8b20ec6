"""How the commands behind make's targets end: with a message for the user, never with a traceback."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import httpx
from rich.console import Console
from rich.markup import escape

from include.models.config import ConfigError
from include.ops import Json
from include.ops.local_stack.arguments import ArgumentsError
from include.ops.local_stack.processes import ProcessError
from include.ops.local_stack.raw_data import RawDataError
from include.ops.local_stack.seed import SeedError
from include.ops.local_stack.settings import Settings, SettingsError

INTERRUPTED = 130  # as shells report SIGINT
LONGEST_SILENCE = 6.0  # seconds: nobody has to wonder for ten whether anything happens
EXPECTED: tuple[type[Exception], ...] = (
    ArgumentsError,
    SettingsError,
    ProcessError,
    RawDataError,
    SeedError,
    ConfigError,
)


def carry_out(work: Callable[[Settings], int], console: Console, *expected: type[Exception]) -> int:
    """The exit status: ``work``'s result, 1 after an error whose message says what to do, or 130 after Ctrl-C.

    Args:
        expected: such errors of this command, besides those of the stack and its data.
    """
    try:
        settings = Settings.from_environment()
        return work(settings)
    except EXPECTED + expected as error:
        console.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    except httpx.HTTPError as error:
        said = error.response.text[:500] if isinstance(error, httpx.HTTPStatusError) else ""
        message = f"Airflow's API did not answer as expected: {error} {said}".strip()
        console.print(f"[red]error:[/] {escape(message)}. Its log: {escape(str(settings.home))}/logs")
    except KeyboardInterrupt:
        console.print("\ninterrupted. Runs that Airflow has started go on: see make status", highlight=False)
        return INTERRUPTED
    return 1


@contextmanager
def under_way(what: str, say: Callable[[str], None], every: float = LONGEST_SILENCE) -> Iterator[None]:
    """Say every few seconds that the work continues, and for how long."""
    began, over = time.monotonic(), Event()

    def tell() -> None:
        while not over.wait(every):
            say(f"  {what}: {time.monotonic() - began:.0f} s so far")

    telling = Thread(target=tell, daemon=True)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()


def write_summary(settings: Settings, name: str, summary: Json) -> None:
    """``.local/<name>``, for programs to read."""
    (settings.home / name).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
