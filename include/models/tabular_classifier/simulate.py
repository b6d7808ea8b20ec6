"""Raw data of a simulated milling machine, with the file and columns of the AI4I 2020 data set.

    python -m include.models.tabular_classifier.simulate --out DIR [--seed N] [--rows N]

Made as its author describes (S. Matzka, "Explainable Artificial Intelligence for Predictive Maintenance Applications",
2020): temperatures are random walks, speed falls with torque, tools wear with each piece, and a piece fails
by any of five modes, one of them pure chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

FILE = "ai4i2020.csv"
ROWS = 10_000
TYPES = {"L": (0.6, 2, 11_000), "M": (0.3, 3, 12_000), "H": (0.1, 5, 13_000)}  # share, minutes of wear, overstrain
FIRST_NUMBER = {"L": 47_180, "M": 14_859, "H": 29_412}
POWER_FAILS = (3_500, 9_000)
WEARS_OUT = (200, 240)  # minutes: between them a tool fails or is replaced


def simulate(seed: int = 7, rows: int = ROWS) -> pl.DataFrame:
    """The table in the order of its pieces; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(list(TYPES), rows, p=[share for share, _, _ in TYPES.values()])
    air = 300 + _walk(rng, rows, 2.0)
    process = 310 + 0.65 * (air - 300) + _walk(rng, rows, 0.7)
    torque = np.clip(rng.normal(40, 10, rows), 3.8, None)
    speed = np.clip(1_500 * (40 / torque) ** 0.4 * rng.normal(1, 0.04, rows), 1_168, 2_886)  # slower under load
    wear, worn_out = _tools(rng, kind)
    power = torque * speed * 2 * np.pi / 60
    limit = np.array([TYPES[one][2] for one in kind])
    modes = {
        "TWF": worn_out,
        "HDF": (process - air < 8.6) & (speed < 1_380),
        "PWF": (power < POWER_FAILS[0]) | (power > POWER_FAILS[1]),
        "OSF": wear * torque > limit,
        "RNF": rng.random(rows) < 0.001,
    }
    failed = modes["TWF"] | modes["HDF"] | modes["PWF"] | modes["OSF"]  # random failures are not in the label there
    number = np.arange(rows)
    return pl.DataFrame(
        {
            "UDI": number + 1,
            "Product ID": [f"{one}{FIRST_NUMBER[one] + place + 1}" for place, one in enumerate(kind)],
            "Type": kind,
            "Air temperature [K]": air.round(1),
            "Process temperature [K]": process.round(1),
            "Rotational speed [rpm]": speed.round().astype(np.int64),
            "Torque [Nm]": torque.round(1),
            "Tool wear [min]": wear,
            "Machine failure": failed.astype(np.int64),
            **{name: happened.astype(np.int64) for name, happened in modes.items()},
        }
    )


def _walk(rng: np.random.Generator, rows: int, deviation: float) -> np.ndarray:
    """A random walk with this deviation and mean 0."""
    walk = np.cumsum(rng.normal(0, 1, rows))
    return (walk - walk.mean()) / max(walk.std(), 1e-9) * deviation


def _tools(rng: np.random.Generator, kind: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minutes of wear before each piece, and whether the tool failed at it; most are replaced in time."""
    wear, worn_out = np.zeros(len(kind), dtype=np.int64), np.zeros(len(kind), dtype=bool)
    minutes, ends = 0, rng.integers(*WEARS_OUT)
    for place, one in enumerate(kind):
        wear[place] = minutes
        minutes += TYPES[one][1]
        if minutes > ends:
            worn_out[place] = rng.random() < 0.4
            minutes, ends = 0, rng.integers(*WEARS_OUT)
    return wear, worn_out


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help=f"folder for {FILE}")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, default=ROWS)
    arguments = parser.parse_args(argv)
    if arguments.rows < 1:
        parser.error("--rows must be at least 1")
    arguments.out.mkdir(parents=True, exist_ok=True)
    simulate(arguments.seed, arguments.rows).write_csv(arguments.out / FILE)


if __name__ == "__main__":
    main()
