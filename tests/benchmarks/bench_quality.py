"""The quality of the five models on the real data, compared with baselines on the same rows: means over cut dates or
seeds.

    python tests/benchmarks/bench_quality.py [--json] [--only MODEL]

- **predictive_maintenance**, as shipped: trained before and tested after each of four cut dates, 24 hours apart. Of the
  cut in model.yaml also the processor time that intervals of all metrics take, and reasons of the riskiest rows.
- **machine_downtime**, as shipped: 20 seeds of 80/20, a machine's day never in both; calibrated on a part of the 80,
  then refitted on all of them, as ``split.refit`` asks for. Compared with the original system's forest.
- **abalone_age**, as shipped: 20 seeds of 80/20; the rows for early stopping are taken from the 80.
- **electricity**: the later half of the data, day by day. A model of the first half against one that is retrained
  every day from the last 28, both only from the market of the preceding half-hour, where drift hurts; neither holds
  rows out, since the latest count most. Then the model as shipped, which also knows the market's course and so loses
  less as it drifts: its worth is its lead over "same as last". It is split as model.yaml says, so it has not seen the
  last six weeks. It is retrained every week; the schedule says every day, which would take seven times as long here.
- **tabular_classifier** on AI4I 2020 without the columns of failure modes: 4 x 5 folds. Tuned hyperparameters are drawn
  from model.yaml's ranges and chosen within the training rows, so that no test fold influences them; model.yaml's
  default values, shown beside them, were found by looking at such folds.

Of machine_downtime and abalone_age also what an evaluation says of the best of some draws from the ranges of tuning.

The 95 % interval of a mean over seeds, dates or folds is Student's; that of a gain over days is a bootstrap's by day.
Two processes; some minutes. A model without its data is reported as unmeasured: SHARED_DATA names the folder.
Needs ``include`` on PYTHONPATH.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before LightGBM is imported: each process has one core

import numpy as np
import polars as pl
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from include.jobs.evaluation.measuring import Answers, Measures
from include.jobs.evaluation.metrics import interval_metrics, measure
from include.jobs.evaluation.usual import beside_usual
from include.jobs.features.feature_table import examples
from include.jobs.features.splitting import split, split_by_time
from include.jobs.serving.artifact import LoadedModel, Metadata
from include.jobs.serving.decision import judgement
from include.jobs.serving.reasons import REASONS
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.config import LINE, Features, ModelConfig, RandomSplit, Scalar, TimeSplit, load_model
from include.models.config.files import FEATURE_TABLE
from include.models.config.judging import told_of_chosen
from include.models.config.metric_references import VALIDATION
from include.models.config.metrics import THIRDS
from include.models.interface import Examples, Tables
from include.models.loader import domain_evaluation, estimator, feature_builder
from include.models.tabular.estimator import TabularEstimator
from rows import Row, end, parser, row

DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FOLDERS = {
    "predictive_maintenance": "azure_pdm",
    "machine_downtime": "machine_downtime",
    "abalone_age": "abalone",
    "electricity": "elec2",
    "tabular_classifier": "ai4i2020",
}
CUTS = {
    "July": 183,
    "August": 152,
    "September": 122,
    "October": 91,
}  # days from the first of the month to the year's end
SEEDS = 20
EXPLAINED = 1000  # rows
FOLDS, REPEATS, INNER_FOLDS, DRAWS = 5, 4, 3, 8
RETRAINED_ON_DAYS = 28
CHANCE_DRAWS = 5
STATE_ONLY = {"history": False, "num_boost_round": 100, "num_leaves": 15}

Found = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """Measurements, each in its own process if one is free, and their result rows."""

    measurements: dict[str, Callable[[], Found]]
    rows: Callable[[dict[str, Found]], list[Row]]


@cache
def raw_tables(name: str, *, lines: bool = False) -> Tables:
    """The rows as validate_raw_data cleans them, except for what suites set aside; with their lines in the file."""
    config = load_model(name)
    return {
        table: clean_table(
            read_table(DATA / FOLDERS[name], table, declared), declared, config.data.time, Window()
        ).frame.drop([] if lines else LINE)
        for table, declared in config.data.tables.items()
    }


@cache
def features(name: str) -> pl.DataFrame:
    return feature_builder(name).build_features(raw_tables(name))


def seeded(config: ModelConfig, frame: pl.DataFrame, seed: int, validation_share: float) -> list[Examples]:
    """Train, validation and test rows, split as in model.yaml but with another seed."""
    how = RandomSplit.model_validate(config.split.model_dump() | {"seed": seed, "validation_share": validation_share})
    parts = split(config.model_copy(update={"split": how}), frame)
    return [examples(config, parts[part]) for part in ("train", "validation", "test")]


def spread(values: Sequence[float]) -> str:
    """The mean, and its 95 % interval."""
    mean, most = np.mean(values), stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:.4f} (95 % {mean - most:.4f} to {mean + most:.4f})"


def shipped(config: ModelConfig, train: Examples, validation: Examples, seed: int, **chosen: Any) -> LoadedModel:
    """The model as the jobs would register it, trained on only these rows."""
    own = estimator(config.name)
    hyperparameters = {**config.training.hyperparameters, **chosen, "seed": seed}
    model = own.fit(train, validation, hyperparameters)
    judged = judgement(config, validation.target, own.predict(model, validation.features))
    if config.split.refit:
        model = own.refit(model, together(train, validation), hyperparameters)  # type: ignore[attr-defined]
    return LoadedModel({"classes": train.classes}, train.features.columns, model, own, judged)


def together(first: Examples, second: Examples) -> Examples:
    target = np.concatenate([first.target, second.target])
    return Examples(pl.concat([first.features, second.features]), target, first.classes)


# predictive_maintenance


def after_a_cut(test_days: int) -> Found:
    name = "predictive_maintenance"
    config, own, in_the_field = load_model(name), estimator(name), domain_evaluation(name)
    assert isinstance(config.split, TimeSplit)
    assert in_the_field
    how = config.split.model_copy(update={"test_days": test_days})
    parts = split_by_time(features(name), str(config.data.time), how)
    train, validation, test = (examples(config, parts[part]) for part in ("train", "validation", "test"))
    model = own.fit(train, validation, config.training.hyperparameters)
    judged = judgement(config, validation.target, own.predict(model, validation.features))
    raw = own.predict(model, test.features)
    probabilities = judged.calibrated(raw)
    decided = judged.labels(probabilities)
    labels = pl.Series("predicted", [test.classes[index] for index in decided])
    found = measure(config.problem, test.target, probabilities, test.classes, decided)
    # labels drawn from these probabilities: the error of a perfectly calibrated model by chance
    rng, sums = np.random.default_rng(0), probabilities.cumsum(axis=1)
    drawn = [(sums[:, :-1] < rng.uniform(size=(len(sums), 1))).sum(axis=1) for _ in range(CHANCE_DRAWS)]
    events = in_the_field.evaluate(parts["test"].with_columns(labels), raw_tables(name)).metrics
    rule = in_the_field.baselines(parts["test"], raw_tables(name))["persistence"]
    facts: Metadata = {"classes": test.classes, "explain": {"reasons": 3, "rows": EXPLAINED}}
    loaded = LoadedModel(facts, train.features.columns, model, own, judged)
    return {
        **(explained_and_measured(config, loaded, parts["test"]) if how == config.split else {}),
        "macro F1": found["macro_f1"],
        "ece": found["ece"],
        "raw ece": measure(config.problem, test.target, raw, test.classes)["ece"],
        "chance": np.mean([measure(config.problem, one, probabilities, test.classes)["ece"] for one in drawn]),
        "persistence": f1_score(parts["test"][config.data.label], rule, average="macro"),
        "events": events["failure_events"],
        "caught": events["failure_events_caught"],
    }


def explained_and_measured(config: ModelConfig, loaded: LoadedModel, test: pl.DataFrame) -> Found:
    """Processor seconds, of all threads together: of the metrics with their intervals, and of a row's reasons."""
    measures = Measures(config, test, examples(config, test), raw_tables(config.name))
    found, answers, started = loaded.answers(test), Answers.of(loaded, test), process_time()
    measures.of(answers)
    measured = process_time()
    reasons = loaded.explained(test, found)[REASONS]
    rows = len(reasons) - reasons.null_count()
    return {"seconds of intervals": measured - started, "reasons a second": rows / (process_time() - measured)}


def predictive_maintenance(found: dict[str, Found]) -> list[Row]:
    mean = np.mean([one["macro F1"] for one in found.values()])
    rule = np.mean([one["persistence"] for one in found.values()])
    events = sum(one["events"] for one in found.values())
    caught = sum(one["events"] * one["caught"] for one in found.values())
    each = ", ".join(f"{month} {one['macro F1']:.4f}" for month, one in found.items())
    (shipped_cut,) = (one for one in found.values() if "reasons a second" in one)
    return [
        row(
            "predictive_maintenance: macro F1 and failures caught, from four cut dates on",
            f"{spread([one['macro F1'] for one in found.values()])}: {each}; {caught:.0f} of {events:.0f} caught; "
            f"persistence {rule:.3f}",
            "≥ 0.993, all",
            mean >= 0.993 and all(one["caught"] == 1 for one in found.values()),
        ),
        row(
            "predictive_maintenance: calibration error, as shipped, without calibration, and a perfect model by chance",
            ", ".join(f"{np.mean([one[name] for one in found.values()]):.6f}" for name in ("ece", "raw ece", "chance")),
            "at most half",
            sum(one["ece"] for one in found.values()) <= 0.5 * sum(one["raw ece"] for one in found.values()),
        ),
        row(
            "predictive_maintenance: processor time of all metrics with their intervals",
            f"{shipped_cut['seconds of intervals']:.1f} s",
            "< 10 s",
            shipped_cut["seconds of intervals"] < 10,
        ),
        row(
            f"predictive_maintenance: reasons of the {EXPLAINED} riskiest rows",
            f"{shipped_cut['reasons a second']:.0f} rows a second of processor time",
            "≥ 400",
            shipped_cut["reasons a second"] >= 400,
        ),
    ]


# machine_downtime


def downtime(**chosen: Any) -> Found:
    name = "machine_downtime"
    config = load_model(name)
    ours, linear, constant = [], [], []
    for seed in range(SEEDS):
        train, validation, test = seeded(config, features(name), seed, config.split.validation_share)
        model = shipped(config, train, validation, seed, **chosen)
        ours.append(np.mean(model.labels(model.predict(test.features)) == test.target))
        learned = together(train, validation)
        straight = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
        straight.fit(learned.features.to_numpy(), learned.target)
        linear.append(straight.score(test.features.to_numpy(), test.target))
        constant.append(max(np.mean(test.target), 1 - np.mean(test.target)))
    return {"accuracy": ours, "linear": np.mean(linear), "one": np.mean(constant)}


def machine_downtime(found: dict[str, Found]) -> list[Row]:
    best, forest = found["lightgbm"], found["forest"]
    return [
        row(
            f"machine_downtime: accuracy, {SEEDS} seeds",
            f"{spread(best['accuracy'])}; the forest {spread(forest['accuracy'])}, logistic "
            f"regression {best['linear']:.3f}, one class for all {best['one']:.3f}",
            "≥ 0.992",
            np.mean(best["accuracy"]) >= 0.992,
        ),
        tuning_told("machine_downtime", found),
    ]


# abalone_age


def rings() -> Found:
    name = "abalone_age"
    config = load_model(name)
    ours, linear, constant, held = [], [], [], []
    for seed in range(SEEDS):
        train, validation, test = seeded(config, features(name), seed, config.split.validation_share)
        model = shipped(config, train, validation, seed)
        ours.append(np.mean((model.predict(test.features) - test.target) ** 2))
        found = interval_metrics(test.target, model.intervals(test.features))
        held.append([found[f"interval_coverage_{name}"] for name in THIRDS])
        learned = together(train, validation)
        table = [part.features.to_dummies("sex").to_numpy() for part in (learned, test)]
        straight = LinearRegression().fit(table[0], learned.target)
        linear.append(np.mean((straight.predict(table[1]) - test.target) ** 2))
        constant.append(np.mean((learned.target.mean() - test.target) ** 2))
    return {"mse": ours, "linear": np.mean(linear), "mean": np.mean(constant), "held": np.transpose(held)}


def abalone_age(found: dict[str, Found]) -> list[Row]:
    one = found["rings"]
    value = f"{spread(one['mse'])}; a straight line {one['linear']:.2f}, the mean {one['mean']:.2f}"
    held = ", ".join(f"{name} {spread(shares)}" for name, shares in zip(THIRDS, one["held"], strict=True))
    return [
        row(f"abalone_age: mean squared error, {SEEDS} seeds", value, "≤ 4.40", np.mean(one["mse"]) <= 4.40),
        row(
            f"abalone_age: coverage of intervals in each third of the rings, {SEEDS} seeds",
            held,
            "0.90 ± 0.03",
            all(abs(np.mean(shares) - 0.9) <= 0.03 for shares in one["held"]),
        ),
        tuning_told("abalone_age", found),
    ]


# electricity


def later_half() -> tuple[pl.DataFrame, datetime, datetime, datetime]:
    """The half-hours; the first day, the first of the later half, the day after the last."""
    frame = features("electricity")
    days = frame["half_hour"].dt.truncate("1d")
    first, last = days.min(), days.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return frame, first, first + timedelta(days=(last - first).days // 2), last + timedelta(days=1)


def between(frame: pl.DataFrame, start: datetime, end: datetime) -> Examples:
    return examples(load_model("electricity"), frame.filter(pl.col("half_hour").is_between(start, end, closed="left")))


def moving(every_days: int, window: timedelta | None = None, **chosen: Any) -> Found:
    """Accuracy on the later half of a model trained on the first half, and of one that is retrained regularly.

    Args:
        window: what the retrained model learns from, with no rows held out; None: both are split as in model.yaml.
    """
    config = load_model("electricity")
    frame, first, half, end = later_half()

    def right(start: datetime, now: datetime, until: datetime) -> Any:
        train = validation = between(frame, start, now)
        if window is None:
            parts = split(config, frame.filter(pl.col("half_hour") < now))
            train, validation = (examples(config, parts[part]) for part in ("train", "validation"))
        test = between(frame, now, until)
        model = shipped(config, train, validation, int(config.training.hyperparameters["seed"]), **chosen)
        return model.predict(test.features).argmax(axis=1) == test.target

    starts = [half + timedelta(days=day) for day in range(0, (end - half).days, every_days)]
    step = timedelta(days=every_days)
    moved = [right(max(first, now - window) if window else first, now, min(now + step, end)) for now in starts]
    right_now = np.concatenate(moved)
    tested = frame.filter(pl.col("half_hour").is_between(half, end, closed="left"))
    gained = tested.select(
        day=pl.col("half_hour").dt.date(),
        gain=pl.Series(right_now).cast(pl.Int8) - (pl.col("was_up_1") == pl.col("price_is_up")).cast(pl.Int8),
    )
    by_day = gained.group_by("day").agg(pl.col("gain").sum(), pl.len()).sort("day")
    drawn = np.random.default_rng(0).integers(0, len(by_day), (1000, len(by_day)))
    gains = by_day["gain"].to_numpy()[drawn].sum(axis=1) / by_day["len"].to_numpy()[drawn].sum(axis=1)
    return {
        "static": np.mean(right(first, half, end)),
        "moving": np.mean(right_now),
        "gain": gained["gain"].mean(),
        "interval": np.quantile(gains, (0.025, 0.975)),
    }


def same_as_last() -> Found:
    frame, _, half, _ = later_half()
    right = frame["was_up_1"] == frame["price_is_up"]
    return {"half": right.filter(frame["half_hour"] >= half).mean(), "whole": right.mean()}


def electricity(found: dict[str, Found]) -> list[Row]:
    state, weekly, rule = found["state"], found["shipped"], found["rule"]
    gain = state["moving"] - state["static"]
    beside = f"same as last {rule['half']:.3f} (over all of the data {rule['whole']:.3f})"
    return [
        row(
            f"electricity: points of accuracy that retraining every day, from {RETRAINED_ON_DAYS} days, wins",
            f"{100 * gain:.1f}: {state['static']:.3f} to {state['moving']:.3f}; {beside}",
            "≥ 4",
            gain >= 0.04,
        ),
        row(
            "electricity: accuracy as shipped, retrained every week",
            f"{weekly['moving']:.3f}, {100 * weekly['gain']:.1f} points above same as last "
            f"(95 % {100 * weekly['interval'][0]:.1f} to {100 * weekly['interval'][1]:.1f}); "
            f"the same never retrained {weekly['static']:.3f}; {beside}",
            "≥ 1 point above same as last, the interval above 0",
            weekly["gain"] >= 0.01 and weekly["interval"][0] > 0,
        ),
    ]


# tuning


def draws(config: ModelConfig) -> list[dict[str, Scalar]]:
    """Hyperparameters drawn from model.yaml's ranges, the same every time."""
    rng = np.random.default_rng(0)
    tuning = config.training.tuning
    assert tuning
    found = []
    for _ in range(DRAWS):
        one: dict[str, Scalar] = {}
        for name, bounds in tuning.ranges.items():
            if bounds.values is not None:
                one[name] = config.hyperparameters[name].read(str(rng.choice(bounds.values)))
                continue
            low, high = float(bounds.min or 0), float(bounds.max or 0)
            value = np.exp(rng.uniform(np.log(low), np.log(high))) if bounds.scale == "logarithmic" else None
            value = rng.uniform(low, high) if value is None else value
            one[name] = round(value) if isinstance(bounds.min, int) else float(value)
        found.append(one)
    return found


def tuned(name: str) -> Found:
    """The sentence of an evaluation on the best of these draws by tuning's objective, split as in model.yaml."""
    config, own = load_model(name), estimator(name)
    assert config.training.tuning
    aim = config.training.tuning.objective
    parts = split(config, features(name))
    train, validation, test = (examples(config, parts[part]) for part in ("train", "validation", "test"))

    def fitted(chosen: dict[str, Scalar]) -> LoadedModel:
        given = {**config.training.hyperparameters, **chosen}
        model = own.fit(train, validation, given)
        judged = judgement(config, validation.target, own.predict(model, validation.features))
        facts: Metadata = {"classes": train.classes, "hyperparameters": given}
        return LoadedModel(facts, train.features.columns, model, own, judged)

    def reached(model: LoadedModel) -> float:
        found = model.predict(validation.features)
        values = measure(config.problem, validation.target, found, validation.classes, model.labels(found))
        value = values[aim.metric.removeprefix(VALIDATION)]
        return value if aim.direction == "maximize" else -value

    best = max(map(fitted, draws(config)), key=reached)
    measures = Measures(config, parts["test"], test, raw_tables(name))
    with TemporaryDirectory() as folder:
        for part in ("train", "validation"):
            Path(folder, part).mkdir()
            parts[part].write_parquet(Path(folder, part, FEATURE_TABLE))
        ours = measures.of_predictions(Answers.of(best, parts["test"]))
        chosen = beside_usual(measures, best, ours, Path(folder))
    told = told_of_chosen(config, {"metrics": {}, "champion": None, "chosen": chosen})
    return {"told": told[0] if told else "tuning chose model.yaml's own hyperparameters"}


def tuning_told(name: str, found: dict[str, Found]) -> Row:
    return row(f"{name}: the best of {DRAWS} draws from model.yaml's ranges", found["tuned"]["told"])


# tabular_classifier


def failures(repeat: int) -> Found:
    """F1 of the failures in each fold of one repetition."""
    config = load_model("tabular_classifier")
    whole = examples(config, features(config.name))
    raw_only = config.model_copy(update={"features": Features(exclude=config.features.exclude)})

    def f1(learned: Any, tested: Any, chosen: dict[str, Scalar], how: ModelConfig = config) -> float:
        own = TabularEstimator(how)
        train, test = (Examples(whole.features[rows], whole.target[rows], whole.classes) for rows in (learned, tested))
        # no early stopping in this model.yaml: the second table is not used
        model = own.fit(train, train, {**config.training.hyperparameters, **chosen, "seed": repeat})
        return float(f1_score(test.target, own.predict(model, test.features).argmax(axis=1)))

    def best(rows: Any) -> dict[str, Scalar]:
        inner = list(StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=repeat).split(rows, whole.target[rows]))
        return max(draws(config), key=lambda chosen: sum(f1(rows[a], rows[b], chosen) for a, b in inner))

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(whole.target, whole.target)
    found: dict[str, list[float]] = {"chosen within": [], "model.yaml": [], "raw": []}
    for learned, tested in folds:
        found["chosen within"].append(f1(learned, tested, best(learned)))
        found["model.yaml"].append(f1(learned, tested, {}))
        found["raw"].append(f1(learned, tested, {}, raw_only))
    return {**found, "constant": f1_score(whole.target, np.ones_like(whole.target))}


def tabular_classifier(found: dict[str, Found]) -> list[Row]:
    chosen, yaml, raw = (
        np.concatenate([one[name] for one in found.values()]) for name in ("chosen within", "model.yaml", "raw")
    )
    constant = next(iter(found.values()))["constant"]
    return [
        row(
            f"tabular_classifier: F1, {REPEATS} x {FOLDS} folds of AI4I 2020, no failure modes",
            f"model.yaml's {spread(yaml)}; chosen within each fold {spread(chosen)}, "
            f"without derived columns {raw.mean():.3f}, every row a failure {constant:.3f}",
            "≥ 0.88, model.yaml's",
            yaml.mean() >= 0.88,
        )
    ]


BENCHES = {
    "predictive_maintenance": Bench(
        {month: partial(after_a_cut, days) for month, days in CUTS.items()}, predictive_maintenance
    ),
    "machine_downtime": Bench(
        {
            "lightgbm": downtime,
            "forest": partial(downtime, algorithm="random_forest", min_rows_in_leaf=1),
            "tuned": partial(tuned, "machine_downtime"),
        },
        machine_downtime,
    ),
    "abalone_age": Bench({"rings": rings, "tuned": partial(tuned, "abalone_age")}, abalone_age),
    "electricity": Bench(
        {
            "state": partial(moving, 1, timedelta(days=RETRAINED_ON_DAYS), **STATE_ONLY),
            "shipped": partial(moving, 7),
            "rule": same_as_last,
        },
        electricity,
    ),
    "tabular_classifier": Bench({str(seed): partial(failures, seed) for seed in range(REPEATS)}, tabular_classifier),
}


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--only", choices=sorted(BENCHES))
    arguments = options.parse_args(argv)
    chosen = {name: bench for name, bench in BENCHES.items() if arguments.only in (None, name)}
    there = {name: bench for name, bench in chosen.items() if (DATA / FOLDERS[name]).is_dir()}
    # spawned: polars' threads do not survive a fork
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as processes:
        running: dict[str, dict[str, Future[Found]]] = {
            name: {part: processes.submit(measurement) for part, measurement in bench.measurements.items()}
            for name, bench in there.items()
        }
        measured = {name: {part: one.result() for part, one in parts.items()} for name, parts in running.items()}
    found: list[Row] = []
    for name, bench in chosen.items():
        missing = f"no {DATA / FOLDERS[name]}; SHARED_DATA names the folder"
        found += bench.rows(measured[name]) if name in there else [row(name, missing, ok=None)]
    return end(found, arguments)


if __name__ == "__main__":
    sys.exit(main())
