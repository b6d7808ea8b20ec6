"""The model refitted at earlier ends of the data: what retraining at that pace would have achieved on several
splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from include.jobs.features.feature_table import examples
from include.jobs.features.splitting import Parts, rolling_splits
from include.jobs.serving.decision import judgement
from include.models.config import ModelConfig, Scalar, TimeSplit
from include.models.errors import JobError
from include.models.interface import Array
from include.models.loader import estimator


@dataclass(frozen=True)
class Refit:
    """The test rows of one earlier end, and the refitted model's predictions for them."""

    test: pl.DataFrame
    predictions: Array
    labels: Array | None = None


def refit(
    config: ModelConfig,
    hyperparameters: Mapping[str, Scalar],
    whole: pl.DataFrame,
    prepare: Callable[[Parts], Parts] = lambda parts: parts,
) -> list[Refit]:
    """A refit for each of model.yaml's ``rolling_origins``, with the candidate's hyperparameters, latest first.

    Args:
        prepare: further preparation that the candidate's splits had before it was fitted.

    Raises:
        JobError: there is not enough data.
    """
    if not isinstance(config.split, TimeSplit):
        return []
    own = estimator(config.name)
    found = []
    for number, parts in enumerate(rolling_splits(whole, str(config.data.time), config.split), 1):
        if any(part.is_empty() for part in parts.values()):
            raise JobError(
                f"the data does not reach back to earlier end {number} of the {config.split.rolling_origins} that "
                f"model.yaml's split.rolling_origins asks for, {config.split.test_days:g} days apart. "
                "Provide more data, or ask for fewer."
            )
        learned = prepare(parts)
        train, validation = examples(config, learned["train"]), examples(config, learned["validation"])
        model = own.fit(train, validation, hyperparameters)
        features = parts["test"].select(train.features.columns)
        judged = judgement(config, validation.target, own.predict(model, validation.features))
        predictions = judged.calibrated(own.predict(model, features)) if train.classes else own.predict(model, features)
        found.append(Refit(parts["test"], predictions, judged.labels(predictions) if train.classes else None))
    return found
