"""Raw data of simulated abalones, with the file and columns of UCI's data: no header, a few impossible rows.

    python -m include.models.abalone_age.simulate --out DIR [--seed N] [--rows N]

An animal's rings are its age. It grows towards its own length, fast when young and hardly at all when old, so that
old animals' rings are hard to tell; its weights follow the cube of its length, and the shell's grows with age as well.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from include.models.simulator import write_table

IMPOSSIBLE = 0.001  # share of rows with a height of 0 or a part that is heavier than the whole


def simulate(seed: int = 7, rows: int = 4177) -> pl.DataFrame:
    """The table, the same for the same arguments; lengths in 200 mm, weights in 200 g."""
    rng = np.random.default_rng(seed)
    rings = np.clip(np.round(2.5 + rng.gamma(5.3, 1.42, rows)), 1, 29)
    adult = rng.random(rows) < 1 / (1 + np.exp(-(rings - 8.0) / 1.3))
    sex = np.where(adult, np.where(rng.random(rows) < 0.54, "M", "F"), "I")
    length = np.clip(rng.normal(0.64, 0.075, rows) * (1 - np.exp(-0.21 * rings)), 0.08, 0.81)
    diameter = length * rng.normal(0.79, 0.015, rows)
    height = length * rng.normal(0.266, 0.02, rows)
    whole = 5.2 * length**3 * rng.lognormal(0.0, 0.07, rows)
    shell_share = np.clip(0.235 + 0.0055 * rings + rng.normal(0, 0.035, rows), 0.15, 0.45)
    shucked_share = np.clip(0.51 - 0.0085 * rings + rng.normal(0, 0.045, rows), 0.2, 0.6)
    weights = {
        "shucked_weight": whole * shucked_share,
        "viscera_weight": whole * rng.normal(0.215, 0.012, rows),
        "shell_weight": whole * shell_share,
    }
    wrong = rng.random(rows) < IMPOSSIBLE
    height[wrong] = 0.0
    sizes = {"length": length, "diameter": diameter, "height": height, "whole_weight": whole, **weights}
    rounded = {name: np.round(values, 4) for name, values in sizes.items()}
    return pl.DataFrame({"sex": sex, **rounded, "rings": rings.astype(np.int64)})


def main(argv: list[str] | None = None) -> None:
    write_table("abalone_age", simulate, argv, description=__doc__, size=("rows", 4177))


if __name__ == "__main__":
    main()
