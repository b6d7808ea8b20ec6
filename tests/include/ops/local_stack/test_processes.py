import sys
import time
from pathlib import Path

import psutil
import pytest

from include.ops.local_stack.processes import ProcessError, Service, wait_until

SLEEP = "import time; time.sleep(60)"
PARENT_WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); {SLEEP}"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def service(home: Path, program: str) -> Service:
    return Service("program", [sys.executable, "-c", program], {}, home)


def test_is_started_once_and_found_again(tmp_path: Path) -> None:
    first = service(tmp_path, SLEEP)
    assert first.start()
    again = service(tmp_path, SLEEP)
    assert not again.start()
    assert again.process() == first.process()
    assert again.stop()
    assert not again.stop()


def test_stopping_takes_the_children_too(tmp_path: Path) -> None:
    parent = service(tmp_path, PARENT_WITH_CHILD)
    parent.start()
    process = parent.process()
    assert process is not None
    deadline = time.monotonic() + 60
    while not (children := process.children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(children) == 1
    parent.stop()
    assert not children[0].is_running() or children[0].status() == psutil.STATUS_ZOMBIE


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    deaf = service(tmp_path, DEAF)
    deaf.start()
    wait_until(lambda: "deaf" in deaf.tail(), "the program starting", 60)
    process = deaf.process()
    assert process is not None
    deaf.stop(patience_seconds=0.2)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_pid_taken_over_by_another_program_is_not_ours(tmp_path: Path) -> None:
    ours = service(tmp_path, "pass")
    (tmp_path / "pids").mkdir()
    (tmp_path / "pids" / "program").write_text(f"{psutil.Process().pid} 1.0")
    assert ours.process() is None
    assert not ours.stop()


def test_waiting_for_a_process_that_ends_shows_its_log(tmp_path: Path) -> None:
    broken = service(tmp_path, "raise SystemExit('no such port')")
    broken.start()
    with pytest.raises(ProcessError, match="no such port"):
        wait_until(lambda: False, "readiness", 10, [broken])
