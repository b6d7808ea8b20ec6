import json
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from include.ops.local_stack import supervisor
from include.ops.local_stack.processes import Service, wait_until
from include.ops.local_stack.settings import Settings
from include.ops.local_stack.supervisor import Supervisor

SLEEP = "import time; time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); {SLEEP}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def service(home: Path, program: str = SLEEP, name: str = "program") -> Service:
    return Service(name, [sys.executable, "-c", program], {}, home)


def killed(one: Service) -> int:
    process = one.process()
    assert process is not None
    process.send_signal(signal.SIGKILL)
    wait_until(one.has_died, "its death", 30)
    return process.pid


def deaths(home: Path) -> list[dict[str, object]]:
    file = supervisor.deaths_file(home)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_what_died_is_noted_and_started_again(tmp_path: Path) -> None:
    one, other = service(tmp_path), service(tmp_path, name="other")
    one.start()
    other.start()
    watch = Supervisor([one, other], supervisor.deaths_file(tmp_path))
    watch.look()
    assert deaths(tmp_path) == []
    pid = killed(one)
    watch.look()
    again = one.process()
    assert again is not None
    assert again.pid != pid
    assert [death["service"] for death in deaths(tmp_path)] == ["program"]
    one.stop()
    other.stop()


def test_what_was_stopped_or_never_started_stays_so(tmp_path: Path) -> None:
    stopped, never = service(tmp_path), service(tmp_path, name="never")
    stopped.start()
    stopped.stop()
    watch = Supervisor([stopped, never], supervisor.deaths_file(tmp_path))
    for _ in range(3):
        watch.look()
    assert stopped.process() is None
    assert never.process() is None
    assert deaths(tmp_path) == []


def test_what_keeps_dying_is_started_later_and_later(tmp_path: Path) -> None:
    broken, clock = service(tmp_path, "raise SystemExit('no such port')"), Clock()
    broken.start()
    watch = Supervisor([broken], supervisor.deaths_file(tmp_path), clock)
    for _ in range(4):
        wait_until(broken.has_died, "its death", 30)
        watch.look()
        clock.now += 60
        watch.look()
    pauses = [death["again_in_seconds"] for death in deaths(tmp_path)]
    assert pauses[:4] == [0.0, 1.0, 2.0, 4.0]
    assert "no such port" in str(deaths(tmp_path)[-1]["last_lines"])


def test_children_that_outlived_their_parent_are_ended_first(tmp_path: Path) -> None:
    parent = service(tmp_path, PARENT)
    parent.start()
    process = parent.process()
    assert process is not None
    wait_until(lambda: bool(process.children()), "a child", 30)
    (child,) = process.children()
    killed(parent)
    parent.end_orphans()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "the child's end", 10)


def test_two_that_start_it_at_a_time_start_it_once(tmp_path: Path) -> None:
    started: list[bool] = []
    threads = [threading.Thread(target=lambda: started.append(service(tmp_path).start())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started.count(True) == 1
    service(tmp_path).stop()


@pytest.mark.slow
def test_the_person_at_the_keyboard_is_told_within_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(tmp_path, airflow_port=1, sagemaker_port=2)
    one, said = service(tmp_path), []
    program = (
        "from include.ops.local_stack import supervisor; from include.ops.local_stack.processes import Service;"
        f" supervisor.services = lambda settings: [Service('program', {one.command!r}, {{}}, settings.home)];"
        " supervisor.main()"
    )
    watching = supervisor.service(settings)
    watching = Service(watching.name, [watching.command[0], "-c", program], watching.environment, tmp_path)
    monkeypatch.setattr(supervisor, "service", lambda settings: watching)
    one.start()
    watching.start()
    supervisor.announce(settings, said.append)

    def is_back_and_told(dead: Service) -> bool:
        return dead.process() is not None and any(dead.name in line for line in said)

    for dead in (one, watching):
        killed(dead)
        began = time.monotonic()
        wait_until(partial(is_back_and_told, dead), "the news", 60)
        assert time.monotonic() - began < 10
    watching.stop()
    one.stop()
