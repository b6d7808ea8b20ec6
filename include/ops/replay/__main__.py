"""``make replay``: replays a model's past days under several retraining policies, to see which would have paid off.

The first version is trained on the data before the first day. Then each policy gets its own local SageMaker,
two at a time; ``replay-<model>.html`` and ``.json`` in the stack's folder have the results.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console

from include.models.config import ModelConfig, load_model
from include.ops.local_stack.arguments import ArgumentsError, check_days, check_model
from include.ops.local_stack.command import carry_out
from include.ops.local_stack.processes import free_ports
from include.ops.local_stack.seed import newest_days, seed, seed_days
from include.ops.local_stack.settings import BUCKET, ROOT, Settings
from include.ops.replay.page import page, summary_of, table_of
from include.ops.replay.policy import FROM_THE_BEGINNING, POLICIES, Life, Replayed, after, with_policy
from include.ops.replay.world import World
from include.platform.code_bundle import upload_code
from include.platform.errors import PermanentError
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
        seed_days(settings, model.name, [*look_back(model, first), first][0], after(last, ahead), console.print)
        there = list_partitions(world.client("s3"), BUCKET, model.name)
        if lacking := [day for day in days_between(first, last) if day not in there]:
            newest = newest_days(settings, model.name, 1)
            ends = f"; the data ends on {newest[1]}" if newest else ""
            raise PermanentError(
                f"a replay needs data of each day, and {len(lacking)} lack it, from {lacking[0]} on{ends}"
            )
        life = Life(with_policy(model, "never"), "start", world)
        before = after(first, -1)
        life.train(before, started_by="replay, the first version", must_learn=FROM_THE_BEGINNING, whatever=True)
    (first_one,) = life.trainings
    if first_one["version"] is None:
        raise PermanentError(f"no first version can be trained up to {before}: {first_one['outcome']}")
    console.print(f"the first version, trained up to {before}, {first_one['outcome']}", soft_wrap=True)
    return code


def lived(home: Path, policy: str, port: int, arguments: list[str]) -> Replayed:
    """Replays a policy in a copy of the first world.

    Raises:
        PermanentError: it ended early.
    """
    own, result = home.with_name(policy), home.with_name(f"{policy}.json")
    shutil.copytree(home, own, ignore=shutil.ignore_patterns("logs", "pids"))
    variables = {"LAPTOP_HOME": str(own), "SAGEMAKER_PORT": str(port)}
    command = [sys.executable, "-m", "include.ops.replay.policy", "--policy", policy, "--result", str(result)]
    done = subprocess.run([*command, *arguments], env={**os.environ, **variables}, cwd=ROOT, check=False)
    if done.returncode:
        raise PermanentError(f"the policy {policy} ended early (exit code {done.returncode}): see its output above")
    found: Replayed = json.loads(result.read_text(encoding="utf-8"))
    return found


def replay(settings: Settings, given: argparse.Namespace, console: Console) -> int:
    model = load_model(check_model(given.model))
    first, last = (day.isoformat() for day in check_days(given.first, given.last))
    if unknown := [name for name in given.policies if name not in POLICIES]:
        raise ArgumentsError(f"POLICIES has '{unknown[0]}'; allowed are {', '.join(POLICIES)}")
    began = time.monotonic()
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.home, prefix="replay-") as folder:
        home, ports = Path(folder, "start"), free_ports(len(given.policies) + 1)
        code = start(model, Settings(home, 0, ports[0]), first, last, given.data, console)
        console.print(f"first version trained after {time.monotonic() - began:.0f} s")
        arguments = ["--model", model.name, "--from", first, "--to", last, "--days", str(given.days), "--code", code]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lives = pool.map(
                lambda one: lived(home, one[0], one[1], arguments), zip(given.policies, ports[1:], strict=True)
            )
            found = list(lives)
    summaries = [summary_of(model, one) for one in found]
    file = settings.home / f"replay-{model.name}.html"
    file.write_text(page(model, found, summaries), encoding="utf-8")
    file.with_suffix(".json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    console.print(table_of(model, summaries))
    console.print(f"{time.monotonic() - began:.0f} s; {file}", soft_wrap=True)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--from", dest="first", required=True, help="first day")
    parser.add_argument("--to", dest="last", required=True, help="last day")
    parser.add_argument("--policies", type=str.split, default=["never", "weekly", "on_drift", "on_performance"])
    parser.add_argument("--days", type=int, default=28, help="days that are scored by one job")
    parser.add_argument("--data", type=Path, help="folder of raw tables, or the only file")
    given, console = parser.parse_args(), Console()
    return carry_out(lambda settings: replay(settings, given, console), console, PermanentError)


if __name__ == "__main__":
    sys.exit(main())
