"""Raw data of simulated machine tools, with the file and columns of the Makino readings.

    python -m include.models.machine_downtime.simulate --out DIR [--seed N] [--days N]

Three machines give a few readings on most days. A reading that precedes a failure has a lower hydraulic pressure, a
lower torque and a higher cutting force and spindle speed than one that does not; days are a little apart.
Some cells are empty and some readings are impossible, as in the real data.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from include.models.simulator import write_table

FIRST_DAY = date.fromisoformat("2021-11-24")
MACHINES = {
    "Makino-L1-Unit1-2013": "Shopfloor-L1",
    "Makino-L2-Unit1-2015": "Shopfloor-L2",
    "Makino-L3-Unit1-2015": "Shopfloor-L3",
}
READINGS_PER_DAY = 3.8
EMPTY, IMPOSSIBLE = 0.005, 0.001
# of a reading without failure: mean and deviation; and by how much a failure to come moves the mean
NORMAL = {
    "hydraulic_pressure_bar": (121.0, 16.0, -42.0),
    "coolant_pressure_bar": (4.8, 0.9, 0.3),
    "air_pressure_bar": (6.5, 0.4, 0.0),
    "coolant_temperature_c": (17.5, 6.0, 3.0),
    "hydraulic_oil_temperature_c": (47.6, 3.8, 0.0),
    "spindle_bearing_temperature_c": (35.1, 3.8, 0.0),
    "spindle_vibration_um": (1.0, 0.3, 0.0),
    "tool_vibration_um": (25.4, 6.4, 0.0),
    "spindle_speed_rpm": (19200.0, 3200.0, 2600.0),
    "voltage_v": (349.0, 45.0, 0.0),
    "torque_nm": (28.2, 4.0, -6.5),
    "cutting_force_kn": (2.45, 0.5, 0.75),
}
SHIFT_OF_A_DAY = 0.2  # in deviations


def simulate(seed: int = 7, days: int = 222) -> pl.DataFrame:
    """The table under model.yaml's names, in the order of days; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(READINGS_PER_DAY, (days, len(MACHINES)))
    day, machine = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    rows = len(day)
    failing = rng.random(rows) < 0.5
    columns: dict[str, np.ndarray] = {}
    for name, (mean, deviation, moved) in NORMAL.items():
        shift = rng.normal(0, SHIFT_OF_A_DAY, counts.shape)[day, machine]
        values = mean + deviation * (rng.normal(0, 1, rows) + shift) + moved * failing
        values = np.abs(values)
        values[rng.random(rows) < IMPOSSIBLE] *= -1 if name in ("hydraulic_pressure_bar", "spindle_vibration_um") else 0
        values[rng.random(rows) < EMPTY] = np.nan
        columns[name] = np.round(values, 4)
    names = np.array(list(MACHINES))[machine]
    return pl.DataFrame(
        {
            "date": [(FIRST_DAY + timedelta(days=int(number))).strftime("%d-%m-%Y") for number in day],
            "machine_id": names,
            "assembly_line": [MACHINES[str(name)] for name in names],
            **columns,
            "downtime": np.where(failing, "Machine_Failure", "No_Machine_Failure"),
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))


def main(argv: list[str] | None = None) -> None:
    write_table("machine_downtime", simulate, argv, description=__doc__, size=("days", 222))


if __name__ == "__main__":
    main()
