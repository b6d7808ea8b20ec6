"""What parsing the Dag folder costs once Airflow and its SageMaker operators are imported, in fresh processes."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rows import end, parser, row

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 5
SYNTHETIC_MODELS = 100
MODEL = "predictive_maintenance"
IMPORTS = "import airflow.sdk, airflow.providers.amazon.aws.operators.sagemaker, airflow.dag_processing.dagbag"
# frozen: so does Airflow's dag-processor, before it starts its processes; else the search of all that Airflow has
# imported for garbage would count as the Dags'
PROGRAM = """
import gc, time
{imports}
gc.freeze()
began = time.perf_counter()
from airflow.dag_processing.dagbag import DagBag
bag = DagBag({folder!r})
assert not bag.import_errors, bag.import_errors
print()
print(time.perf_counter() - began, len(bag.dags), sum(name.endswith({model!r}) for name in bag.dags))
"""


def parse(root: Path, home: str) -> tuple[float, int, int]:
    """Seconds to parse a checkout's Dag folder after the imports; how many Dags it has, and how many MODEL has."""
    environment = {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "plugins")]),
    }
    program = PROGRAM.format(imports=IMPORTS, folder=str(root / "dags"), model=MODEL)
    done = subprocess.run(
        # from elsewhere: "python -c" puts its own folder first on the path
        [sys.executable, "-c", program],
        env=environment,
        cwd=home,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, dags, of_the_model = done.stdout.strip().splitlines()[-1].split()
    return float(seconds), int(dags), int(of_the_model)


def full_checkout(folder: Path, models: int) -> Path:
    """A copy of dags/, plugins/ and include/ in which the model folder stands many times over."""
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
        seconds: dict[str, list[float]] = {name: [] for name in checkouts}
        dags: dict[str, int] = {}
        for _ in range(REPEATS):
            for name, root in checkouts.items():
                taken, dags[name], of_a_model = parse(root, temporary)
                seconds[name].append(taken)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    own, added = 1000 * median["ours"], median["many"] - median["ours"]
    ours = f"parsing the Dag folder ({dags['ours']} Dags), beyond Airflow and its operators, ms"
    more, expected = dags["many"] - dags["ours"], SYNTHETIC_MODELS * of_a_model
    theirs = f"{SYNTHETIC_MODELS} synthetic models ({more} Dags) more, seconds"
    rows = [
        row(ours, f"{own:.0f}", "<= 100", own <= 100 and dags["ours"] > 0),
        row(theirs, f"{added:.2f}", "<= 5", added <= 5 and more == expected > 0),
    ]
    return end(rows, arguments)


if __name__ == "__main__":
    sys.exit(main())
