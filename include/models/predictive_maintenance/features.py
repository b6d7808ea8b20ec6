"""Raw tables to the feature table: one row per machine and 3-hour mark t, from data through hour t and nothing later.

The same function serves training, scoring and serving. Every window is summed from its own hours, in a fixed order, so
a row is the same to the bit whatever else is in the tables: one day with its look-back gives the same numbers as the
whole year.

What the widely copied recipe gets wrong, and how it is done here:

- Windows are spans of time, (t-3h, t] and (t-24h, t], not numbers of rows: gaps make them thinner, never longer.
- The label looks at (t, t+24h]: the hour t itself, in which a failed part has already been replaced, is past.
- When several parts fail within the label's window, the label is the part that fails first; among parts that fail in
  the same hour, the first by name.
- In the last 24 hours of telemetry nobody knows yet what fails: those rows have no label and are dropped.
- Hour of day is not a feature: nearly all recorded failures are at 06:00, an artefact of how the data was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from include.models.errors import JobError
from include.models.quoting import quoted

SENSORS = ("volt", "rotate", "pressure", "vibration")
ERRORS = ("error1", "error2", "error3", "error4", "error5")
COMPONENTS = ("comp1", "comp2", "comp3", "comp4")
MACHINE_MODELS = ("model1", "model2", "model3", "model4")
NO_FAILURE = "none"

STEP_HOURS = 3
WINDOW_HOURS = 24  # of the long statistics and the error counts, and the label's horizon
LOOK_BACK_HOURS = WINDOW_HOURS  # telemetry and errors needed before t; maint is needed from its beginning
BLOCKS = WINDOW_HOURS // STEP_HOURS

MACHINES_AT_ONCE = 200  # bounds the memory of the dense grid
LONGEST_SPAN_HOURS = 30 * 366 * 24  # telemetry over more years than this has a wrong timestamp in it

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def build_features(tables: Mapping[str, pl.DataFrame], with_label: bool = True) -> pl.DataFrame:
    """The feature table of all machines, sorted by machineID and datetime.

    A row stands at every 3-hour mark (00:00, 03:00, ...) that has telemetry in the three hours up to it. Columns:
    ``machineID``, ``datetime`` (the mark), the features as Float64 (null if there is nothing to compute from), and
    with ``with_label`` the String ``failure`` (``comp1``..``comp4`` or ``none``).

    - ``<sensor>_mean_3h``, ``_std_3h``, ``_mean_24h``, ``_std_24h``: sample deviation, in the sensor's units
    - ``<error>_count_24h``: how often the error was seen in the last 24 hours
    - ``<comp>_age_days``: days since the part's last replacement, null before the first one known
    - ``<model>``: 1 for the machine's model, else 0; ``age``: years in service

    Args:
        tables: ``telemetry``, ``errors``, ``maint``, ``failures`` (only read for the label) and ``machines``, columns
            as in model.yaml, in any order of rows.
        with_label: add the label and drop the last 24 hours, which cannot have one yet.

    Raises:
        JobError: no telemetry, two telemetry rows of a machine in one hour, a span of more than 30 years, or an
            error, part or machine model that the features do not know.
    """
    telemetry = tables["telemetry"]
    if telemetry.is_empty():
        raise JobError("telemetry: the table is empty, so there is nothing to build features from.")
    hours = _hours(telemetry)
    if hours.max() - hours.min() > LONGEST_SPAN_HOURS:
        found = f"{telemetry['datetime'].min()!s} to {telemetry['datetime'].max()!s}"
        raise JobError(f"telemetry: datetime spans {found}, more than 30 years. Correct or remove the wrong rows.")
    machine_ids = telemetry["machineID"].to_numpy()
    known = np.unique(machine_ids)
    parts = []
    for start in range(0, len(known), MACHINES_AT_ONCE):
        chosen = known[start : start + MACHINES_AT_ONCE]
        mine = slice(None) if len(known) <= MACHINES_AT_ONCE else np.isin(machine_ids, chosen)
        grid = _Grid(chosen, machine_ids[mine], hours[mine])
        parts.append(_features(grid, tables, mine, int(hours.max()) if with_label else None))
    frame = parts[0] if len(parts) == 1 else pl.concat(parts)
    return _add_machine(frame, tables["machines"], last="failure" if with_label else None)


class _Grid:
    """Machines x 3-hour marks, from the first mark to the last, with the seven blocks of look-back in front.

    An event of hour h belongs to the first mark at or after it: mark number ceil(h / 3).
    """

    def __init__(self, machines: Ints, row_machines: Ints, row_hours: Ints) -> None:
        marks = _ceil_div(row_hours, STEP_HOURS)
        self.machines = machines
        self.first = int(marks.min())
        self.shape = (len(machines), int(marks.max()) - self.first + 1)
        self.times = (self.first + np.arange(self.shape[1], dtype=np.int64)) * STEP_HOURS
        self._row = np.searchsorted(machines, row_machines)
        self._column = marks - self.first + BLOCKS - 1
        self._slot = row_hours - (marks - 1) * STEP_HOURS - 1
        self._deep = (STEP_HOURS, self.shape[0], self.shape[1] + BLOCKS - 1)
        self.present = np.zeros(self._deep, dtype=bool)
        self.present[self._slot, self._row, self._column] = True
        if np.count_nonzero(self.present) != len(row_hours):
            raise JobError(self._doubled(row_machines, row_hours))

    def values(self, column: Floats) -> Floats:
        """A telemetry column as (hour within the block, machine, block), NaN where there is no reading."""
        cells = np.full(self._deep, np.nan)
        cells[self._slot, self._row, self._column] = column
        return cells

    def events(self, table: pl.DataFrame) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_]]:
        """Machine index, index of the first mark at or after it, and hour of each row on a machine of this grid, and
        which rows these are."""
        ids, hours = table["machineID"].to_numpy(), _hours(table)
        machine = np.clip(np.searchsorted(self.machines, ids), 0, len(self.machines) - 1)
        here = self.machines[machine] == ids
        return machine[here], (_ceil_div(hours, STEP_HOURS) - self.first)[here], hours[here], here

    def _doubled(self, row_machines: Ints, row_hours: Ints) -> str:
        rows = pl.DataFrame({"machine": row_machines, "hour": row_hours})
        machine, hour, count = (
            rows.group_by("machine", "hour").len().sort("len", "hour", descending=[True, False]).row(0)
        )
        when = np.datetime64(hour, "h").item().isoformat(" ")
        return (
            f"telemetry: machineID {machine} has {count} rows in the hour up to {when}; one row per machine and hour "
            "is allowed. Remove the duplicates, or average the readings to hours first."
        )


def _features(
    grid: _Grid, tables: Mapping[str, pl.DataFrame], mine: slice | npt.NDArray[np.bool_], labelled_until: int | None
) -> pl.DataFrame:
    keep = grid.present[:, :, BLOCKS - 1 :].any(axis=0)
    if labelled_until is not None:
        keep &= grid.times <= labelled_until - WINDOW_HOURS
    machine, mark = np.nonzero(keep)
    times = pl.Series("datetime", (grid.times * 3_600_000_000)[mark], dtype=pl.Int64).cast(pl.Datetime("us"))
    columns: list[pl.Series] = [pl.Series("machineID", grid.machines[machine]), times]
    for sensor in SENSORS:
        readings = tables["telemetry"][sensor].cast(pl.Float64).to_numpy()[mine]
        columns += [
            _column(f"{sensor}_{name}", cells[keep]) for name, cells in _statistics(grid.values(readings)).items()
        ]
    columns += [_column(f"{error}_count_24h", cells[keep]) for error, cells in _error_counts(grid, tables["errors"])]
    columns += [_column(f"{comp}_age_days", cells[keep]) for comp, cells in _ages(grid, tables["maint"])]
    if labelled_until is not None:
        names = np.array([NO_FAILURE, *COMPONENTS])
        columns.append(pl.Series("failure", names[_labels(grid, tables["failures"])[keep]], dtype=pl.String))
    return pl.DataFrame(columns)


def _column(name: str, cells: Floats) -> pl.Series:
    """Null if there is nothing to compute from."""
    return pl.Series(name, cells, nan_to_null=True)


def _statistics(cells: Floats) -> dict[str, Floats]:
    """Mean and deviation over the last block and over the last eight, each (machines, marks).

    The long window is combined from the blocks' counts, means and sums of squared deviations: exact, no
    cancellation, and no running sum that would carry the distant past along.
    """
    valid = ~np.isnan(cells)
    filled = np.where(valid, cells, 0.0)
    count = valid.sum(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(count > 0, (filled[0] + filled[1] + filled[2]) / count, 0.0)
        deviation = np.where(valid, filled - mean, 0.0) ** 2
        squares = deviation[0] + deviation[1] + deviation[2]

        marks = cells.shape[2] - BLOCKS + 1
        last = slice(BLOCKS - 1, BLOCKS - 1 + marks)
        long_count, long_mean, long_squares = np.zeros((3, cells.shape[1], marks))
        for block in range(BLOCKS):
            part = slice(block, block + marks)
            long_count += count[:, part]
            long_mean += count[:, part] * mean[:, part]
        long_mean /= long_count
        for block in range(BLOCKS):
            part = slice(block, block + marks)
            long_squares += squares[:, part] + count[:, part] * (mean[:, part] - long_mean) ** 2
        return {
            "mean_3h": np.where(count[:, last] > 0, mean[:, last], np.nan),
            "std_3h": _deviation(squares[:, last], count[:, last]),
            "mean_24h": long_mean,
            "std_24h": _deviation(long_squares, long_count),
        }


def _deviation(squares: Floats, count: Floats) -> Floats:
    return np.where(count > 1, np.sqrt(squares / (count - 1)), np.nan)


def _error_counts(grid: _Grid, errors: pl.DataFrame) -> list[tuple[str, Floats]]:
    counts = []
    for error, (machine, mark, _) in _events_of_each(grid, errors, "errors", "errorID", ERRORS):
        cells = np.zeros(grid.shape)
        for later in range(BLOCKS):  # an error counts at the mark it belongs to and at the seven after it
            inside = (mark + later >= 0) & (mark + later < grid.shape[1])
            np.add.at(cells, (machine[inside], mark[inside] + later), 1.0)
        counts.append((error, cells))
    return counts


def _ages(grid: _Grid, maint: pl.DataFrame) -> list[tuple[str, Floats]]:
    ages = []
    for component, (machine, mark, hours) in _events_of_each(grid, maint, "maint", "comp", COMPONENTS):
        replaced = np.full(grid.shape, -np.inf)
        inside = mark < grid.shape[1]
        where = (machine[inside], np.maximum(mark[inside], 0))
        np.maximum.at(replaced, where, hours[inside].astype(np.float64))
        age = (grid.times - np.maximum.accumulate(replaced, axis=1)) / 24
        ages.append((component, np.where(np.isinf(age), np.nan, age)))
    return ages


def _events_of_each(
    grid: _Grid, table: pl.DataFrame, name: str, column: str, known: tuple[str, ...]
) -> Iterator[tuple[str, tuple[Ints, Ints, Ints]]]:
    """``grid.events`` of the rows that have each of these values, which no others may have. The table is scanned once:
    for a request of one machine, each further scan would cost too much."""
    codes = _known(table, name, column, known).to_physical().to_numpy()  # nan if there is none
    machine, mark, hours, here = grid.events(table)
    codes = codes[here]
    for code, value in enumerate(known):
        mine = codes == code
        yield value, (machine[mine], mark[mine], hours[mine])


def _labels(grid: _Grid, failures: pl.DataFrame) -> Ints:
    """Index into ("none", *COMPONENTS) of the part that fails first within (t, t+24h], per machine and mark."""
    _known(failures, "failures", "failure", COMPONENTS)
    labels = np.zeros(grid.shape, dtype=np.int64)
    # the last write wins, so the soonest failure, and among those in one hour the first by name, comes last
    failures = failures.sort("datetime", "failure", descending=True)
    machine, mark, hours, here = grid.events(failures)
    codes = failures["failure"].filter(pl.Series(here))
    for row, end, hour, component in zip(machine, mark, hours, codes, strict=True):
        first = max(-(-(int(hour) - WINDOW_HOURS) // STEP_HOURS) - grid.first, 0)
        labels[row, first : max(int(end), 0)] = COMPONENTS.index(component) + 1
    return labels


def _add_machine(frame: pl.DataFrame, machines: pl.DataFrame, last: str | None) -> pl.DataFrame:
    _known(machines, "machines", "model", MACHINE_MODELS)
    facts = machines.select(
        "machineID",
        *((pl.col("model") == model).cast(pl.Float64).alias(model) for model in MACHINE_MODELS),
        pl.col("age").cast(pl.Float64),
    )
    frame = frame.join(facts, on="machineID", how="left", validate="m:1", maintain_order="left")
    return frame.select(pl.exclude(last), last) if last else frame


def _hours(table: pl.DataFrame) -> Ints:
    """Each row's hour since 1970, rounded up: what was seen at 06:17 is known at 07:00."""
    moments = table["datetime"].cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()
    return _ceil_div(moments, 3_600_000_000)


def _ceil_div(values: Ints, by: int) -> Ints:
    return -(-values // by)


def _known(table: pl.DataFrame, name: str, column: str, allowed: tuple[str, ...]) -> pl.Series:
    """The column as an Enum. Raises JobError: it has other values."""
    found = table[column].cast(pl.Enum(allowed), strict=False)
    if found.null_count() > table[column].null_count():
        unknown = table.filter(~pl.col(column).is_in(allowed))[column].unique().sort().to_list()
        raise JobError(
            f"{name}: {column} has {quoted(', '.join(map(repr, unknown[:5])))}; known are {', '.join(allowed)}. "
            "Correct the rows, or teach models/predictive_maintenance/features.py the new value."
        )
    return found
