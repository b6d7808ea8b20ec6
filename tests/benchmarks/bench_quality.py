"""What models reach on the real data with honest splits, means over seeds, beside baselines.

    python tests/benchmarks/bench_quality.py [--json] [--seeds N]

machine_downtime: seeded splits that keep a machine's day together. abalone_age: seeded splits. electricity: tested on
the second half of the data, half-hour by half-hour in time; a model of the first half against one that is fitted anew
every day on the last 56 days, both from the market of the last half-hour alone, with "same as last" beside them.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from jobs.feature_table import examples
from jobs.metrics import measure
from jobs.splitting import split
from jobs.validation.cleaning import Window, clean_table
from jobs.validation.reading import LINE, read_table
from models.config import ModelConfig, RandomSplit, load_model
from models.interface import estimator, feature_builder

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
WINDOW_DAYS, VALIDATION_DAYS = 56, 7


def features(config: ModelConfig, folder: str) -> pl.DataFrame:
    tables = {}
    for name, table in config.data.tables.items():
        clean = clean_table(read_table(DATA / folder, name, table), table, config.data.time, Window())
        tables[name] = clean.frame.drop(LINE)
    return feature_builder(config.name).build_features(tables)


def over_seeds(name: str, folder: str, metric: str, seeds: int, **chosen: Any) -> float:
    """The mean of the test split's metric over seeds of split and model, four fifths to learn from."""
    config, own = load_model(name), estimator(name)
    frame = features(config, folder)
    found = []
    for seed in range(seeds):
        how = RandomSplit.model_validate(config.split.model_dump() | {"seed": seed, "validation_share": 0.1})
        parts = split(config.model_copy(update={"split": how}), frame)
        train, validation, test = (examples(config, parts[part]) for part in ("train", "validation", "test"))
        model = own.fit(train, validation, {**config.training.hyperparameters, **chosen, "seed": seed})
        predictions = own.predict(model, test.features)
        found.append(measure(config.problem, test.target, predictions, test.classes)[metric])
    return float(np.mean(found))


def drifting() -> dict[str, float]:
    config, own = load_model("electricity"), estimator("electricity")
    frame = features(config, "elec2")
    days = frame["half_hour"].dt.truncate("1d")
    first, last = days.min(), days.max()
    half = first + timedelta(days=(last - first).days // 2)  # type: ignore[operator] # days
    hyperparameters = {**config.training.hyperparameters, "history": False}
    time = pl.col("half_hour")

    def answers(start: Any, end: Any, until: Any) -> Any:
        """Right or wrong, of the half-hours until then, by a model of those from start to end."""
        border = end - timedelta(days=VALIDATION_DAYS)
        train, validation, test = (
            examples(config, frame.filter(time >= a, time < b))
            for a, b in ((start, border), (border, end), (end, until))
        )
        model = own.fit(train, validation, hyperparameters)
        return own.predict(model, test.features).argmax(axis=1) == test.target

    end = last + timedelta(days=1)  # type: ignore[operator] # a day
    daily = [half + timedelta(days=day) for day in range((end - half).days)]
    moved = [answers(day - timedelta(days=WINDOW_DAYS), day, day + timedelta(days=1)) for day in daily]
    later = frame.filter(time >= half)
    return {
        "static": float(np.mean(answers(first, half, end))),
        "daily": float(np.mean(np.concatenate(moved))),
        "same as last": float(np.mean((later["was_up_1"] == later["price_is_up"]).to_numpy())),
    }


def rows(seeds: int) -> list[dict[str, Any]]:
    forest = over_seeds("machine_downtime", "machine_downtime", "accuracy", seeds)
    best = over_seeds(
        *("machine_downtime", "machine_downtime", "accuracy", seeds),
        algorithm="lightgbm",
        trees=300,
        min_rows_in_leaf=20,
    )
    mse = over_seeds("abalone_age", "abalone", "mse", seeds)
    found = drifting()
    gain = found["daily"] - found["static"]
    beside = f"static {found['static']:.3f}, daily {found['daily']:.3f}, same as last {found['same as last']:.3f}"
    return [
        {
            "name": f"machine_downtime: accuracy, best of {seeds} seeds' means (forest {forest:.4f})",
            "value": f"{best:.4f}",
            "bound": "≥ 0.99",
            "ok": best >= 0.99,
        },
        {"name": f"abalone_age: MSE, {seeds} seeds", "value": f"{mse:.3f}", "bound": "≤ 4.70", "ok": mse <= 4.70},
        {
            "name": f"electricity: accuracy that daily retraining wins ({beside})",
            "value": f"{100 * gain:.1f} points",
            "bound": "≥ 4 points",
            "ok": gain >= 0.04,
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    found = rows(arguments.seeds)
    if arguments.json:
        print(json.dumps(found))
        return
    for row in found:
        print(f"{row['name']}: {row['value']} (bound {row['bound']})")


if __name__ == "__main__":
    main()
