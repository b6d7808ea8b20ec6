"""What a model folder offers, by the model's name: its own modules, or the generic ones of ``tabular``."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import cast

from include.models.config import load_model
from include.models.interface import AnyEstimator, DomainEvaluation, FeatureBuilder
from include.models.tabular.features import TabularFeatures


def feature_builder(model: str) -> FeatureBuilder:
    if own := _own(model, "features"):
        return cast(FeatureBuilder, own)
    return TabularFeatures(load_model(model))


def estimator(model: str) -> AnyEstimator:
    if own := _own(model, "estimator"):
        return cast(AnyEstimator, own)
    # imported here: LightGBM takes a second, and features alone do not need it
    from include.models.tabular.estimator import TabularEstimator

    return TabularEstimator(load_model(model))


def domain_evaluation(model: str) -> DomainEvaluation | None:
    return cast(DomainEvaluation | None, _own(model, "evaluation"))


def _own(model: str, part: str) -> ModuleType | None:
    """The model folder's module, if it has one."""
    name = f"include.models.{model}.{part}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None
