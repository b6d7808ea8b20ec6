"""Whether hyperparameters that tuning or a person chose are better than model.yaml's own: a model with those, fitted on
the same rows, is measured on the same splits."""

from __future__ import annotations

from pathlib import Path

from include.jobs.evaluation.comparing import compare
from include.jobs.evaluation.measuring import Answers, Measures
from include.jobs.features.feature_table import examples, read_split
from include.jobs.serving.artifact import LoadedModel
from include.jobs.serving.decision import judgement
from include.models.config import ModelConfig
from include.models.config.results import Chosen
from include.models.interface import Tables


def beside_usual(config: ModelConfig, candidate: LoadedModel, features: Path, tables: Tables) -> Chosen | None:
    """The candidate beside the model with model.yaml's hyperparameters, in the champion's metric; None if it has these.

    Args:
        features: the splits.
    """
    own, usual = candidate.estimator, config.training.hyperparameters
    given = candidate.metadata["hyperparameters"]
    differing = {name: f"{given.get(name)} for {usual.get(name)}" for name in given if given[name] != usual.get(name)}
    if not differing:
        return None
    splits = {name: read_split(features / name) for name in ("train", "validation", "test")}
    train, validation = (examples(config, splits[name]) for name in ("train", "validation"))
    model = own.fit(train, validation, usual)
    judged = judgement(config, validation.target, own.predict(model, validation.features))
    other = LoadedModel({"classes": train.classes}, train.features.columns, model, own, judged)
    found: Chosen = {"hyperparameters": differing, "validation": None, "test": None}
    for name in ("validation", "test"):
        measures = Measures(config, splits[name], examples(config, splits[name]), tables)
        ours, theirs = (measures.of_predictions(Answers.of(one, splits[name])) for one in (candidate, other))
        found[name] = compare(config, ours, theirs)
    return found
