"""Whether watching finds what is wrong, and only that, on the real data.

    python tests/benchmarks/bench_watch.py [--json]

- **Realised performance.** electricity trained up to three dates, predictive_maintenance up to one, each as shipped and
  never again; then every window of ``monitoring.window_days``, day by day, once its labels are there. A window is truly
  worse where all its labels say at least ``max_loss`` less than the evaluation. Found are those that the verdict calls
  a loss: by all labels, and by a random third of them, as where labels come in parts.
- **Estimated performance** of predictive_maintenance's weeks beside what its labels say.
- **Broken feeds** of predictive_maintenance: a fortnight after training, each broken in one way, judged day by day.
- **False verdicts**: on sound windows that the models have not learned from.

Some minutes, one process. What is not there is said to be unmeasured: SHARED_DATA names the folder. Needs ``include``
on PYTHONPATH.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from bench_quality import DATA, FOLDERS, raw_tables
from include.jobs.evaluation.measuring import Answers, Measured, Measures
from include.jobs.evaluation.metrics import interval
from include.jobs.features.drift_profile import drift_profile
from include.jobs.features.feature_table import examples
from include.jobs.features.splitting import split
from include.jobs.serving.decision import judgement
from include.jobs.watching.answer_bins import count_probabilities
from include.jobs.watching.reference import reference
from include.models.config import ModelConfig, load_model
from include.models.config.estimating import estimated, watched_metric
from include.models.config.watching import Reference
from include.models.interface import Array
from include.models.loader import estimator, feature_builder
from include.monitor.performance import is_loss
from rows import Row, end, parser, row

ELECTRICITY = ("1997-04-25", "1997-09-01", "1998-02-01")
PDM = "2015-07-01"
SOME = 1 / 3  # of the labels, where they come in parts


@dataclass(frozen=True)
class Trained:
    """A model of the rows before a moment, as model.yaml splits and fits them, and all rows from that moment on."""

    config: ModelConfig
    parts: Mapping[str, pl.DataFrame]
    later: pl.DataFrame

    @classmethod
    def until(cls, name: str, moment: str) -> Trained:
        config, frame = load_model(name), feature_builder(name).build_features(raw_tables(name))
        before = pl.col(str(config.data.time)) < datetime.fromisoformat(moment)
        return cls(config, split(config, frame.filter(before)), frame.filter(~before))

    @cached_property
    def _fitted(self) -> tuple[Any, Any]:
        own = estimator(self.config.name)
        train, validation = (examples(self.config, self.parts[part]) for part in ("train", "validation"))
        model = own.fit(train, validation, self.config.with_defaults().training.hyperparameters)
        return model, judgement(self.config, validation.target, own.predict(model, validation.features))

    def answers(self, rows: pl.DataFrame) -> Answers:
        model, judged = self._fitted
        probabilities = judged.calibrated(
            estimator(self.config.name).predict(model, examples(self.config, rows).features)
        )
        return Answers(probabilities, labels=judged.labels(probabilities))

    def measured(self, rows: pl.DataFrame, answers: Answers) -> Measured:
        return Measures(self.config, rows, examples(self.config, rows), {}).of_predictions(answers)

    @cached_property
    def evaluated(self) -> Measured:
        return self.measured(self.parts["test"], self.answers(self.parts["test"]))

    @cached_property
    def reference(self) -> Reference:
        """``reference.json``, as evaluate_model writes it."""
        time = str(self.config.data.time)
        end_of_training = self.parts["test"][time].max()
        tables = {
            name: table.filter(pl.col(time) <= end_of_training) if time in table.columns else table
            for name, table in raw_tables(self.config.name).items()
        }
        test, features = self.parts["test"], examples(self.config, self.parts["train"]).features
        answers = self.answers(test)
        truth = examples(self.config, test)
        found = answers.predictions, answers.labels, drift_profile(features), list[float]()
        return reference(self.config, tables, self.parts["train"], test, truth, *found)

    def windows(self, step: int = 1) -> Iterator[tuple[pl.DataFrame, Answers]]:
        """Whole windows of ``monitoring.window_days`` of the later rows, every ``step`` days."""
        assert self.config.monitoring
        days = self.later[str(self.config.data.time)].dt.date()
        answers, length = self.answers(self.later), self.config.monitoring.window_days
        first, last = days.min(), days.max()
        for number in range(0, (last - first).days - length + 2, step):  # type: ignore[operator,union-attr] # dates
            start = first + timedelta(days=number)  # type: ignore[operator] # a date
            inside = days.is_between(start, start + timedelta(days=length), closed="left").to_numpy()
            if inside.any():
                yield self.later.filter(inside), answers.on(inside)


def _ends(measured: Measured, metric: str) -> tuple[float, float] | None:
    return interval(measured.replicates[metric])


def losses(trained: Trained, share: float = 1.0) -> tuple[Array, Array]:
    """Of each window whether it is truly worse, and whether it is called a loss."""
    config, metric = trained.config, watched_metric(trained.config)
    assert config.monitoring
    evaluated = trained.evaluated.values[metric], _ends(trained.evaluated, metric)
    worse, called, rng = [], [], np.random.default_rng(3)
    for rows, answers in trained.windows():
        whole = trained.measured(rows, answers)
        worse.append(evaluated[0] - whole.values[metric] >= config.monitoring.max_loss)
        if share < 1:
            some = rng.uniform(size=len(rows)) < share
            whole = trained.measured(rows.filter(some), answers.on(some))
        called.append(is_loss(config, metric, evaluated, (whole.values[metric], _ends(whole, metric)), []))
    return np.array(worse), np.array(called)


def realised_rows() -> Iterator[Row]:
    for name, moments in (("electricity", ELECTRICITY), ("predictive_maintenance", (PDM,))):
        for moment in moments:
            trained = Trained.until(name, moment)
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


def estimated_rows() -> Iterator[Row]:
    trained = Trained.until("predictive_maintenance", PDM)
    metric, calibration = watched_metric(trained.config), trained.reference["calibration"]
    assert calibration
    pairs = []
    for rows, answers in trained.windows(step=7):
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


def main(argv: list[str] | None = None) -> int:
    arguments = parser(__doc__).parse_args(argv)
    missing = [name for name in FOLDERS if not (DATA / FOLDERS[name]).is_dir()]
    if missing:
        return end(
            [row("watching", f"no {DATA / FOLDERS[missing[0]]}; SHARED_DATA names the folder", ok=None)], arguments
        )
    return end([*realised_rows(), *estimated_rows()], arguments)


if __name__ == "__main__":
    sys.exit(main())
