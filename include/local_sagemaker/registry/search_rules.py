"""What a search may use: a resource's properties, and the operators that their types allow.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Filter.html
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_SearchExpression.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from botocore.model import ListShape, MapShape, Shape, StructureShape

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.store import TRAINING_JOB, Json, Kind
from include.local_sagemaker.http import api_model

DEEPEST = 3  # expressions within expressions
MOST_CONDITIONS = 50
_ORDERED = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo")
_OF_TEXTS = ("Contains", "In")
_OF_NUMBERS = ("integer", "long", "float", "double", "timestamp", "boolean")


def check_expression(kind: Kind, expression: Json) -> None:
    """Raises ValidationException: it is empty, too large, or uses an operator that the property's type does not
    allow."""
    conditions = list(_conditions(expression, 1))
    if len(conditions) > MOST_CONDITIONS:
        raise ValidationException(f"SearchExpression has {len(conditions)} conditions; {MOST_CONDITIONS} are allowed.")
    contains = Counter(name for name, one in conditions if one.get("Operator") == "Contains")
    for name, one in conditions:
        _check_filter(kind, name, one)
        if contains[name] > 1:
            raise ValidationException(f"SearchExpression can include only one Contains for {name}.")


def _conditions(expression: Json, depth: int) -> Iterator[tuple[str, Json]]:
    """Every filter with its property's full name."""
    if depth > DEEPEST:
        raise ValidationException(f"SearchExpression is nested more than {DEEPEST} levels deep.")
    if not any(expression.get(key) for key in ("Filters", "NestedFilters", "SubExpressions")):
        raise ValidationException(
            "SearchExpression must provide at least one of Filters, NestedFilters and SubExpressions."
        )
    for one in expression.get("Filters", ()):
        yield one["Name"], one
    for nested in expression.get("NestedFilters", ()):
        prefix = f"{nested['NestedPropertyName']}."
        for one in nested["Filters"]:
            yield prefix + one["Name"].removeprefix(prefix), one
    for inner in expression.get("SubExpressions", ()):
        yield from _conditions(inner, depth + 1)


def _check_filter(kind: Kind, name: str, one: Json) -> None:
    word = one.get("Operator", "Equals")
    asks_for_value = word not in ("Exists", "NotExists")
    if asks_for_value == ("Value" not in one):
        raise ValidationException(
            f"The filter on {name} with {word} {'needs a' if asks_for_value else 'takes no'} Value."
        )
    type_name = check_property(kind, name)
    if type_name == "string" and word in _ORDERED:
        raise ValidationException(f"The operator {word} is not supported for the text property {name}.")
    if type_name in _OF_NUMBERS and word in _OF_TEXTS:
        raise ValidationException(f"The operator {word} is supported for text properties only, not for {name}.")


def check_property(kind: Kind, name: str) -> str:
    """The type of a property by the API's model, "any" for names that people choose: hyperparameters, tags, metrics.

    Raises:
        ValidationException: the resource has no such property.
    """
    if kind is TRAINING_JOB and name.startswith("Metrics."):
        return "any"
    found = _type(api_model.shape(kind.title), name)
    if found is None:
        raise ValidationException(f"Unknown property name: {name}. The resource {kind.title} has no such property.")
    return found


def _type(shape: Shape, name: str) -> str | None:
    while isinstance(shape, ListShape):
        shape = shape.member
    if not name:
        return str(shape.type_name)
    if isinstance(shape, MapShape) or shape.name == "Tag":
        return "any"
    head, _, rest = name.partition(".")
    if not isinstance(shape, StructureShape) or head not in shape.members:
        return None
    return _type(shape.members[head], rest)
