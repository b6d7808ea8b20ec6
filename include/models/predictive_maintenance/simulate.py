"""Raw data of a simulated fleet, with the files and columns of Microsoft's Azure predictive-maintenance data.

    python -m include.models.predictive_maintenance.simulate --out DIR [--seed N] [--machines N] [--days N]

How the fleet lives:

- Parts wear: the time to a part's failure is Weibull with an increasing hazard, shorter on older machines and on some
  machine models. Parts are also replaced as planned, at 06:00 every 15 to 90 days. A failed part is replaced in the
  hour it fails; now and then it takes another part with it, in the same hour.
- About a day before it fails, a part shows symptoms: its sensor moves by two to three standard deviations, and its
  error codes are usually logged. The onset varies by hours, so that a model can be good but not perfect.
- Sensors also move for some hours, and errors are logged, with no failure to follow.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

START = datetime.fromisoformat("2015-01-01T06:00")  # like the real data, without a time zone
HISTORY_HOURS = 180 * 24  # replacements are on record for half a year before the first reading
SERVICE_HOURS = 15 * 24
SENSORS = {"volt": (170.8, 15.0), "rotate": (446.6, 50.0), "pressure": (100.9, 10.0), "vibration": (40.4, 5.0)}
COMPONENTS = ("comp1", "comp2", "comp3", "comp4")
ERRORS = ("error1", "error2", "error3", "error4", "error5")
MODEL_SHARES = {"model1": 0.16, "model2": 0.17, "model3": 0.35, "model4": 0.32}
MODEL_LIFE = {"model1": 0.8, "model2": 0.85, "model3": 1.0, "model4": 1.1}

# per component, in the order above: which sensor moves, in which direction, which errors are logged, typical life
SENSOR_OF = (0, 1, 2, 3)
DIRECTION = (1.0, -1.0, 1.0, 1.0)
ERRORS_OF = ((0,), (1, 2), (3,), (4,))
LIFE_HOURS = (98 * 24, 88 * 24, 112 * 24, 100 * 24)
WEIBULL_SHAPE = 2.5

COLLATERAL = 0.04  # chance that a failing part takes another with it
ONSET_HOURS = (24, 26)  # how long before the failure symptoms start
SHIFT = (2.0, 2.8)  # how far its sensor then moves, in standard deviations
ERROR_AT_ONSET = 0.92
ERRORS_PER_HOUR = (6e-4, 6e-4, 5e-4, 5e-4, 2e-4)  # without any cause
TRANSIENTS_PER_YEAR = 1.5


@dataclass
class Fleet:
    """What has happened; hours count from the first reading, machines from 0."""

    ages: list[int]
    models: list[str]
    hours: int
    maint: list[tuple[int, int, str]] = field(default_factory=list)
    failures: list[tuple[int, int, str]] = field(default_factory=list)
    errors: list[tuple[int, int, str]] = field(default_factory=list)


def simulate(seed: int = 7, machines: int = 100, days: int = 365) -> dict[str, pl.DataFrame]:
    """The five raw tables, sorted by machine and time; the same for the same arguments.

    Args:
        machines: how many, numbered from 1.
        days: of hourly telemetry from 2015-01-01 06:00, both ends included.
    """
    rng = np.random.default_rng(seed)
    fleet = Fleet(
        ages=rng.integers(0, 21, machines).tolist(),
        models=rng.choice(list(MODEL_SHARES), machines, p=list(MODEL_SHARES.values())).tolist(),
        hours=days * 24 + 1,
    )
    sensors = _undisturbed(rng, machines, fleet.hours)
    for machine in range(machines):
        for hour, component, shift in _live(rng, fleet, machine):
            _set_in(rng, fleet, sensors, machine, hour, component, shift)
    _transients(rng, sensors, fleet.hours)
    _random_errors(rng, fleet, machines)
    return _tables(fleet, sensors)


def _undisturbed(rng: np.random.Generator, machines: int, hours: int) -> np.ndarray:
    """Readings (sensor, machine, hour) in standard deviations: noise about a level of the machine's own."""
    level = rng.normal(0, 0.15, (len(SENSORS), machines, 1))
    return level + rng.normal(0, 1, (len(SENSORS), machines, hours))


def _live(rng: np.random.Generator, fleet: Fleet, machine: int) -> list[tuple[int, int, float]]:
    """Run one machine through its replacements and failures; the failures as (hour, component, shift).

    They run for a few days past the last reading: a part may show symptoms when the telemetry ends.
    """
    last = fleet.hours + ONSET_HOURS[1]
    first_service = int(rng.integers(0, SERVICE_HOURS // 24)) * 24
    life = MODEL_LIFE[fleet.models[machine]] * (1.25 - 0.02 * fleet.ages[machine])
    fails, planned = np.zeros(len(COMPONENTS), np.int64), np.zeros(len(COMPONENTS), np.int64)
    happened = []

    def replace(component: int, hour: int) -> None:
        if hour < fleet.hours:
            fleet.maint.append((hour, machine, COMPONENTS[component]))
        wear = LIFE_HOURS[component] * life * rng.weibull(WEIBULL_SHAPE)
        # a part is replaced well before it can show symptoms, so that no part fails twice in a day
        fails[component] = hour + max(int(wear), 3 * 24)
        visits = int(rng.integers(1, 7))
        planned[component] = _next_service(hour, first_service) + (visits - 1) * SERVICE_HOURS

    def fail(component: int, hour: int) -> None:
        if 0 <= hour < fleet.hours:
            fleet.failures.append((hour, machine, COMPONENTS[component]))
        happened.append((hour, component, float(rng.uniform(*SHIFT))))
        replace(component, hour)

    for component in range(len(COMPONENTS)):
        replace(component, _next_service(-int(rng.integers(24, HISTORY_HOURS)), first_service))
    while (hour := int(min(fails.min(), planned.min()))) < last:
        component = int(np.minimum(fails, planned).argmin())
        if planned[component] <= fails[component] or hour < 0:
            replace(component, hour)
            continue
        fail(component, hour)
        if rng.random() < COLLATERAL:
            fail((component + 1 + int(rng.integers(3))) % len(COMPONENTS), hour)
    return happened


def _next_service(hour: int, first: int) -> int:
    """The first planned visit after an hour; visits are at 06:00, 15 days apart."""
    return first + ((hour - first) // SERVICE_HOURS + 1) * SERVICE_HOURS


def _set_in(
    rng: np.random.Generator, fleet: Fleet, sensors: np.ndarray, machine: int, hour: int, component: int, shift: float
) -> None:
    onset = hour - int(rng.integers(ONSET_HOURS[0], ONSET_HOURS[1] + 1))
    sensors[SENSOR_OF[component], machine, max(onset, 0) : max(hour, 0)] += DIRECTION[component] * shift
    for error in ERRORS_OF[component]:
        moment = onset + int(rng.integers(0, 3))
        if rng.random() < ERROR_AT_ONSET and 0 <= moment < fleet.hours:
            fleet.errors.append((moment, machine, ERRORS[error]))


def _transients(rng: np.random.Generator, sensors: np.ndarray, hours: int) -> None:
    count, machines = len(SENSORS), sensors.shape[1]
    for _ in range(rng.poisson(TRANSIENTS_PER_YEAR * machines * hours / (365 * 24))):
        sensor, machine, start = rng.integers(count), rng.integers(machines), int(rng.integers(hours))
        length = int(rng.integers(4, 13))
        sensors[sensor, machine, start : start + length] += DIRECTION[sensor] * rng.uniform(1.0, 1.8)


def _random_errors(rng: np.random.Generator, fleet: Fleet, machines: int) -> None:
    for error, rate in zip(ERRORS, ERRORS_PER_HOUR, strict=True):
        machine, hour = np.nonzero(rng.random((machines, fleet.hours)) < rate)
        fleet.errors += [(int(h), int(m), error) for m, h in zip(machine, hour, strict=True)]


def _tables(fleet: Fleet, sensors: np.ndarray) -> dict[str, pl.DataFrame]:
    machines = len(fleet.ages)
    values = {
        name: (mean + deviation * readings).ravel()
        for (name, (mean, deviation)), readings in zip(SENSORS.items(), sensors, strict=True)
    }
    hour, machine = np.tile(np.arange(fleet.hours), machines), np.repeat(np.arange(machines), fleet.hours)
    return {
        "telemetry": pl.DataFrame({"datetime": hour, "machineID": machine, **values}).with_columns(*_names()),
        "errors": _events(fleet.errors, "errorID"),
        "maint": _events(fleet.maint, "comp"),
        "failures": _events(fleet.failures, "failure"),
        "machines": pl.DataFrame({"machineID": range(1, machines + 1), "model": fleet.models, "age": fleet.ages}),
    }


def _events(rows: list[tuple[int, int, str]], what: str) -> pl.DataFrame:
    schema = {"datetime": pl.Int64, "machineID": pl.Int64, what: pl.String}
    return (
        pl.DataFrame(rows, schema=schema, orient="row")
        .unique()
        .sort("machineID", "datetime", what)
        .with_columns(*_names())
    )


def _names() -> tuple[pl.Expr, pl.Expr]:
    """Hours as times, machines counted from 1."""
    return (pl.lit(START) + pl.duration(hours="datetime")).alias("datetime"), pl.col("machineID") + 1


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the five CSV files")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--machines", type=int, default=100)
    parser.add_argument("--days", type=int, default=365)
    arguments = parser.parse_args(argv)
    if arguments.machines < 1 or arguments.days < 1:
        parser.error("--machines and --days are at least 1")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, table in simulate(arguments.seed, arguments.machines, arguments.days).items():
        table.write_csv(arguments.out / f"PdM_{name}.csv", datetime_format="%Y-%m-%d %H:%M:%S", float_precision=9)


if __name__ == "__main__":
    main()
