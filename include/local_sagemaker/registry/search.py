"""Search: jobs, model packages and their groups by their descriptions' fields.

Form and rules: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Search.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.paging import Part, page
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import MODEL_PACKAGE, MODEL_PACKAGE_GROUP, TRAINING_JOB, Json, Kind
from include.local_sagemaker.http.routing import operation
from include.local_sagemaker.registry.model_packages import as_described
from include.local_sagemaker.registry.search_rules import check_expression, check_property

RESOURCES = {kind.title: kind for kind in (TRAINING_JOB, MODEL_PACKAGE, MODEL_PACKAGE_GROUP)}

Value = str | float | bool
_COMPARISONS: dict[str, Callable[..., bool]] = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "GreaterThan": operator.gt,
    "GreaterThanOrEqualTo": operator.ge,
    "LessThan": operator.lt,
    "LessThanOrEqualTo": operator.le,
}


@operation("Search")
def search(region: Region, request: Json) -> Json:
    """Raises ValidationException: a resource that cannot be searched here, or an invalid filter."""
    kind = _kind(request["Resource"])
    expression = request.get("SearchExpression", {})
    if "SearchExpression" in request:
        check_expression(kind, expression)
    found = [document for document in _documents(region, kind) if _matches(document, expression)]
    sort_by = request.get("SortBy", "LastModifiedTime")
    if "SortBy" in request:
        check_property(kind, sort_by)

    def position(document: Json) -> tuple[Part, ...]:
        """Without the property before any that has it, numbers before texts; the ARN makes it unique."""
        value = next(iter(_values(document, sort_by)), None)
        text, number = (value, 0.0) if isinstance(value, str) else ("", float(value or 0))
        return value is not None, text, number, document[kind.arn]

    shown, token = page(found, request, position, descending=request.get("SortOrder") != "Ascending")
    return {
        "Results": [{request["Resource"]: document} for document in shown],
        "NextToken": token,
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
    }


def _kind(resource: str) -> Kind:
    if resource not in RESOURCES:
        raise ValidationException(
            f"The local SageMaker does not search the resource {resource}; it searches {', '.join(RESOURCES)}."
        )
    return RESOURCES[resource]


def _documents(region: Region, kind: Kind) -> Iterator[Json]:
    for document in region.iterate(kind):
        tags = region.service.store.tags(document[kind.arn])
        shown = as_described(document) if kind is MODEL_PACKAGE else document
        yield {**{key: value for key, value in shown.items() if key[0] != "_"}, "Tags": tags}


def _matches(document: Json, expression: Json) -> bool:
    answers = [
        *(_holds(document, one) for one in expression.get("Filters", ())),
        *(_nested(document, one) for one in expression.get("NestedFilters", ())),
        *(_matches(document, one) for one in expression.get("SubExpressions", ())),
    ]
    if not answers:
        return True
    return any(answers) if expression.get("Operator") == "Or" else all(answers)


def _nested(document: Json, nested: Json) -> bool:
    """Whether one object of a list meets all filters. Their names may include the list's, as in AWS's examples."""
    name = nested["NestedPropertyName"]
    filters = [{**one, "Name": one["Name"].removeprefix(f"{name}.")} for one in nested["Filters"]]
    return any(all(_holds(item, one) for one in filters) for item in _objects(document, name.split(".")))


def _objects(value: object, path: list[str]) -> Iterator[Json]:
    if isinstance(value, list):
        for item in value:
            yield from _objects(item, path)
    elif isinstance(value, dict):
        if not path:
            yield value
        elif path[0] in value:
            yield from _objects(value[path[0]], path[1:])


def _holds(document: Json, one: Json) -> bool:
    values, wanted, word = (
        list(_values(document, one["Name"])),
        one.get("Value", ""),
        str(one.get("Operator", "Equals")),
    )
    if word in ("Exists", "NotExists"):
        return bool(values) == (word == "Exists")
    if word == "NotEquals":
        return not any(_compared("Equals", value, wanted) for value in values)
    if word == "In":
        return any(_compared("Equals", value, each.strip()) for value in values for each in wanted.split(","))
    return any(_compared(word, value, wanted) for value in values)


def _compared(word: str, value: Value, wanted: str) -> bool:
    """As numbers if both are (hyperparameters and metadata store numbers as texts), otherwise as texts."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if word == "Contains":
        return wanted.lower() in text.lower()
    left, right = _as_number(text), _as_number(wanted)
    if left is None or right is None:
        return _COMPARISONS[word](text, wanted)
    return _COMPARISONS[word](left, right)


def _as_number(text: str) -> float | None:
    """A number, or a moment as epoch seconds, as in documents."""
    for read in (float, lambda moment: datetime.fromisoformat(moment).timestamp()):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _values(value: object, name: str) -> Iterable[Value]:
    """Every value that a document has at a dotted name; ``Tags.<key>`` and ``Metrics.<name>`` look into lists."""
    head, _, rest = name.partition(".")
    if isinstance(value, list):
        for item in value:
            yield from _values(item, name)
    elif isinstance(value, dict):
        if name in value:
            yield from _leaves(value[name])
        elif head in value and rest:
            if head == "Tags":
                yield from (tag["Value"] for tag in value[head] if tag["Key"] == rest)
            else:
                yield from _values(value[head], rest)
        elif head == "Metrics":
            yield from (item["Value"] for item in value.get("FinalMetricDataList", ()) if item["MetricName"] == rest)


def _leaves(value: object) -> Iterable[Value]:
    if isinstance(value, str | int | float):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
