"""Raw data of a simulated electricity market, with the file and columns of ELEC2.

    python -m include.models.electricity.simulate --out DIR [--seed N] [--days N]

Demand follows the day and the week; the price follows demand, with spells of high and low prices that last for hours,
and that relation drifts over the months. Victoria's columns are constant until the markets are connected.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from include.models.simulator import write_table

DAY = 48  # half-hours
CONNECTED = 0.38  # the share of the days after which Victoria's columns move


def simulate(seed: int = 7, days: int = 730) -> pl.DataFrame:
    """The table under model.yaml's names, in the order of half-hours; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    rows = days * DAY
    step = np.arange(rows)
    period, weekday = (step % DAY) / (DAY - 1), step // DAY % 7
    course = np.sin(2 * np.pi * (period - 0.3)) + 0.4 * np.sin(4 * np.pi * (period - 0.1)) - 0.5 * (weekday >= 5)
    demand = course + _lasting(rng, rows, 0.98, 0.08)
    drift = 1 + 0.5 * np.sin(2 * np.pi * step / (DAY * 180))
    price = drift * demand + _lasting(rng, rows, 0.95, 0.12) + rng.normal(0, 0.3, rows)
    total = np.concatenate([[0.0], np.cumsum(price)])
    mean = np.full(rows, price[:DAY].mean())  # of the last day; of the first day if there is none before
    mean[DAY:] = (total[DAY:rows] - total[: rows - DAY]) / DAY
    up = price > mean
    connected = step >= int(days * CONNECTED) * DAY
    columns = {
        "nswprice": _scale(price),
        "nswdemand": _scale(demand),
        "vicprice": np.where(connected, _scale(price + _lasting(rng, rows, 0.9, 0.3)), 0.003467),
        "vicdemand": np.where(connected, _scale(demand + _lasting(rng, rows, 0.98, 0.1)), 0.422915),
        "transfer": np.where(connected, _scale(_lasting(rng, rows, 0.97, 0.2)), 0.414912),
    }
    rounded = {name: np.round(values, 6) for name, values in {"period": period, **columns}.items()}
    return pl.DataFrame({**rounded, "price_is_up": up.astype(np.int64)})


def _lasting(rng: np.random.Generator, rows: int, memory: float, size: float) -> np.ndarray:
    """An autoregressive series that keeps a share of its value at every step."""
    noise = rng.normal(0, size, rows)
    for index in range(1, rows):
        noise[index] += memory * noise[index - 1]
    return noise


def _scale(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    scaled: np.ndarray = (values - low) / (high - low)
    return scaled


def main(argv: list[str] | None = None) -> None:
    write_table("electricity", simulate, argv, description=__doc__, size=("days", 730), least=2)


if __name__ == "__main__":
    main()
