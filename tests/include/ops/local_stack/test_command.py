"""How the commands behind make's targets end."""

from __future__ import annotations

from rich.console import Console

from include.ops.local_stack.command import INTERRUPTED, carry_out
from include.ops.local_stack.settings import Settings


def test_ctrl_c_is_a_sentence_and_not_a_traceback() -> None:
    def work(settings: Settings) -> int:
        raise KeyboardInterrupt

    console = Console(record=True)
    assert carry_out(work, console) == INTERRUPTED
    assert "go on: see make status" in console.export_text()
