"""Whether importances from sampled rows in one pass rank the five models' features like the whole test split, feature
by feature.

    python tests/benchmarks/bench_rankings.py [--json] [--only MODEL]

The reference is scikit-learn's ``permutation_importance`` over all test rows (20,000 at most), which reports used
before. Features count if they lose at least a hundredth of what the first one loses; less is noise with either method.
Features with losses that differ by less than a tenth may change places: the top five of predictive_maintenance lie
within 7 %, and 10,000 rows rank them differently than 20,000. A model without its data is reported as unmeasured. Needs
``include`` on PYTHONPATH.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
from sklearn.inspection import permutation_importance

from bench_quality import DATA, FOLDERS, features
from include.jobs.evaluation.metrics import measure
from include.jobs.evaluation.permutation import OF_PROBLEM, REPEATS, importances
from include.jobs.features.feature_table import examples
from include.jobs.features.splitting import split
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.decision import Judgement
from include.models.config import ModelConfig, load_model
from include.models.interface import Array, Examples
from include.models.loader import estimator
from rows import Row, end, parser, row

MOST_ROWS = 20_000
FIRST = 3  # features in the same order
ABOUT_THE_SAME = 0.9  # relative to the loss of the feature in that place over all rows
LEAST_ALIKE = 0.9  # rank correlation of all that count


@dataclass(frozen=True)
class Fitted:
    """The parts of an artifact that importances need."""

    config: ModelConfig
    model: Any
    feature_order: list[str]
    judgement: Judgement = field(default_factory=Judgement)  # each row has its likeliest class

    def fit(self) -> None:
        """scikit-learn requires it."""

    def predict(self, frame: pl.DataFrame) -> Array:
        return estimator(self.config.name).predict(self.model, frame.select(self.feature_order))


def fitted(config: ModelConfig) -> tuple[Fitted, Examples]:
    """A model as shipped, and the test split."""
    parts = split(config, features(config.name))
    train, validation, test = (examples(config, parts[name]) for name in ("train", "validation", "test"))
    defaults = {
        name: known.default
        for name, known in (
            config.code.estimator.hyperparameters if config.code.estimator else config.hyperparameters
        ).items()
    }
    model = estimator(config.name).fit(train, validation, {**defaults, **config.training.hyperparameters})
    return Fitted(config, model, train.features.columns), test


def one_by_one(config: ModelConfig, model: Fitted, test: Examples, metric: str) -> dict[str, float]:
    """The loss by feature over all rows, as scikit-learn computes it."""
    sign = 1.0 if metric != OF_PROBLEM["regression"][0] and config.champion.direction == "maximize" else -1.0
    every = -(-len(test.target) // MOST_ROWS)
    rows, target = test.features.gather_every(every), test.target[::every]

    def score(_: Fitted, values: Any, target: Array) -> float:
        answers = model.predict(pl.from_pandas(values, schema_overrides=rows.schema))
        return sign * measure(config.problem, target, answers, test.classes)[metric]

    found = permutation_importance(model, rows.to_pandas(), target, scoring=score, n_repeats=REPEATS, random_state=0)
    return dict(zip(rows.columns, map(float, found.importances_mean), strict=True))


def ranked(lost: Mapping[str, float]) -> list[str]:
    return sorted(lost, key=lambda name: -lost[name])


def alike(ours: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[list[str], list[str], float]:
    """Both rankings of the features that count, and Spearman's rank correlation of their losses."""
    least = max(theirs.values()) / 100
    count = [name for name in ranked(theirs) if theirs[name] >= least]
    table = pl.DataFrame({"ours": [ours[name] for name in count], "theirs": [theirs[name] for name in count]})
    found = table.select(pl.corr("ours", "theirs", method="spearman")).item() if len(count) > 1 else 1.0
    return [name for name in ranked(ours) if name in count], count, float(found)


def measured(name: str) -> Row:
    title = f"order of features, {name}"
    if not (DATA / FOLDERS[name]).is_dir():
        return row(title, f"no data in {DATA / FOLDERS[name]}", ok=None)
    config = load_model(name)
    model, test = fitted(config)
    found = importances(config, cast(LoadedModel, model), test.features, test)
    over_all_rows = one_by_one(config, model, test, found.metric)
    ours, theirs, correlation = alike(found.lost, over_all_rows)
    same = all(
        over_all_rows[one] >= ABOUT_THE_SAME * over_all_rows[other]
        for one, other in zip(ours[:FIRST], theirs[:FIRST], strict=True)
    )
    value = f"{', '.join(ours[:FIRST])}; of {len(theirs)} that count the ranks' correlation is {correlation:.2f}"
    bound = f"first {FIRST}: {', '.join(theirs[:FIRST])}, or within a tenth of each; >= {LEAST_ALIKE}"
    return row(title, value, bound, same and correlation >= LEAST_ALIKE)


def main(argv: list[str] | None = None) -> int:
    options = parser(__doc__)
    options.add_argument("--only", choices=list(FOLDERS))
    arguments = options.parse_args(argv)
    return end([measured(name) for name in ([arguments.only] if arguments.only else FOLDERS)], arguments)


if __name__ == "__main__":
    sys.exit(main())
