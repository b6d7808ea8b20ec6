"""Tests the shipped gates: each model is sabotaged in realistic ways and must be rejected; the honest model must pass
with every seed.

    make sabotage [MODEL=name] [DATA=folder of CSVs] [SEEDS=20]

Without ``DATA`` the data is made up, as for ``make run``. Writes ``.local/sabotage.json``: ``[{"model", "sabotage",
"refused", "by"}]``, with honest models as ``honest, seed N``; ``by`` names the gates. The exit status is 1 if a
sabotaged model passes or an honest one does not.

Only the training data is sabotaged; the test data is unchanged, except for a leaked column and a dead feature, which
affect both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import polars as pl

from include.jobs.evaluate_model import evaluate
from include.jobs.evaluation.refits import refit
from include.jobs.features.drift_profile import drift_profile
from include.jobs.features.feature_table import examples
from include.jobs.features.splitting import Parts, split
from include.jobs.serving.artifact import LoadedModel, Metadata
from include.jobs.serving.decision import judgement
from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.reading import read_table
from include.models.config import (
    LINE,
    MODELS_FOLDER,
    ModelConfig,
    RandomSplit,
    Scalar,
    TimeSplit,
    load_model,
    model_names,
)
from include.models.config.judging import explain, judge
from include.models.config.results import Evaluation
from include.models.interface import Tables
from include.models.loader import estimator, feature_builder
from include.models.tabular.single_feature import alone

REPORT = Path(".local/sabotage.json")
SEEDS = 20
FEW = 0.05
STUMP: dict[str, Scalar] = {
    "num_boost_round": 1,
    "trees": 1,
    "learning_rate": 1.0,
    "num_leaves": 2,
    "max_depth": 1,
    "min_data_in_leaf": 1,
    "early_stopping_rounds": 1,
}

Change = Callable[[pl.DataFrame], pl.DataFrame]


class Line(TypedDict):
    """A line of the report."""

    model: str
    sabotage: str
    refused: bool
    by: list[str]


@dataclass(frozen=True)
class Trial:
    """A candidate: ``learned`` changes the rows that every fit learns from, ``all_rows`` also those it is measured
    on."""

    sabotage: str
    config: ModelConfig
    chosen: Mapping[str, Scalar]
    learned: Change = lambda rows: rows
    all_rows: Change = lambda rows: rows

    def run(self, tables: Tables, frame: pl.DataFrame) -> Line:
        """Judge it by the gates of its model.yaml."""
        outcome = self.outcome(tables, frame)
        missed = [explain(verdict) for verdict in judge(self.config, outcome) if not verdict["passed"]]
        return {"model": self.config.name, "sabotage": self.sabotage, "refused": bool(missed), "by": missed}

    def outcome(self, tables: Tables, frame: pl.DataFrame) -> Evaluation:
        """Split, fit and measure as the jobs do."""
        config, whole = self.config, self.all_rows(frame)
        known = {name: value for name, value in self.chosen.items() if name in config.hyperparameters}
        given = {**config.training.hyperparameters, **known}
        parts = split(config, whole)
        learned = self._learned(parts)
        own = estimator(config.name)
        train, validation = (examples(config, learned[name]) for name in ("train", "validation"))
        facts: Metadata = {"classes": train.classes, "rows": {"train": len(train.target)}}
        fitted = own.fit(train, validation, given)
        judged = judgement(config, validation.target, own.predict(fitted, validation.features))
        model = LoadedModel(facts, train.features.columns, fitted, own, judged)
        refits = refit(config, given, whole, self._learned)
        profile = drift_profile(train.features)
        return evaluate(config, model, [], parts["test"], tables, profile, learned["train"].lazy(), refits).outcome

    def _learned(self, parts: Parts) -> Parts:
        return {name: part if name == "test" else self.learned(part) for name, part in parts.items()}


def trials(config: ModelConfig, frame: pl.DataFrame, seeds: int) -> Iterator[Trial]:
    """The sabotaged models, then the honest ones."""
    label = config.data.label
    yield Trial("5 % of the rows", config, {}, lambda rows: _some(rows, label))
    yield Trial("shuffled labels", config, {}, lambda rows: rows.with_columns(pl.col(label).shuffle(seed=0)))
    dead = _strongest(config, frame)
    yield Trial(
        "one dead feature",
        config,
        {},
        all_rows=lambda rows: rows.with_columns(pl.lit(None).cast(rows.schema[dead]).alias(dead)),
    )
    yield Trial("a stump", config, STUMP)
    leak = _codes(config, frame)
    yield Trial("a leaked column", config, {}, all_rows=lambda rows: rows.with_columns(leak.alias("leak")))
    yield Trial("yesterday's labels", config, {}, lambda rows: _late(config, rows))
    yield Trial("swapped classes", config, {}, lambda rows: _swapped(config, rows))
    for seed in range(seeds):
        how = config.split
        if isinstance(how, RandomSplit):
            how = how.model_copy(update={"seed": seed})
        yield Trial(f"honest, seed {seed}", config.model_copy(update={"split": how}), {"seed": seed})


def _some(rows: pl.DataFrame, label: str) -> pl.DataFrame:
    """A twentieth of the rows, with at least one of each class."""
    first = pl.int_range(pl.len()).over(label) == 0 if rows[label].n_unique() < len(rows) / 10 else pl.lit(value=False)
    chosen = pl.int_range(pl.len()).shuffle(seed=0) < FEW * pl.len()
    return rows.filter(chosen | first)


def _late(config: ModelConfig, rows: pl.DataFrame) -> pl.DataFrame:
    """Each row with the label of a day earlier; of the previous row if there is no time, or no row a day earlier."""
    label, time = config.data.label, config.data.time
    if time is None or not isinstance(config.split, TimeSplit):
        return _shifted(rows, label)
    others = [name for name in config.data.key if name != time]
    before = rows.select(*others, pl.col(time).dt.offset_by("1d"), pl.col(label))
    found = rows.drop(label).join(before, on=[*others, time], how="inner", maintain_order="left").select(rows.columns)
    return found if len(found) > len(rows) / 2 else _shifted(rows, label)


def _shifted(rows: pl.DataFrame, label: str) -> pl.DataFrame:
    return rows.with_columns(pl.col(label).shift(1)).drop_nulls(label)


def _swapped(config: ModelConfig, rows: pl.DataFrame) -> pl.DataFrame:
    """Swap the first and the last class, or large and small values in a regression."""
    label = pl.col(config.data.label)
    if not config.data.classes:
        return rows.with_columns(label.max() + label.min() - label)
    first, last = (pl.lit(config.data.classes[end]).cast(rows.schema[config.data.label]) for end in (0, -1))
    return rows.with_columns(
        pl.when(label == first).then(last).when(label == last).then(first).otherwise(label).alias(config.data.label)
    )


def _codes(config: ModelConfig, frame: pl.DataFrame) -> pl.Series:
    return pl.Series(examples(config, frame).target).cast(pl.Float64)


def _strongest(config: ModelConfig, frame: pl.DataFrame) -> str:
    """The most predictive single feature."""
    found = alone(examples(config, split(config, frame)["test"]))
    return max(found, key=lambda name: found[name])


def tables_of(config: ModelConfig, folder: Path) -> Tables:
    """The rows as validate_raw_data cleans them, except for what suites set aside."""
    return {
        name: clean_table(read_table(folder, name, table), table, config.data.time, Window()).frame.drop(LINE)
        for name, table in config.data.tables.items()
    }


def made_up(model: str, folder: Path) -> Path:
    """The folder, with the model's synthetic data."""
    own = (MODELS_FOLDER / model / "simulate.py").exists()
    program = [f"include.models.{model}.simulate"] if own else ["include.models.tabular.simulate", "--model", model]
    subprocess.run([sys.executable, "-m", *program, "--out", folder], check=True, stdout=subprocess.DEVNULL)
    return folder


def sabotage(model: str, data: Path | None, seeds: int = SEEDS) -> Iterator[Line]:
    """A line for each trial of a model."""
    config = load_model(model)
    with tempfile.TemporaryDirectory() as scratch:
        tables = tables_of(config, data or made_up(model, Path(scratch)))
        frame = feature_builder(model).build_features(tables)
    for trial in trials(config, frame, seeds):
        yield trial.run(tables, frame)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=model_names(), help="one model alone")
    parser.add_argument("--data", type=Path, help="folder of the model's CSV files")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args(argv)
    lines: list[Line] = []
    for model in [arguments.model] if arguments.model else model_names():
        for line in sabotage(model, arguments.data, arguments.seeds):
            lines.append(line)
            expected = line["refused"] != line["sabotage"].startswith("honest")
            what = "refused" if line["refused"] else "passes"
            print(
                f"{'ok' if expected else 'WRONG'}: {model}, {line['sabotage']}: {what}",
                *line["by"],
                sep="\n    ",
                flush=True,
            )
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(lines, indent=1, ensure_ascii=False), encoding="utf-8")
    return 0 if all(line["refused"] != line["sabotage"].startswith("honest") for line in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
