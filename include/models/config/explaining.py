"""Problems of a model's files in words, each with its file and line. Lines are looked up only if there is a problem:
the file is then read once more, as a tree with positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import get_args

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .common import CRON, DAILY, FORMAT, INSTANCE_TYPE, SLICE, TABLE_FILE, TOPIC, UNIT, ConfigError, Section
from .names import ALLOWED, NAME
from .names import nearest as nearest_name
from .problems import Path as KeyPath
from .problems import Problem, nearest, number_hint

LONGEST_SHOWN = 80  # characters of what was found
A_TEXT = "constrained-str"
# what patterns mean
SUCH_AS = {
    CRON: "a cron expression of five fields, such as 0 4 * * 1 (Mondays at 4:00 UTC)",
    DAILY: "a minute and an hour of each day, such as 30 2 * * * (at 2:30 UTC)",
    NAME: ALLOWED,
    INSTANCE_TYPE: "an instance type of SageMaker, such as ml.m5.large",
    TABLE_FILE: "a file name without folders that ends in .csv, .tsv, .txt, .data or .xlsx (.gz is never named)",
    UNIT: "the text beside the number, such as € or kWh, without digits or marks of a number at its start",
    SLICE: "a name of letters, digits and _, a letter first, 39 at most: give it one, and name the column in column",
    TOPIC: "a name of letters, digits, dots, _ and -, 200 at most",
    FORMAT: (
        "strptime's letters, such as %d.%m.%Y %H:%M for 31.01.2024 15:30 (%Y: 2024, %m: month, %d: day, %H: hour, %M: "
        "minute), or epoch, epoch_ms, epoch_us, epoch_ns, excel_days"
    ),
}
SAID = {
    "missing": "is missing.",
    "invalid_key": "is read as a key: within { } a comma ends a value, so write 0.5, not 0,5. Quote a key of digits.",
}
# the types that pydantic tried for a value, which it reports like keys below it
TRIED = {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}


def refusal(folder: Path, problems: Iterable[Problem]) -> ConfigError:
    """The error with all problems of a model's folder, one per line."""
    trees: dict[str, yaml.Node | None] = {}
    lines: list[str] = []
    for one in problems:
        if one.file not in trees:
            trees[one.file] = _tree(folder / one.file)
        place = f"{_shown(folder)}/{one.file}:{_line(trees[one.file], one.path)}"
        key = ".".join(map(str, one.path))
        lines.append(f"{place}: {key}: {one.message}" if key else f"{place}: {one.message}")
    lines = list(dict.fromkeys(lines))
    if len(lines) == 1:
        return ConfigError(lines[0])
    return ConfigError("\n  ".join([f"{_shown(folder)} is invalid ({len(lines)} problems):", *lines]))


def syntax_refusal(path: Path, text: str, error: Exception) -> ConfigError:
    line, why = 1, str(error)
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        why = " ".join(filter(None, (error.context, error.problem)))
        why += f", in column {mark.column + 1}" if mark else ""
    elif isinstance(error, yaml.reader.ReaderError):
        line, why = text.count("\n", 0, error.position) + 1, f"{error.reason}: {chr(error.character)!r}"
    return ConfigError(f"{_shown(path.parent)}/{path.name}:{line}: is not valid YAML: {why}.")


def encoding_refusal(path: Path, error: UnicodeDecodeError) -> ConfigError:
    line = error.object.count(b"\n", 0, error.start) + 1
    return ConfigError(
        f"{_shown(path.parent)}/{path.name}:{line}: is not UTF-8: the byte 0x{error.object[error.start]:02x}. "
        "Save the file as UTF-8."
    )


def schema_problems(error: ValidationError, whole: type[Section]) -> Iterator[Problem]:
    """The problems that pydantic found, reworded where that is clearer."""
    tried: dict[KeyPath, list[str]] = {}
    errors = list(_as_given(error.errors()))
    for problem in errors:
        if problem["loc"] and problem["loc"][-1] in TRIED:
            tried.setdefault(problem["loc"][:-1], []).append(str(problem["loc"][-1]))
    for problem in errors:
        if problem["loc"][:-1] in tried and problem["loc"][-1] in TRIED:
            members = tried[problem["loc"][:-1]]
            words = [TRIED[one] for one in members if one != "int" or "float" not in members]
            found = _found({**problem, "type": "union"})  # the same for each type, so that it is said once
            yield Problem(_place(problem["loc"][:-1], whole)[0], f"allowed is {' or '.join(words)}{found}.")
            continue
        if problem["loc"] and problem["loc"][-1] == "[key]" and problem["type"] == "string_type":
            message = f"a key is read as {problem['input']!r}: quote it to make it a text."
            yield Problem(_place(problem["loc"][:-2], whole)[0], message)
            continue
        path, section = _place(problem["loc"], whole)
        if problem["type"] == "extra_forbidden":
            yield Problem(path, f"unknown key. {nearest(str(path[-1]), section.model_fields)}")
        elif said := SAID.get(problem["type"]):
            yield Problem(path, said)
        elif problem["type"] == "problem":
            yield Problem(path, problem["msg"])
        elif problem["type"] == "string_pattern_mismatch" and problem["ctx"]["pattern"] in SUCH_AS:
            yield Problem(path, f"allowed is {SUCH_AS[problem['ctx']['pattern']]}{_found(problem)}.")
        else:
            yield Problem(path, f"{problem['msg'].removeprefix('Value error, ')}{_found(problem)}.")


def _as_given(errors: Iterable[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Drops what follows from another error, and for a text or a list of texts keeps only the error of the given
    form."""
    neither, told = dict[KeyPath, ErrorDetails](), list[KeyPath]()
    for problem in errors:
        location = problem["loc"]
        union = next((part for part in location if part == A_TEXT or str(part).startswith("list[")), None)
        place = tuple(part for part in location if part != union)
        if problem["type"] == "default_factory_not_called":
            continue
        if problem["type"] in ("list_type", "string_type") and union is not None and location[-1] == union:
            neither[place] = problem
            continue
        told.append(place)
        yield {**problem, "loc": place}
    for place, problem in neither.items():
        if not any(one[: len(place)] == place for one in told):
            yield {**problem, "loc": place, "msg": "Input should be a text or a list of texts"}


def _shown(folder: Path) -> str:
    """A model's folder relative to the project: the last three parts, include/models/<model>."""
    return "/".join(folder.parts[-3:])


def _found(problem: ErrorDetails) -> str:
    """What was found, shortened; empty for a whole section."""
    given, wanted = problem["input"], problem["type"]
    if isinstance(given, dict):
        return ""
    text = str(given) if isinstance(given, date) else repr(given)
    if problem["msg"].endswith(f"found {text}"):
        return ""
    text = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
    hint = ""
    if wanted == "string_type" and isinstance(given, bool | int | float):
        hint = ": quote it to make it a text"
    elif wanted in ("int_type", "float_type") and isinstance(given, str):
        hint = number_hint(given)
    elif wanted == "string_pattern_mismatch" and problem["ctx"]["pattern"] == NAME:
        hint = f". The nearest name is '{nearest_name(given)}'"
    return f"; found {text}{hint}"


def _tree(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return None  # a problem of the whole file


def _line(tree: yaml.Node | None, path: KeyPath) -> int:
    """The line of the key or item at the path, or of its last existing part; 1 for the whole file."""
    node, line = tree, 0
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if str(key.value) == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _place(location: tuple[int | str, ...], whole: type[Section]) -> tuple[KeyPath, type[Section]]:
    """The key's path in model.yaml, and the section that contains it."""
    path: list[int | str] = []
    sections: list[type[Section]] = [whole]
    for part in location:
        if part in (kinds := _kinds(sections)):  # pydantic inserts the kind of section that it tried
            sections = [kinds[str(part)]]
            continue
        path.append(part)
        field = next((section.model_fields[str(part)] for section in sections if part in section.model_fields), None)
        # a part that is not a field is a position or a name in the container of the last field
        if len(path) < len(location) and field:
            sections = list(_sections_of(field.annotation)) or sections
    return tuple(path), sections[0]


def _kinds(sections: list[type[Section]]) -> dict[str, type[Section]]:
    """The sections by their discriminator, if several are possible in one place."""
    if len(sections) == 1:
        return {}
    words = [(get_args(field.annotation), one) for one in sections for field in one.model_fields.values()]
    return {str(allowed[0]): one for allowed, one in words if len(allowed) == 1 and isinstance(allowed[0], str)}


def _sections_of(annotation: object) -> Iterator[type[Section]]:
    """The sections in a field: alone, optional, in a container, or one of several kinds."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_of(part)
