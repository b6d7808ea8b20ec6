"""Reads a model's folder into its checked configuration, or fails with an error that says what to correct."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from . import names
from .code import Code
from .common import ConfigError
from .explaining import encoding_refusal, refusal, schema_problems, syntax_refusal
from .model import ModelConfig
from .problems import Problem
from .suites import suite_problems

MODELS_FOLDER = Path(__file__).parents[1]


# used in every task and job: libyaml takes a tenth of the time, if PyYAML was built with it
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_SafeLoader):  # type: ignore[misc, valid-type] # PyYAML ships no types
    """YAML that refuses duplicate keys; plain YAML lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key that is not a text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' twice", key.start_mark)
            seen.add(key.value)
        mapping: dict[Hashable, object] = super().construct_mapping(node, deep)
        return mapping


def _with_line(tag: str) -> None:
    """Turns an impossible value of the tag (2024-13-45) into an error with its line."""
    construct = _SafeLoader.yaml_constructors[tag]

    def constructed(loader: yaml.SafeLoader, node: yaml.Node) -> object:
        try:
            return construct(loader, node)
        except (ValueError, IndexError) as error:  # the latter of "!!int" without a value
            why = str(error) if isinstance(error, ValueError) else "a value that is empty"
            raise yaml.constructor.ConstructorError(None, None, why, node.start_mark) from None

    _UniqueKeyLoader.add_constructor(tag, constructed)


for _tag in ("timestamp", "int", "float"):
    _with_line(f"tag:yaml.org,2002:{_tag}")


def model_names(folder: Path = MODELS_FOLDER) -> list[str]:
    """Names of the model folders, sorted: every folder that holds a model.yaml."""
    return sorted(path.parent.name for path in folder.glob("*/model.yaml"))


@cache
def load_model(name: str, folder: Path = MODELS_FOLDER) -> ModelConfig:
    """The checked configuration of one model, its hyperparameters with their defaults.

    Raises:
            ConfigError: the file is missing, is not YAML, has an unknown key, a wrong type, a value out of range or an
                unknown name, or does not match the folder. Each problem has file, line and key.
    """
    home = folder / name
    content = _read(home / "model.yaml", folder)
    if not isinstance(content, dict):
        found = "is empty" if content is None else f"holds a {type(content).__name__}"
        raise refusal(home, [Problem((), f"{found}: it must be a mapping of keys.")])
    of_the_folder = list(_folder_problems(content, home))
    try:
        config = ModelConfig.model_validate(content)
    except ValidationError as error:
        raise refusal(home, [*of_the_folder, *schema_problems(error, ModelConfig)]) from None
    if problems := [*of_the_folder, *suite_problems(config, home)]:
        raise refusal(home, problems)
    return config.with_defaults()


def _read(path: Path, folder: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(model_names(folder)) or "none"
        raise ConfigError(f"{'/'.join(path.parts[-4:])} does not exist. Models with a model.yaml: {known}.") from None
    except UnicodeDecodeError as error:
        raise encoding_refusal(path, error) from None
    try:
        content: object = yaml.load(text, _UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise syntax_refusal(path, text, error) from None
    return content


def _folder_problems(content: Mapping[str, object], home: Path) -> Iterator[Problem]:
    """A wrong name, and undeclared modules. (Airflow's machines do not have the modules.)"""
    if isinstance(name := content.get("name"), str) and name != home.name:
        yield Problem(("name",), f"name is '{name}', but the folder is '{home.name}'. They must be the same.")
        if why := names.refusal(home.name):
            yield Problem((), f"the folder '{home.name}' has a name that no model can have: {why}.")
    code = content.get("code")
    for part in Code.model_fields:
        if (home / f"{part}.py").exists() and part not in (code if isinstance(code, dict) else {}):
            yield Problem(
                ("code",),
                f"{part}.py exists, but code.{part}, which says what it expects and provides, is missing. Add it.",
            )
