"""What the modules in a model's folder expect and provide: the section ``code``.

The rest of model.yaml is checked against it. Without the section, a model has no modules of its own: the tabular
library builds it, whose counterpart is ``TABULAR``. Tests check the declarations against the modules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import Scalar, Section
from .problems import number_hint

TRUTH = {"true": True, "false": False}


class Hyperparameter(Section):
    """A hyperparameter of an estimator. ``min`` and ``max`` are inclusive, ``above`` is exclusive; ``values``: the
    allowed words of a text."""

    type: Literal["integer", "number", "boolean", "text"]
    default: Scalar
    meaning: Annotated[str, Field(min_length=1, max_length=200)]
    min: float | None = None
    max: float | None = None
    above: float | None = None
    values: list[str] | None = None

    @model_validator(mode="after")
    def default_can_be_used(self) -> Self:
        if wrong := self.problem_with(self.default):
            raise ValueError(f"default {wrong}")
        return self

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        if self.type == "boolean":
            return "true or false"
        if self.type == "text":
            return f"one of {', '.join(self.values)}" if self.values else "a text"
        words = "a whole number" if self.type == "integer" else "a number"
        if self.min is not None and self.max is not None:
            return f"{words} from {self.min:.10g} to {self.max:.10g}"
        ends = {"above": self.above, "from": self.min, "up to": self.max}
        return " ".join([words, *(f"{word} {end:.10g}" for word, end in ends.items() if end is not None)])

    def problem_with(self, value: object) -> str | None:
        """Why a value from YAML or JSON is invalid; None if it is valid."""
        if self._holds(value):
            return None
        numeric = self.type in ("integer", "number")
        hint = number_hint(value) if numeric and isinstance(value, str) else ""
        return f"is {value!r}; allowed is {self.allowed}{hint}"

    def typed(self, value: Scalar) -> Scalar:
        """A valid value in the estimator's type: 1 becomes 1.0 for a number."""
        if self.type == "number":
            return float(value)
        return int(value) if self.type == "integer" else value

    def read(self, text: str) -> Scalar:
        """Parses a value that SageMaker passes as text.

        Raises:
            ValueError: it is invalid; the message says what is allowed.
        """
        value: Scalar = text
        try:
            if self.type in ("integer", "number"):
                number = float(text)
                value = int(number) if number.is_integer() else number
            elif self.type == "boolean":
                value = TRUTH.get(text.lower(), text)
        except ValueError:
            pass  # stays a text, which is then refused
        if wrong := self.problem_with(value):
            raise ValueError(wrong)
        return self.typed(value)

    @property
    def json_schema(self) -> dict[str, object]:
        """The same rule as JSON Schema, for forms."""
        rule: dict[str, object] = {"type": "string" if self.type == "text" else self.type}
        names = {"minimum": self.min, "maximum": self.max, "exclusiveMinimum": self.above, "enum": self.values}
        return rule | {name: value for name, value in names.items() if value is not None}

    def _holds(self, value: object) -> bool:
        if self.type == "boolean":
            return isinstance(value, bool)
        if self.type == "text":
            return isinstance(value, str) and (self.values is None or value in self.values)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        if self.type == "integer" and value != int(value):
            return False
        low, high, above = self.min, self.max, self.above
        return (low is None or value >= low) and (high is None or value <= high) and (above is None or value > above)


class EstimatorCode(Section):
    """estimator.py. It takes ``hyperparameters``, and those of the ``library`` to which it passes the others.

    Hyperparameters that model.yaml does not set have their ``default``; the library's are left to the library.
    ``intervals``: each predicted value of a regression comes with an interval.
    """

    library: Literal["lightgbm"] | None = None
    hyperparameters: dict[str, Hyperparameter] = {}
    intervals: bool = False

    @property
    def all_hyperparameters(self) -> dict[str, Hyperparameter]:
        return self.hyperparameters | (dict(LIGHTGBM) if self.library == "lightgbm" else {})


class MetricRange(Section):
    """The range of a metric."""

    min: float | None = None
    max: float | None = None


class EvaluationCode(Section):
    """evaluation.py: the metrics and the baselines that it adds, always all of them."""

    metrics: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,100}$")], MetricRange] = {}
    baselines: list[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,100}$")]] = []


class FeaturesCode(Section):
    """features.py: the columns that it builds from the raw tables, besides key, time and label."""

    columns: Annotated[list[str], Field(min_length=1)]


class Code(Section):
    """The modules in the model's folder; modules not named here do not exist."""

    features: FeaturesCode | None = None
    estimator: EstimatorCode | None = None
    evaluation: EvaluationCode | None = None


def _number(
    default: float,
    meaning: str,
    *,
    min: float | None = None,
    max: float | None = None,
    above: float | None = None,
) -> Hyperparameter:
    kind: Literal["integer", "number"] = "integer" if isinstance(default, int) else "number"
    return Hyperparameter(type=kind, default=default, meaning=meaning, min=min, max=max, above=above)


# What users may set, with LightGBM's defaults and limits (lightgbm.readthedocs.io, Parameters). Left out are those that
# the estimators set themselves (objective, metric, threads, determinism), and aliases.
LIGHTGBM: Mapping[str, Hyperparameter] = {
    "learning_rate": _number(0.1, "how much each tree counts", above=0, max=10),
    "num_leaves": _number(31, "leaves of a tree, at most", min=2, max=131_072),
    "max_depth": _number(-1, "depth of a tree, at most; -1: no limit", min=-1, max=1000),
    "min_data_in_leaf": _number(20, "rows in a leaf, at least", min=0, max=1_000_000_000),
    "min_sum_hessian_in_leaf": _number(1e-3, "weight of a leaf, at least", min=0),
    "feature_fraction": _number(1.0, "share of the features that each tree sees", above=0, max=1),
    "feature_fraction_bynode": _number(1.0, "share of the features that each split sees", above=0, max=1),
    "bagging_fraction": _number(1.0, "share of the rows that each tree sees", above=0, max=1),
    "lambda_l1": _number(0.0, "L1 regularisation", min=0),
    "lambda_l2": _number(0.0, "L2 regularisation", min=0),
    "linear_lambda": _number(0.0, "regularisation of linear leaves", min=0),
    "min_gain_to_split": _number(0.0, "gain of a split, at least", min=0),
    "path_smooth": _number(0.0, "how much leaves are drawn to their parents", min=0),
    "max_delta_step": _number(0.0, "output of a leaf, at most; 0: no limit"),
    "max_bin": _number(255, "bins that a feature's values are put in", min=2, max=1_000_000),
    "min_data_in_bin": _number(3, "rows in a bin, at least", min=1, max=1_000_000_000),
    "max_cat_threshold": _number(32, "categories on one side of a split, at most", min=1, max=1_000_000),
    "max_cat_to_onehot": _number(4, "categories up to which each is split off on its own", min=1, max=1_000_000),
    "min_data_per_group": _number(100, "rows of a category, at least", min=1, max=1_000_000_000),
    "cat_l2": _number(10.0, "L2 regularisation of splits by category", min=0),
    "cat_smooth": _number(10.0, "how much rare categories are drawn to the mean", min=0),
    "extra_trees": Hyperparameter(type="boolean", default=False, meaning="random thresholds of splits"),
    "seed": _number(0, "of everything that is left to chance", min=0, max=2**31 - 1),
}
TABULAR = EstimatorCode(
    library="lightgbm",
    hyperparameters={
        "num_boost_round": _number(300, "trees, at most", min=1, max=100_000),
        "early_stopping_rounds": _number(
            50, "trees without a gain on the validation split until training stops; 0: never", min=0, max=100_000
        ),
        "class_balance": _number(0.0, "0: rows weigh the same, 1: classes do", min=0, max=1),
    },
)
