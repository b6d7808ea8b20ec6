"""How well tabular_classifier's configuration does on the real AI4I 2020 data, without the columns that say the label.

    python tests/benchmarks/bench_ai4i.py [--json] [--data FOLDER]

Four repetitions (seeds 0 to 3) of stratified five-fold cross-validation: the estimator of the tabular library with
model.yaml's hyperparameters and derived columns, beside the same without derived columns and the best constant answer.
F1 is of the failures. Needs ``include`` on PYTHONPATH; without the data it says so and measures nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold

from jobs.feature_table import examples
from models.config import Features, load_model
from models.interface import Examples
from models.tabular.estimator import TabularEstimator
from models.tabular.features import TabularFeatures

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "ai4i2020"
SEEDS = range(4)
FOLDS = 5
LEAST_F1 = 0.85


def measure(folder: Path) -> tuple[list[float], list[float], float]:
    """F1 of every fold: as configured, without derived columns; and of calling every row a failure."""
    config = load_model("tabular_classifier")
    table = pl.read_csv(folder / "ai4i2020.csv.gz")
    whole = examples(config, TabularFeatures(config).build_features({"rows": table}))
    raw_only = config.model_copy(update={"features": Features(exclude=config.features.exclude)})
    found: dict[str, list[float]] = {"configured": [], "raw": []}
    for seed in SEEDS:
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
        for learned, held_out in folds.split(np.zeros(len(table)), whole.target):
            train, test = _part(whole, learned), _part(whole, held_out)
            for name, chosen in (("configured", config), ("raw", raw_only)):
                own = TabularEstimator(chosen)
                # no early stopping in this model.yaml: the second table is not looked at
                model = own.fit(train, train, {**config.training.hyperparameters, "seed": seed})
                found[name].append(float(f1_score(test.target, own.predict(model, test.features).argmax(axis=1))))
    return found["configured"], found["raw"], float(f1_score(whole.target, np.ones_like(whole.target)))


def _part(whole: Examples, rows: np.ndarray) -> Examples:
    return Examples(whole.features[rows], whole.target[rows], whole.classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", type=Path, default=DATA)
    arguments = parser.parse_args()
    name = f"tabular_classifier on AI4I 2020: F1, mean of {len(SEEDS)} x {FOLDS} folds, without the mode columns"
    if not (arguments.data / "ai4i2020.csv.gz").exists():
        row = {"name": name, "value": f"not measured: no {arguments.data}", "bound": f">= {LEAST_F1}", "ok": True}
    else:
        configured, raw, constant = measure(arguments.data)
        mean = float(np.mean(configured))
        row = {
            "name": name,
            "value": f"{mean:.3f} ± {np.std(configured):.3f} (raw columns {np.mean(raw):.3f}, constant {constant:.3f})",
            "bound": f">= {LEAST_F1}",
            "ok": mean >= LEAST_F1,
        }
    print(json.dumps([row]) if arguments.json else row)


if __name__ == "__main__":
    main()
