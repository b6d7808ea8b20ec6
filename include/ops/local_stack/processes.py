"""Long-running processes by name: started in their own session, found again by a pid file, stopped with all
their children."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil


def free_ports(number: int) -> list[int]:
    """Distinct free ports of this machine."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class ProcessError(RuntimeError):
    """A process of the stack fails; the message says where its log is."""


@dataclass(frozen=True)
class Service:
    """One process of the stack: its command, its environment on top of this process's own, where it keeps its pid and
    log, and the signal that asks it to end."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    home: Path
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.home / "pids" / self.name

    def process(self) -> psutil.Process | None:
        """The running process, or none. A pid reused by another program does not count."""
        try:
            pid, created = self._pid_file.read_text(encoding="ascii").split()
            process = psutil.Process(int(pid))
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return None
        same = abs(process.create_time() - float(created)) < 1 and process.status() != psutil.STATUS_ZOMBIE
        return process if same else None

    def has_died(self) -> bool:
        """Whether it was started and has ended without being stopped."""
        return self._pid_file.exists() and self.process() is None

    def start(self) -> bool:
        """Starts it unless it runs; true if it was started. Of two concurrent callers, one starts it."""
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        with self._pid_file.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._start()

    def _start(self) -> bool:
        if self.process():
            return False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            started = subprocess.Popen(
                list(self.command),
                env={**os.environ, **self.environment},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        created = psutil.Process(started.pid).create_time()
        partial = self._pid_file.with_suffix(".partial")
        partial.write_text(f"{started.pid} {created}", encoding="ascii")
        partial.replace(self._pid_file)
        return True

    def end_orphans(self) -> None:
        """Kills the rest of a dead process's session, which may hold the port."""
        try:
            leader, created = self._pid_file.read_text(encoding="ascii").split()
        except (FileNotFoundError, ValueError):
            return
        if psutil.pid_exists(int(leader)) and self._is_taken_over(int(leader), float(created)):
            return
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) == int(leader) and process.create_time() >= float(created) - 1:
                    process.kill()
            except (psutil.Error, ProcessLookupError, PermissionError):
                continue  # it has just ended, or is another user's

    @staticmethod
    def _is_taken_over(pid: int, created: float) -> bool:
        """Whether another program has the pid by now: then the session with that number is not ours."""
        try:
            return bool(abs(psutil.Process(pid).create_time() - created) >= 1)
        except psutil.NoSuchProcess:
            return False

    def require_running(self) -> None:
        if not self.process():
            raise ProcessError(f"{self.name} has stopped. Last lines of {self.log}:\n{self.tail()}")

    def tail(self, lines: int = 15) -> str:
        if not self.log.exists():
            return "(no log)"
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 20_000))
            return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])

    def stop(self, patience_seconds: float = 20) -> bool:
        """Asks it and all its descendants to end, then kills them; true if it ran."""
        process = self.process()
        if process is None:
            self.end_orphans()
            self._pid_file.unlink(missing_ok=True)
            return False
        # list the children first: they can outlive a parent that ends at once
        family = [process, *process.children(recursive=True)]
        process.send_signal(self.stop_signal)
        psutil.wait_procs([process], timeout=patience_seconds)
        survivors = [member for member in family if member.is_running()]
        for member in survivors:
            _signal(member, terminate=True)
        _, alive = psutil.wait_procs(survivors, timeout=5)
        for member in alive:
            _signal(member, terminate=False)
        psutil.wait_procs(alive, timeout=5)
        self._pid_file.unlink(missing_ok=True)
        return True


def _signal(process: psutil.Process, *, terminate: bool) -> None:
    try:
        process.terminate() if terminate else process.kill()
    except psutil.NoSuchProcess:
        return


def wait_until(condition, what: str, seconds: float, watching: Sequence[Service] = ()) -> None:  # type: ignore[no-untyped-def]
    """Polls until ``condition()`` is true.

    Raises:
        ProcessError: a watched process ended, or the time is up; the message ends with the log's last lines.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        for service in watching:
            service.require_running()
        if time.monotonic() > deadline:
            logs = "\n".join(f"{service.log}:\n{service.tail()}" for service in watching)
            raise ProcessError(f"{what} did not happen within {seconds:.0f} s.\n{logs}")
        time.sleep(0.2)
