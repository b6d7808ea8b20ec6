"""Whether hyperparameters that tuning or a person chose are better than model.yaml's own: a model with those, fitted on
the same rows, is measured on the same splits."""

from __future__ import annotations

from pathlib import Path

from include.jobs.evaluation.comparing import compare
from include.jobs.evaluation.measuring import Answers, Measured, Measures
from include.jobs.features.feature_table import examples, read_split
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.decision import judgement
from include.models.config.results import Chosen


def beside_usual(on_test: Measures, candidate: LoadedModel, ours: Measured, features: Path) -> Chosen | None:
    """The candidate beside the model with model.yaml's hyperparameters, in the champion's metric; None if it has these.

    Args:
        ours: the candidate, measured on the test split.
        features: the splits.
    """
    config, own = on_test.config, candidate.estimator
    usual = config.training.hyperparameters
    given = candidate.metadata["hyperparameters"]
    differing = {name: f"{given.get(name)} for {usual.get(name)}" for name in given if given[name] != usual.get(name)}
    if not differing:
        return None
    held_out = read_split(features / "validation")
    train, validation = examples(config, read_split(features / "train")), examples(config, held_out)
    model = own.fit(train, validation, usual)
    judged = judgement(config, validation.target, own.predict(model, validation.features))
    other = LoadedModel({"classes": train.classes}, train.features.columns, model, own, judged)
    on_validation = Measures(config, held_out, validation, on_test.tables)
    before = on_validation.of_predictions(Answers.of(candidate, held_out))
    return {
        "hyperparameters": differing,
        "validation": compare(config, before, _measured(on_validation, other)),
        "test": compare(config, ours, _measured(on_test, other)),
    }


def _measured(measures: Measures, model: LoadedModel) -> Measured:
    return measures.of_predictions(Answers.of(model, measures.test))
