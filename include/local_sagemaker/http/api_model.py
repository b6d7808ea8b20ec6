"""Validates requests and responses against botocore's model of the SageMaker API."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterable, Iterator

import botocore.session
import regex
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from include.local_sagemaker.core.errors import SerializationException, ValidationException
from include.local_sagemaker.core.store import Json, JsonValue

_JAVA_TYPES: dict[type, str] = {bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "NUMBER_VALUE", str: "STRING_VALUE"}
_WANTED: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "String"),
    "integer": ((int,), "Integer"),
    "long": ((int,), "Long"),
    "float": ((int, float), "Float"),
    "double": ((int, float), "Double"),
    "boolean": ((bool,), "Boolean"),
    "timestamp": ((int, float, str), "Timestamp"),
    "blob": ((str,), "Blob"),
    "structure": ((dict,), "structure"),
    "map": ((dict,), "map"),
    "list": ((list,), "list"),
}


@functools.cache
def _service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


@functools.cache
def operation_model(name: str) -> OperationModel:
    """Of SageMaker's API, or of its runtime's (InvokeEndpoint)."""
    runtime = _service("sagemaker-runtime")
    return (runtime if name in runtime.operation_names else _service("sagemaker")).operation_model(name)


def shape(name: str) -> Shape:
    """The model's shape with this name, such as a resource in a Search answer."""
    return _service("sagemaker").shape_for(name)


def operation_names() -> list[str]:
    """Every operation of SageMaker's API, supported here or not."""
    return list(_service("sagemaker").operation_names)


def parse_request(operation: str, request: Json) -> Json:
    """The request without members that the API does not know.

    Raises SerializationException for a wrong JSON type and ValidationException, with every violation in it, for a
    value outside the model's constraints; both in AWS's words.
    """
    shape = operation_model(operation).input_shape
    if shape is None:
        return {}
    pruned = _prune_members(shape, request, "")
    violations = list(_violations(shape, pruned, ""))
    if violations:
        count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected"
        raise ValidationException(f"{count}: {'; '.join(violations)}")
    return pruned


def render_response(operation: str, response: Json) -> Json:
    """The members of `response` that the operation's output has; private and internal fields are dropped."""
    shape = operation_model(operation).output_shape
    return {} if shape is None else _render_members(shape, response)


def _member_path(path: str, name: str) -> str:
    name = name[:1].lower() + name[1:]
    return f"{path}.{name}" if path else name


def _prune(shape: Shape, value: JsonValue, path: str) -> JsonValue:
    types, title = _WANTED[shape.type_name]
    if not isinstance(value, types) or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise SerializationException(_mismatch(value, title, path))
    match shape, value:
        case StructureShape(), dict():
            return _prune_members(shape, value, path)
        case MapShape(), dict():
            return {key: _prune(shape.value, item, f"{path}.{key}") for key, item in value.items() if item is not None}
        case ListShape(), list():
            members = enumerate(value, 1)
            return [_prune(shape.member, item, f"{path}.{i}.member") for i, item in members if item is not None]
    return value


def _prune_members(shape: StructureShape, value: Json, path: str) -> Json:
    members = shape.members
    return {
        name: _prune(members[name], item, _member_path(path, name))
        for name, item in value.items()
        if name in members and item is not None
    }


def _mismatch(value: JsonValue, wanted: str, path: str) -> str:
    where = f" (at '{path}')" if path else ""
    if isinstance(value, dict | list):
        return f"Start of {'structure or map' if isinstance(value, dict) else 'list'} found where not expected.{where}"
    if wanted in {"structure", "map", "list"}:
        return f"Unexpected field type: a {wanted} was expected.{where}"
    return f"{_JAVA_TYPES[type(value)]} can not be converted to {'an' if wanted[0] == 'I' else 'a'} {wanted}{where}"


def _violations(shape: Shape, value: JsonValue, path: str) -> Iterator[str]:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        for name in shape.required_members:
            if name not in value:
                yield _violation("null", _member_path(path, name), "Member must not be null")
        for name, item in value.items():
            yield from _violations(shape.members[name], item, _member_path(path, name))
        return
    shown = f"'{_java(value)}'"
    for constraint in filter(None, (check(shape, value) for check in _CHECKS)):
        yield _violation(shown, path, constraint)
    match shape, value:
        case MapShape(), dict():
            yield from _member_violations("Map keys", shape.key, value, shown, path)
            yield from _member_violations("Map value", shape.value, value.values(), shown, path)
        case ListShape(), list():
            yield from _member_violations("Member", shape.member, value, shown, path)


def _member_violations(what: str, shape: Shape, members: Iterable[JsonValue], shown: str, path: str) -> Iterator[str]:
    """Violations of the members of a list or map. For simple members AWS reports the collection as a whole, with all
    constraints of a member."""
    if shape.type_name in {"structure", "list", "map"}:
        for index, member in enumerate(members, 1):
            yield from _violations(shape, member, f"{path}.{index}.member")
    elif any(check(shape, member) for member in members for check in _CHECKS):
        yield _violation(shown, path, f"{what} must satisfy constraint: [{', '.join(_constraints(shape))}]")


def _violation(shown: str, path: str, constraint: str) -> str:
    return f"Value {shown} at '{path}' failed to satisfy constraint: {constraint}"


def _constraints(shape: Shape) -> Iterator[str]:
    noun = "length" if shape.type_name in {"string", "list", "map"} else "value"
    if "max" in shape.metadata:
        yield f"Member must have {noun} less than or equal to {shape.metadata['max']}"
    if "min" in shape.metadata:
        yield f"Member must have {noun} greater than or equal to {shape.metadata['min']}"
    if "pattern" in shape.metadata:
        yield f"Member must satisfy regular expression pattern: {shape.metadata['pattern']}"
    if "enum" in shape.metadata:
        yield f"Member must satisfy enum value set: [{', '.join(shape.metadata['enum'])}]"


def _java(value: JsonValue) -> str:
    """A collection as Java prints it, which is what AWS's messages show."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_java(item) for item in value) + "]"
    return str(value)


def _check_enum(shape: Shape, value: JsonValue) -> str | None:
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        return f"Member must satisfy enum value set: [{', '.join(allowed)}]"
    return None


def _check_min(shape: Shape, value: JsonValue) -> str | None:
    least = shape.metadata.get("min")
    if least is None:
        return None
    if isinstance(value, str | list | dict):
        return f"Member must have length greater than or equal to {least}" if len(value) < least else None
    below = isinstance(value, int | float) and value < least
    return f"Member must have value greater than or equal to {least}" if below else None


def _check_max(shape: Shape, value: JsonValue) -> str | None:
    most = shape.metadata.get("max")
    if most is None:
        return None
    if isinstance(value, str | list | dict):
        return f"Member must have length less than or equal to {most}" if len(value) > most else None
    above = isinstance(value, int | float) and value > most
    return f"Member must have value less than or equal to {most}" if above else None


def _check_pattern(shape: Shape, value: JsonValue) -> str | None:
    pattern = shape.metadata.get("pattern")
    if not pattern or not isinstance(value, str):
        return None
    if _compile(pattern).fullmatch(value, timeout=1.0):
        return None
    return f"Member must satisfy regular expression pattern: {pattern}"


_CHECKS: tuple[Callable[[Shape, JsonValue], str | None], ...] = (_check_enum, _check_min, _check_max, _check_pattern)


@functools.cache
def _compile(pattern: str) -> regex.Pattern[str]:
    """The model's Java pattern. A test compiles all of them."""
    # "(...)*${1,256}" repeats the end of input, which Java accepts and Python does not
    translated = regex.sub(r"\$\{\d+,\d+\}", "", pattern)
    # pairs of UTF-16 surrogates are one character each in Python
    return regex.compile(translated.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF"))


def _render(shape: Shape, value: JsonValue | bytes) -> JsonValue:
    match shape, value:
        case StructureShape(), dict():
            return _render_members(shape, value)
        case ListShape(), list():
            return [_render(shape.member, item) for item in value]
        case MapShape(), dict():
            return {key: _render(shape.value, item) for key, item in value.items()}
        case Shape(type_name="timestamp"), int() | float() | str():
            return round(float(value), 3)
        case _, bytes():
            return base64.b64encode(value).decode("ascii")
        case _:
            return value


def _render_members(shape: StructureShape, value: Json) -> Json:
    members = shape.members
    return {name: _render(members[name], item) for name, item in value.items() if name in members and item is not None}
