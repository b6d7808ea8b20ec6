"""From a model.yaml to its checked configuration, or to an error that says what to correct."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import yaml
from pydantic import ValidationError

from .common import ConfigError, Section
from .model import ModelConfig

MODELS_FOLDER = Path(__file__).parents[1]


# read in every task and job: libyaml takes a tenth of the time where PyYAML was built with it
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_SafeLoader):  # type: ignore[misc, valid-type] # PyYAML ships no types
    """YAML that refuses a key given twice; plain YAML would let the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep)
        return mapping


def model_names(folder: Path = MODELS_FOLDER) -> list[str]:
    """Names of the model folders, sorted: every folder that holds a model.yaml."""
    return sorted(path.parent.name for path in folder.glob("*/model.yaml"))


@cache
def load_model(name: str, folder: Path = MODELS_FOLDER) -> ModelConfig:
    """The checked configuration of one model.

    Raises:
        ConfigError: the file is missing, is no YAML, or has an unknown key, a wrong type or a value out of range.
    """
    path = folder / name / "model.yaml"
    shown = f"{folder.name}/{name}/model.yaml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        known = ", ".join(model_names(folder)) or "none"
        raise ConfigError(f"{shown} does not exist. Models with a model.yaml: {known}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{shown} is no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{shown} holds {type(content).__name__}, not a mapping of keys.")
    try:
        config = ModelConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_explain(shown, error)) from None
    if config.name != name:
        raise ConfigError(f"{shown}: name is '{config.name}', but the folder is '{name}'. They must be the same.")
    return config


def _explain(shown: str, error: ValidationError) -> str:
    lines = [f"{shown} cannot be used ({error.error_count()} problem{'s' * (error.error_count() > 1)}):"]
    for problem in error.errors():
        location, section = _place(problem["loc"])
        key = ".".join(location) or "(the whole file)"
        if problem["type"] == "extra_forbidden":
            lines.append(f"  {key}: unknown key.{_suggestion(location[-1], section)}")
        elif problem["type"] == "missing":
            lines.append(f"  {key}: is missing.")
        else:
            found = "" if location == [] else f"; found {problem['input']!r}"
            lines.append(f"  {key}: {problem['msg']}{found}.")
    return "\n".join(lines)


def _place(location: tuple[int | str, ...]) -> tuple[list[str], type[Section]]:
    """The key's path as model.yaml has it, and the section that the key stands in."""
    path: list[str] = []
    sections: list[type[Section]] = [ModelConfig]
    for part in map(str, location):
        if part in (kinds := _kinds(sections)):  # pydantic puts in which kind of section was tried
            sections = [kinds[part]]
            continue
        path.append(part)
        field = next((section.model_fields[part] for section in sections if part in section.model_fields), None)
        # a part that is no field is a position or a name within the container that the last field holds
        if len(path) < len(location) and field:
            sections = list(_sections_of(field.annotation)) or sections
    return path, sections[0]


def _kinds(sections: list[type[Section]]) -> dict[str, type[Section]]:
    """The sections by the one word that each is told apart by, where several may stand in one place."""
    if len(sections) == 1:
        return {}
    words = [(get_args(field.annotation), one) for one in sections for field in one.model_fields.values()]
    return {str(allowed[0]): one for allowed, one in words if len(allowed) == 1 and isinstance(allowed[0], str)}


def _suggestion(unknown: str, section: type[Section]) -> str:
    """The known keys where an unknown one stands, the nearest first."""
    known = list(section.model_fields)
    close = difflib.get_close_matches(unknown, known, n=1)
    return f" Did you mean '{close[0]}'?" if close else f" Known here: {', '.join(known)}."


def _sections_of(annotation: object) -> Iterator[type[Section]]:
    """The sections that a field holds, alone, optional, in a container, or one of several kinds."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections_of(part)
