"""Whether monitoring finds what is wrong, and nothing else, on the real data.

    python tests/benchmarks/bench_watch.py [--json] [--only PART]

- **Realised performance.** electricity trained up to three dates, predictive_maintenance up to one, each tested on the
  28 days before and never retrained; then every window of ``monitoring.window_days``, day by day, once its labels have
  arrived. A window is truly worse if all its labels give at least ``max_loss`` less than the evaluation. A window
  counts as found if the verdict is a loss, with all labels or with a random third of them, as when labels arrive in
  parts.
- **Estimated performance** of predictive_maintenance's weeks compared with realised performance.
- **Broken feeds**: a feed breaks in one way, of predictive_maintenance and electricity one to two months after
  training, of machine_downtime during it, of tabular_classifier in its file's thirtieths. A fault counts as found if a
  verdict reports a data fault of that table within three days.
- **False verdicts** on sound windows that the models were not trained on: weeks of predictive_maintenance and, before
  the markets were connected, of electricity; random rows of the others, and where rows have no time, also the file's
  thirtieths. Labels are used if model.yaml has them.

Some minutes, one process. Anything without its data is reported as unmeasured: SHARED_DATA names the folder. Needs
``include`` on PYTHONPATH.
"""

# ruff: noqa: E402 - imports follow what stands for Airflow
from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

# the verdict is pure except for the base class of Airflow's errors, and jobs have no Airflow
for module in ("airflow", "airflow.sdk", "airflow.sdk.exceptions"):
    sys.modules[module] = ModuleType(module)
sys.modules["airflow.sdk.exceptions"].AirflowFailException = Exception  # type: ignore[attr-defined]

import broken_feeds as broken
from bench_quality import DATA, FOLDERS, raw_tables
from include.jobs.evaluation.measuring import Answers, Measured, Measures
from include.jobs.evaluation.metrics import interval, labels_metrics
from include.jobs.evaluation.resampling import label_replicates, resampled
from include.jobs.features.drift_profile import count_rows, drift_profile
from include.jobs.features.feature_table import examples
from include.jobs.features.splitting import split
from include.jobs.serving.decision import judgement
from include.jobs.split_days import BATCHES
from include.jobs.watching.answer_bins import count_probabilities, count_values, value_edges
from include.jobs.watching.realised import evidence
from include.jobs.watching.reference import reference
from include.jobs.watching.table_counts import count_day
from include.models.config import ModelConfig, Monitoring, TimeSplit, load_model
from include.models.config.estimating import estimated, watched_metric
from include.models.config.faults import faults_of
from include.models.config.watching import Reference, TableCounts
from include.models.interface import Array, Tables
from include.models.loader import estimator, feature_builder
from include.monitor.drift import measure
from include.monitor.performance import FEWEST_UNITS, Realised, is_loss, performance_of
from include.monitor.verdict import BAD, Judged
from rows import Row, end, parser, row

ELECTRICITY = ("1997-04-25", "1997-09-01", "1998-02-01")
PDM = "2015-07-01"
BROKEN = "2015-09-01"
CONNECTED = "1997-05-02"  # when the markets were connected: from here on Victoria's columns vary
SOME = 1 / 3  # the share of labels, if they arrive in parts


@dataclass(frozen=True)
class Trained:
    """A model trained on some rows, split and fitted as in model.yaml, and later rows that it has not seen."""

    config: ModelConfig
    parts: Mapping[str, pl.DataFrame]
    later: pl.DataFrame

    @classmethod
    def until(cls, name: str, moment: str) -> Trained:
        """Of the rows before a moment, the last 28 days, for testing."""
        config, frame = load_model(name), feature_builder(name).build_features(raw_tables(name))
        assert isinstance(config.split, TimeSplit)
        how = config.split.model_copy(update={"test_days": 28, "validation_days": 14})
        config = config.model_copy(update={"split": how})
        before = pl.col(str(config.data.time)) < datetime.fromisoformat(moment)
        return cls(config, split(config, frame.filter(before)), frame.filter(~before))

    @classmethod
    def of_some(cls, name: str) -> Trained:
        """The model as shipped; the validation and the test split are the rows that it has not seen."""
        config = load_model(name)
        config = config.model_copy(update={"monitoring": config.monitoring or Monitoring(min_rows=300)})
        parts = split(config, feature_builder(name).build_features(raw_tables(name)))
        return cls(config, parts, pl.concat([parts["validation"], parts["test"]]))

    @property
    def settings(self) -> Monitoring:
        assert self.config.monitoring
        return self.config.monitoring

    @property
    def time(self) -> str:
        return str(self.config.data.time)

    @cached_property
    def _fitted(self) -> tuple[Any, Any, list[float]]:
        own = estimator(self.config.name)
        train, validation = (examples(self.config, self.parts[part]) for part in ("train", "validation"))
        model = own.fit(train, validation, self.config.with_defaults().training.hyperparameters)
        said = own.predict(model, validation.features)
        edges = [] if train.classes else value_edges(said)
        return model, judgement(self.config, validation.target, said), edges

    def answers(self, rows: pl.DataFrame) -> Answers:
        model, judged, _ = self._fitted
        found = estimator(self.config.name).predict(model, examples(self.config, rows).features)
        if self.config.problem == "regression":
            return Answers(found)
        probabilities = judged.calibrated(found)
        return Answers(probabilities, labels=judged.labels(probabilities))

    def measured(self, rows: pl.DataFrame, answers: Answers) -> Measured:
        """For a classifier, only what the watched metric needs: the decided labels."""
        truth = examples(self.config, rows)
        if answers.labels is None:
            return Measures(self.config, rows, truth, {}).of_predictions(answers)
        question = self.config.problem, truth.target, answers.labels, truth.classes
        return Measured(labels_metrics(*question), label_replicates(*question, resampled(self.config, rows)))

    @cached_property
    def evaluated(self) -> Measured:
        return self.measured(self.parts["test"], self.answers(self.parts["test"]))

    @cached_property
    def profile(self) -> Any:
        return drift_profile(examples(self.config, self.parts["train"]).features)

    @cached_property
    def reference(self) -> Reference:
        """``reference.json``, as evaluate_model writes it."""
        test, tables = self.parts["test"], raw_tables(self.config.name, lines=True)
        if isinstance(self.config.split, TimeSplit):
            until = test[self.time].max()
            tables = {
                name: table.filter(pl.col(self.time) <= until) if self.time in table.columns else table
                for name, table in tables.items()
            }
        answers, truth = self.answers(test), examples(self.config, test)
        said = answers.predictions, answers.labels, self.profile, self._fitted[2]
        return reference(self.config, tables, self.parts["train"].lazy(), test, truth, *said)

    def windows(self, step: int = 1) -> Iterator[tuple[str, pl.DataFrame, Answers]]:
        """Whole windows of ``monitoring.window_days`` of the later rows, every ``step`` days, by their last day."""
        days = self.later[self.time].dt.date()
        answers, length = self.answers(self.later), self.settings.window_days
        first, last = days.min(), days.max()
        assert isinstance(first, date)
        assert isinstance(last, date)
        for number in range(0, (last - first).days - length + 2, step):
            start = first + timedelta(days=number)
            inside = days.is_between(start, start + timedelta(days=length), closed="left").to_numpy()
            if inside.any():
                yield str(start + timedelta(days=length - 1)), self.later.filter(inside), answers.on(inside)

    def random_windows(self, count: int) -> Iterator[tuple[str, pl.DataFrame, Answers]]:
        rng, answers = np.random.default_rng(11), self.answers(self.later)
        for number in range(count):
            chosen = np.zeros(len(self.later), dtype=bool)
            chosen[rng.choice(len(self.later), min(self.settings.min_rows, len(self.later)), replace=False)] = True
            yield str(date(2026, 1, 1) + timedelta(days=number)), self.later.filter(chosen), answers.on(chosen)

    def parts_of_file(self) -> Iterator[tuple[str, pl.DataFrame, Answers]]:
        """Of each day's part of the file, the newest ``monitoring.min_rows`` later rows."""
        (table,), key = broken.delivered(self.config.name).values(), self.config.data.key
        places = table.select(key).with_row_index("_place")
        place = self.later.join(places, on=key, how="left", maintain_order="left")["_place"].to_numpy()
        answers = self.answers(self.later)
        for number in range(BATCHES):
            day = date(2026, 1, 1) + timedelta(days=number)
            end = len(table) * (day.toordinal() % BATCHES + 1) // BATCHES
            ago = (end - 1 - place.astype(int)) % len(table)
            chosen = ago < np.sort(ago)[self.settings.min_rows]
            yield str(day), self.later.filter(chosen), answers.on(chosen)

    def judged(self, day: str, rows: pl.DataFrame, answers: Answers, tables: Mapping[str, Any]) -> Judged:
        """The verdict on a window with its labels.

        Args:
            tables: counts of the raw tables, by day.
        """
        counted = (
            count_values(answers.predictions, self._fitted[2])
            if answers.labels is None
            else count_probabilities(answers.predictions, answers.labels)
        )
        features = count_rows(examples(self.config, rows).features, self.profile)
        window: Any = {"rows": len(rows), "features": features, "predictions": {}, "answers": counted}
        drift = measure(self.config, 1, self.profile, day, {day: window}, self.reference)
        faults = faults_of(self.reference, day, {each: {**window, "tables": one} for each, one in tables.items()})
        found = self.measured(rows, answers)
        ends = {name: interval(draws) for name, draws in found.replicates.items()}
        labels: Any = {"rows": len(rows), "labelled": len(rows), "metrics": found.values, "intervals": ends}
        labels["evidence"] = evidence(examples(self.config, rows), resampled(self.config, rows))
        test = self.evaluated
        evaluation: Any = {
            "metrics": test.values,
            "intervals": {name: interval(draws) for name, draws in test.replicates.items()},
        }
        realised = Realised(day, {**labels, "sampled": None}) if self.config.labels else None
        return Judged(
            drift, faults, None, performance_of(self.config, self.reference, {day: window}, realised, evaluation)
        )


def _ends(measured: Measured, metric: str) -> tuple[float, float] | None:
    return interval(measured.replicates[metric])


def losses(trained: Trained, share: float = 1.0) -> tuple[Array, Array]:
    """For each window, whether it is truly worse, and whether the verdict is a loss."""
    config, metric = trained.config, watched_metric(trained.config)
    evaluated = trained.evaluated.values[metric], _ends(trained.evaluated, metric)
    worse, called, rng = [], [], np.random.default_rng(3)
    for _, rows, answers in trained.windows():
        whole = trained.measured(rows, answers)
        worse.append(evaluated[0] - whole.values[metric] >= trained.settings.max_loss)
        if share < 1:
            some = rng.uniform(size=len(rows)) < share
            whole = trained.measured(rows.filter(some), answers.on(some))
            rows = rows.filter(some)
        enough = evidence(examples(config, rows), resampled(config, rows)) >= FEWEST_UNITS
        found = whole.values[metric], _ends(whole, metric)
        called.append(enough and is_loss(config, metric, evaluated, found, 1 - share, []) is True)
    return np.array(worse), np.array(called)


def realised_rows(pdm: Trained) -> Iterator[Row]:
    for name, moments in (("electricity", ELECTRICITY), ("predictive_maintenance", (PDM,))):
        for moment in moments:
            trained = pdm if name == pdm.config.name else Trained.until(name, moment)
            evaluated = trained.evaluated.values[watched_metric(trained.config)]
            about = f"{name} trained up to {moment} ({watched_metric(trained.config)} {evaluated:.3f})"
            for share, words in ((1.0, "all labels"), (SOME, "a third of the labels")):
                worse, called = losses(trained, share)
                hit = int((worse & called).sum())
                found = hit / worse.sum() if worse.any() else 1.0
                right = hit / called.sum() if called.any() else 1.0
                bound = share == 1
                yield row(
                    f"{about}: windows truly worse that are found by {words}",
                    f"{hit} of {int(worse.sum())} ({found:.0%}), of {len(worse)} windows",
                    "≥ 95 %" if bound else "",
                    found >= 0.95 or not bound,
                )
                yield row(
                    f"{about}: windows called a loss by {words} that are truly worse",
                    f"{hit} of {int(called.sum())} ({right:.0%})",
                    "≥ 90 %" if bound else "",
                    right >= 0.9 or not bound,
                )


def estimated_rows(trained: Trained) -> Iterator[Row]:
    metric, calibration = watched_metric(trained.config), trained.reference["calibration"]
    assert calibration
    pairs = []
    for _, rows, answers in trained.windows(step=7):
        assert answers.labels is not None
        counted = count_probabilities(answers.predictions, answers.labels)
        pairs.append((estimated(calibration, counted)[metric], trained.measured(rows, answers).values[metric]))
    expected, found = np.array(pairs).T
    correlation = float(np.corrcoef(expected, found)[0, 1])
    yield row(
        "predictive_maintenance: estimated against realised macro F1, weeks, correlation",
        f"{correlation:.2f} over {len(pairs)} weeks, {np.abs(expected - found).mean():.3f} off on average; the worst "
        f"week {found.min():.3f}, estimated {expected[found.argmin()]:.3f}",
        "≥ .9",
        correlation >= 0.9,
    )


def broken_rows(pdm: Trained) -> Iterator[Row]:
    market, machines, rows = Trained.until("electricity", ELECTRICITY[-1]), "machine_downtime", "tabular_classifier"
    yield broken_row(pdm, BROKEN, broken.of_day, broken.broken_fleet())
    yield broken_row(market, "1998-03-02", broken.of_market, broken.broken_market())
    yield broken_row(Trained.of_some(machines), "2022-03-08", broken.of_machines, broken.broken_machines())
    yield broken_row(Trained.of_some(rows), "2026-01-10", broken.of_file, broken.broken_rows_of_file())


def broken_row(
    trained: Trained,
    begins: str,
    day_of: Callable[[Tables, str], dict[str, pl.DataFrame]],
    feeds: Mapping[str, tuple[str, broken.Break]],
) -> Row:
    tables, missed = broken.delivered(trained.config.name), []
    first = date.fromisoformat(begins)

    def counted(number: int, change: broken.Break | None) -> dict[str, TableCounts]:
        day, before = (day_of(tables, str(first + timedelta(days=back))) for back in (number, number - 1))
        changed = change(day, before) if change and number >= 0 else day
        return count_day(trained.config, changed, str(first + timedelta(days=number)))

    sound = {number: counted(number, None) for number in range(-6, 0)}
    for name, (table, change) in feeds.items():
        profiles: dict[str, Any] = {str(first + timedelta(days=n)): {"tables": one} for n, one in sound.items()}
        found = []
        for number in range(3):
            day = str(first + timedelta(days=number))
            profiles[day] = {"tables": counted(number, change)}
            found += [fault for fault in faults_of(trained.reference, day, profiles) if fault.table == table]
        if not found:
            missed.append(name)
    return row(
        f"{trained.config.name}: broken feeds that are called a data fault within three days",
        f"{len(feeds) - len(missed)} of {len(feeds)}" + (f"; missed: {', '.join(missed)}" if missed else ""),
        "all",
        not missed,
    )


def of_fleet(pdm: Trained, _: pl.DataFrame, day: str) -> dict[str, Any]:
    tables = raw_tables(pdm.config.name)
    every = [str(date.fromisoformat(day) - timedelta(days=back)) for back in range(6, -1, -1)]
    return {each: count_day(pdm.config, broken.of_day(tables, each), each) for each in every}


def of_rows(trained: Trained, rows: pl.DataFrame, day: str) -> dict[str, Any]:
    (name,) = trained.config.data.tables
    raw = raw_tables(trained.config.name)[name].join(rows, on=trained.config.data.key, how="semi")
    return {day: count_day(trained.config, {name: raw}, day)}


def of_part(trained: Trained, _: pl.DataFrame, day: str) -> dict[str, Any]:
    return {day: count_day(trained.config, broken.of_file(broken.delivered(trained.config.name), day), day)}


def of_none(_: Trained, __: pl.DataFrame, ___: str) -> dict[str, Any]:
    return {}  # neither half hours alone nor random rows of many days form a day


def false_rows(pdm: Trained) -> Iterator[Row]:
    market = Trained.until("electricity", "1996-12-01")
    before = (one for one in market.windows(step=7) if one[0] < CONNECTED)
    sets = {
        "predictive_maintenance, weeks": (pdm, pdm.windows(step=7), of_fleet),
        "electricity, weeks": (market, before, of_none),
    }
    for name in ("tabular_classifier", "machine_downtime", "abalone_age"):
        trained = Trained.of_some(name)
        untimed = trained.config.data.time is None
        sets[f"{name}, random windows"] = (trained, trained.random_windows(60), of_rows if untimed else of_none)
        if untimed:
            sets[f"{name}, windows of the file"] = (trained, trained.parts_of_file(), of_part)
    for name, (trained, windows, counted) in sets.items():
        metric, wrong, count = watched_metric(trained.config), [], 0
        for day, rows, answers in windows:
            if trained.settings.max_loss <= trained.evaluated.values[metric] - trained.measured(rows, answers).values[
                metric
            ] and isinstance(trained.config.split, TimeSplit):
                continue  # truly worse, so not sound
            judged, count = trained.judged(day, rows, answers, counted(trained, rows, day)), count + 1
            if judged.verdict in BAD:
                wrong.append(judged.summary)
                print(judged.summary, file=sys.stderr)
        yield row(f"{name}: false verdicts", f"{len(wrong)} of {count}", "≤ 1 in 20", len(wrong) * 20 <= count)


PARTS: dict[str, Callable[[Trained], Iterator[Row]]] = {
    "realised": realised_rows,
    "estimated": estimated_rows,
    "broken": broken_rows,
    "false": false_rows,
}


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--only", choices=PARTS)
    arguments = options.parse_args(argv)
    missing = [name for name in FOLDERS if not (DATA / FOLDERS[name]).is_dir()]
    if missing:
        why = f"no {DATA / FOLDERS[missing[0]]}; SHARED_DATA names the folder"
        return end([row("watching", why, ok=None)], arguments)
    pdm = Trained.until("predictive_maintenance", PDM)
    chosen = [part for name, part in PARTS.items() if arguments.only in (None, name)]
    return end([one for part in chosen for one in part(pdm)], arguments)


if __name__ == "__main__":
    sys.exit(main())
