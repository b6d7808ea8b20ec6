"""Where the commands behind make's targets print."""

from __future__ import annotations

import sys

from rich.console import Console

PIPED = 160  # columns, so that no name in a table is cut


def screen() -> Console:
    """Standard output: as wide as the terminal, or wide where it is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=PIPED)
