"""The cost of parsing the Dag folder, compared with importing Airflow and its SageMaker operators, in plain processes.

Every process does both, one after the other, and the two checkouts take turns, so that the machine's load affects all
alike. Time is CPU time. The bound applies to the median of the processes' ratios.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rows import end, parser, row

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 7
SYNTHETIC_MODELS = 100
MODEL = "predictive_maintenance"
DAGS_A_MODEL = 4  # train, score, deploy, monitor
PROGRAM = """
import importlib.util, json, sys, time
from pathlib import Path


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


began = time.process_time()
import airflow.sdk, airflow.providers.amazon.aws.operators.sagemaker
imported, before = time.process_time(), resident()
from airflow.sdk.definitions._internal.contextmanager import DagContext

for path in sorted(Path(sys.argv[1]).glob("*.py")):
    spec = importlib.util.spec_from_file_location(f"dag_file_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    DagContext.current_autoregister_module_name = spec.name  # as Airflow does, which so learns what Dags there are
    spec.loader.exec_module(module)
parsed, after = time.process_time(), resident()
dags = [dag.dag_id for dag, _ in DagContext.autoregistered_dags]
print()
print(json.dumps({"imports": imported - began, "parse": parsed - imported, "mib": after - before, "dags": dags}))
"""


def parse(root: Path, home: str) -> dict[str, Any]:
    """One process: CPU seconds of ``imports`` and ``parse``, ``mib`` that the latter added, ``dags`` by id."""
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": home,
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "plugins")]),
    }
    done = subprocess.run(
        # from elsewhere: "python -c" puts its own folder first on the path
        [sys.executable, "-c", PROGRAM, str(root / "dags")],
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def full_checkout(folder: Path, models: int) -> Path:
    """A copy of dags/, plugins/ and include/ with many copies of the model folder."""
    for name in ("dags", "plugins", "include"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.parquet", "*.csv"))
    original = folder / "include" / "models" / MODEL / "model.yaml"
    text = original.read_text(encoding="utf-8")
    for number in range(models):
        name = f"synthetic_{number:03d}"
        copy = folder / "include" / "models" / name / "model.yaml"
        copy.parent.mkdir()
        copy.write_text(text.replace(f"name: {MODEL}", f"name: {name}"), encoding="utf-8")
    return folder


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        many = full_checkout(Path(temporary) / "many", SYNTHETIC_MODELS)
        checkouts = {"ours": ROOT, "many": many}
        for root in checkouts.values():  # Python compiles new files first
            parse(root, temporary)
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in checkouts}
        for _ in range(REPEATS):
            for name, root in checkouts.items():
                runs[name].append(parse(root, temporary))
    dags, more = (len(runs[name][0]["dags"]) for name in checkouts)
    ratios = [1 + one["parse"] / one["imports"] for one in runs["ours"]]
    ratio = statistics.median(ratios)
    memory = statistics.median(one["mib"] for one in runs["ours"])
    added = statistics.median(
        theirs["parse"] - ours["parse"] for ours, theirs in zip(runs["ours"], runs["many"], strict=True)
    )
    rows = [
        row(
            f"imports and parsing the Dag folder ({dags} Dags), over the imports, processor time",
            f"{ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})",
            "<= 1.15",
            ratio <= 1.15 and dags > 0,
        ),
        row(
            f"{SYNTHETIC_MODELS} synthetic models ({more - dags} Dags) more, processor-seconds",
            f"{added:.2f}",
            "<= 3",
            added <= 3 and more - dags == SYNTHETIC_MODELS * DAGS_A_MODEL,
        ),
        row("memory that parsing the Dag folder adds to the imports, MiB", f"{memory:.1f}", "<= 20", memory <= 20),
    ]
    return end(rows, arguments)


if __name__ == "__main__":
    sys.exit(main())
