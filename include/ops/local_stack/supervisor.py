"""Watches the stack's processes: one that died without being stopped is recorded and restarted within seconds.

It is a process of the stack itself, ``python -m include.ops.local_stack.supervisor``, with the same environment as
``make up``. What it did is in ``deaths.jsonl`` in the stack's folder, and ``announce`` tells the user.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from include.ops.local_stack.processes import Service
from include.ops.local_stack.services import services
from include.ops.local_stack.settings import ROOT, Settings

LOOK_SECONDS = 1.0
LONGEST_PAUSE = 60.0
STEADY_SECONDS = 60.0  # a process that ran this long is restarted at once when it dies


def service(settings: Settings) -> Service:
    """The supervisor as a process of the stack."""
    environment = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")]),
        "LAPTOP_HOME": str(settings.home),
        "AIRFLOW_PORT": str(settings.airflow_port),
        "SAGEMAKER_PORT": str(settings.sagemaker_port),
    }
    command = [settings.python("airflow"), "-m", "include.ops.local_stack.supervisor"]
    return Service("supervisor", command, environment, settings.home)


def deaths_file(home: Path) -> Path:
    return home / "deaths.jsonl"


class Supervisor:
    """Restarts dead processes, with growing delays if they keep dying."""

    def __init__(self, services: Sequence[Service], deaths: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._services = services
        self._deaths = deaths
        self._clock = clock
        self._pauses: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def look(self) -> None:
        """Checks each process once."""
        for each in self._services:
            if not each.has_died():
                self._due.pop(each.name, None)
                continue
            if each.name not in self._due:
                self._note(each)
            if self._clock() >= self._due[each.name]:
                del self._due[each.name]
                each.end_orphans()
                if each.start():
                    self._started[each.name] = self._clock()

    def _note(self, died: Service) -> None:
        lived = self._clock() - self._started.get(died.name, float("-inf"))
        before = self._pauses.get(died.name, 0.0)
        pause = 0.0 if lived > STEADY_SECONDS else min(max(2 * before, 1.0), LONGEST_PAUSE)
        self._pauses[died.name] = pause
        self._due[died.name] = self._clock() + pause
        death = {"at": time.time(), "service": died.name, "again_in_seconds": pause, "log": str(died.log)}
        with self._deaths.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**death, "last_lines": died.tail(5)}) + "\n")


def announce(settings: Settings, say: Callable[[str], None]) -> threading.Thread:
    """Reports every death from now on, and watches the supervisor itself, until this program ends."""
    thread = threading.Thread(target=_announce, args=(settings, say), name="deaths", daemon=True)
    thread.start()
    return thread


def _announce(settings: Settings, say: Callable[[str], None]) -> None:
    deaths, watcher = deaths_file(settings.home), service(settings)
    deaths.touch()
    with deaths.open(encoding="utf-8") as file:
        file.seek(0, os.SEEK_END)
        while True:
            for line in file:
                say(sentence(json.loads(line)))
            if watcher.has_died() and watcher.start():
                say("the supervisor of the stack has died; it was restarted")
            time.sleep(LOOK_SECONDS)


def sentence(death: dict[str, object]) -> str:
    """The message about a death."""
    pause = f"in {death['again_in_seconds']:.0f} s" if death["again_in_seconds"] else "at once"
    said = f"{death['service']} has died and is restarted {pause}. The end of {death['log']}:"
    return f"{said}\n{death['last_lines']}".rstrip()


def main() -> None:
    settings = Settings.from_environment()
    supervisor = Supervisor(services(settings), deaths_file(settings.home))
    while True:
        supervisor.look()
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
