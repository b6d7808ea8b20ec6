"""The code and the parts of model.yaml that a result depends on, as digests by part: the common base of
``scoring_parts`` and ``training_parts``. A deploy stores them beside the code."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from include.models.config import ConfigError, ModelConfig, load_model, model_names

Parts = dict[str, str]


def parts_by_model(root: Path, parts_of: Callable[[ModelConfig], Parts | None]) -> dict[str, Parts]:
    """The parts of every model that has any; models with an invalid model.yaml are left out."""
    found = {}
    for name in model_names(root / "include" / "models"):
        try:
            parts = parts_of(load_model(name, root / "include" / "models"))
        except ConfigError:
            continue
        if parts is not None:
            found[name] = parts
    return found


def imported_files(root: Path, module: str) -> set[Path]:
    """The files of a module and of all modules in ``include`` that importing it loads, directly or indirectly."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        for file, package in files_of(root, waiting.pop()):
            if file not in found:
                found.add(file)
                waiting += _imports(file.read_text(encoding="utf-8"), package)
    return found


def files_of(root: Path, module: str) -> Iterator[tuple[Path, str]]:
    """A module's file and those of the packages it is in, each with the package that its imports are relative to."""
    names = module.split(".")
    for length in range(1, len(names) + 1):
        path = root.joinpath(*names[:length])
        if (path / "__init__.py").is_file():
            yield path / "__init__.py", ".".join(names[:length])
    if path.with_suffix(".py").is_file():
        yield path.with_suffix(".py"), ".".join(names[:-1])


@cache
def _imports(text: str, package: str) -> list[str]:
    """The modules that a file imports at top level, including names that may be modules of a package."""
    found: list[str] = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names if alias.name.startswith("include"))
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            name = ".".join([*above, *([node.module] if node.module else [])])
            if name.split(".")[0] == "include":
                found += [name, *(f"{name}.{alias.name}" for alias in node.names)]
    return found


def digest_of_files(root: Path, files: Iterable[Path]) -> str:
    """A digest over names and contents."""
    return digest_of_texts(
        f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in sorted(files)
    )


def digest_of_texts(contents: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:12]
