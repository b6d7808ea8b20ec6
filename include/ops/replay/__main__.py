"""``make replay``: replays a model's past days under several retraining policies, to see which would have paid off.

The first version is trained on the data before the first day. Policies that depend on verdicts are replayed together
until they part, each of the others on its own; ``AT_ONCE`` local SageMakers run at a time. ``replay-<model>.html`` and
``.json`` in the stack's folder have the results.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from rich.console import Console

from include.models.config import ModelConfig, load_model
from include.ops.local_stack.arguments import ArgumentsError, check_days, check_model
from include.ops.local_stack.command import carry_out, under_way
from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.seed import ALL_DAYS, newest_days, seed, seed_days
from include.ops.local_stack.settings import BUCKET, ROOT, Settings
from include.ops.replay.page import page, summary_of, tables_of
from include.ops.replay.policy import (
    EVERY,
    FROM_THE_BEGINNING,
    POLICIES,
    Course,
    Life,
    Replayed,
    after,
    course_of,
    with_policy,
)
from include.ops.replay.weeks import check_labels
from include.ops.replay.world import World, say
from include.ops.screen import screen
from include.platform.code_bundle import upload_code
from include.platform.errors import PermanentError
from include.score.impossible import ranges
from include.score.plan import days_between, list_partitions, look_back

AT_ONCE = 2


def start(model: ModelConfig, settings: Settings, first: str, last: str, data: Path | None, console: Console) -> str:
    """A world with the raw tables, the days' partitions and a first version, which is in production whether its gates
    hold or not: each policy begins with it. The hash of the job code.

    Raises:
        PermanentError: a day has no data, or no version can be trained.
    """
    world = World(settings)
    with world.running():
        world.client("s3").create_bucket(Bucket=BUCKET)
        code = upload_code(world.client("s3"), BUCKET)
        world.use_code(code)
        seed(settings, model.name, data, console.print)
        ahead = model.labels.days_ahead if model.labels else 0
        with under_way("splitting the raw tables into days", console.print):
            seed_days(settings, model.name, [*look_back(model, first), first][0], after(last, ahead), console.print)
        there = list_partitions(world.client("s3"), BUCKET, model.name)
        if lacking := [day for day in days_between(first, last) if day not in there]:
            ends = newest_days(settings, model.name, ALL_DAYS)
            known = f"the data begins on {ends[0]} and ends on {ends[1]}" if ends else "there is no data at all"
            none = f"{ranges(lacking)} {'have' if len(lacking) > 1 else 'has'} none"
            raise PermanentError(f"a replay needs data of each day from FROM to TO, and {none}; {known}")
        life = Life(with_policy(model, "never"), course_of(["start"], first), world)
        before = after(first, -1)
        life.train(before, started_by="replay, the first version", must_learn=FROM_THE_BEGINNING, whatever=True)
    (first_one,) = life.course["trainings"]
    if first_one["version"] is None:
        raise PermanentError(f"no first version can be trained up to {before}: {first_one['outcome']}")
    console.print(f"the first version, trained up to {before}, {first_one['outcome']}", soft_wrap=True)
    return code


def lived(
    home: Path, course: Course, port: int, arguments: list[str], running: list[subprocess.Popen[bytes]]
) -> Course:
    """Replays policies, from where they are, in a copy of the world in ``home``, in a folder beside it that has their
    names; returns how far they came.

    Args:
        running: gets the process.

    Raises:
        PermanentError: it ended early.
    """
    own = home.with_name("+".join(course["policies"]))
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("logs", "pids"))
    file = own.with_name(f"{own.name}.json")
    file.write_text(json.dumps(course), encoding="utf-8")
    variables = {"LAPTOP_HOME": str(own), "SAGEMAKER_PORT": str(port)}
    command = [sys.executable, "-m", "include.ops.replay.policy", "--course", str(file), *arguments]
    running.append(subprocess.Popen(command, env={**os.environ, **variables}, cwd=ROOT))
    if code := running[-1].wait():
        ended = f"{', '.join(course['policies'])} ended early (exit code {code})"
        raise PermanentError(f"the replay of {ended}: see its output above")
    found: Course = json.loads(file.read_text(encoding="utf-8"))
    return found


def every_life(home: Path, policies: list[str], first: str, arguments: list[str]) -> Iterator[Course]:
    """Replays all policies, ``AT_ONCE`` processes at a time: the longest first, which train most often.

    Raises:
        PermanentError: one ended early; then the others are stopped.
    """
    ports = iter(free_ports(2 * len(policies)))
    running: list[subprocess.Popen[bytes]] = []
    alone = sorted((one for one in policies if one in EVERY), key=lambda one: EVERY[one])
    groups = [[one] for one in alone] + [[one for one in policies if one not in EVERY]]
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def go(world: Path, course: Course) -> Future[Course]:
            return pool.submit(lived, world, course, next(ports), arguments, running)

        waiting = {go(home, course_of(group, first)) for group in groups if group}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for course in [one.result() for one in done]:
                    if not course["parting"]:
                        yield course
                        continue
                    world = home.with_name("+".join(course["policies"]))
                    others = [one for one in course["policies"] if one not in course["parting"]]
                    part = "parts" if len(course["parting"]) == 1 else "part"
                    parted = f"{', '.join(course['parting'])} {part} from {', '.join(others)}"
                    say(f"{parted}: a training on {course['next']}")
                    waiting |= {go(world, {**course, "policies": each}) for each in (course["parting"], others)}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in running:
                process.terminate()
            raise


def replay(settings: Settings, given: argparse.Namespace, console: Console) -> int:
    model = load_model(check_model(given.model))
    first, last = (day.isoformat() for day in check_days(given.first, given.last))
    if unknown := [name for name in given.policies if name not in POLICIES]:
        raise ArgumentsError(f"POLICIES has '{unknown[0]}'; allowed are {', '.join(POLICIES)}")
    policies = list(dict.fromkeys(given.policies))
    if not policies:
        raise ArgumentsError(f"POLICIES is empty; allowed are {', '.join(POLICIES)}")
    check_labels(model)
    began = time.monotonic()
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home, prefix="replay-") as folder:
        home = Path(folder, "start")
        code = start(model, Settings(home, 0, *free_ports(1)), first, last, given.data, console)
        console.print(f"first version trained after {time.monotonic() - began:.0f} s")
        arguments = ["--model", model.name, "--to", last, "--days", str(given.days), "--code", code]
        courses = {one: course for course in every_life(home, policies, first, arguments) for one in course["policies"]}
    found = [replayed(model, one, courses[one]) for one in policies]
    summaries = [summary_of(model, one) for one in found]
    file = settings.home / f"replay-{model.name}.html"
    file.write_text(page(model, found, summaries), encoding="utf-8")
    file.with_suffix(".json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    for table in tables_of(model, summaries):
        console.print(table)
    console.print(f"{time.monotonic() - began:.0f} s; {file}", soft_wrap=True)
    return 0


def replayed(model: ModelConfig, policy: str, course: Course) -> Replayed:
    return {
        "model": model.name,
        "policy": policy,
        "metric": model.champion.metric,
        "days": course["days"],
        "weeks": course["weeks"],
        "trainings": course["trainings"],
        "jobs": course["jobs"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--from", dest="first", required=True, help="first day")
    parser.add_argument("--to", dest="last", required=True, help="last day")
    parser.add_argument("--policies", type=str.split, default=["never", "weekly", "on_drift", "on_performance"])
    parser.add_argument("--days", type=int, default=28, help="days that are scored together")
    parser.add_argument("--data", type=Path, help="folder of raw tables, or the only file")
    given, console = parser.parse_args(), screen()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what it started is stopped
    return carry_out(lambda settings: replay(settings, given, console), console, PermanentError)


if __name__ == "__main__":
    sys.exit(main())
