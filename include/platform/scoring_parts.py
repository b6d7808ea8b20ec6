"""What a day's scores are made of beside its raw data and the version: exactly the code and configuration that scoring
reads, by part. So an edited gate, or another model's folder, leaves a scored day as it is.

Parts: ``code``, the shared modules that ``score_day`` imports; ``code of the features``, the model's own;
``expectations``, the suites of the tables that are scored; sections of model.yaml, as far as they bear on scores. The
version's model is answered by its own code, which the version stands for.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from include.models.config import ConfigError, ModelConfig, load_model, model_names

PROGRAM = "include.jobs.score_day"
ANSWERING = "include.jobs.daily.answering"  # run by its path; what it imports is the code of the version
# of the section ``scoring``: on what and when it is done, which does not change what comes out
HOW = {
    *("instance_type", "instance_count", "volume_gb", "max_runtime_minutes", "wait_hours", "sweep_days"),
    *("one_job_mb", "chunk_mb", "max_payload_mb"),
}


def parts_of_models(root: Path) -> dict[str, dict[str, str]]:
    """The parts, as digests, by model; none of a model that is not scored daily or whose model.yaml cannot be used."""
    answering = {file for file, _ in _files(root, ANSWERING)}
    code = _digest(_contents(root, imported_files(root, PROGRAM) | answering))
    found = {}
    for name in model_names(root / "include" / "models"):
        try:
            model = load_model(name, root / "include" / "models")
        except ConfigError:
            continue
        if model.scoring is not None:
            found[name] = {"code": code, **_own_parts(root, model)}
    return found


def _own_parts(root: Path, model: ModelConfig) -> dict[str, str]:
    scoring, folder = model.daily_scoring, root / "include" / "models" / model.name
    names = sorted(f"{table}{ending}.json" for table in scoring.tables for ending in ("", "_continuity"))
    suites = [folder / "expectations" / name for name in names]
    data = model.data.model_copy(update={"tables": {name: model.data.tables[name] for name in scoring.tables}})
    own = imported_files(root, f"include.models.{model.name}.features")
    return {
        "code of the features": _digest(_contents(root, (file for file in own if file.is_relative_to(folder)))),
        "expectations": _digest(_contents(root, filter(Path.is_file, suites))),
        "model.yaml (data)": _digest([data.model_dump_json()]),
        "model.yaml (problem)": _digest([model.problem]),
        "model.yaml (features)": _digest([model.features.model_dump_json()]),
        "model.yaml (scoring)": _digest([scoring.model_dump_json(exclude=HOW)]),
    }


def imported_files(root: Path, module: str) -> set[Path]:
    """The file of a module and of all of ``include`` that it imports when it is imported itself, directly or not."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        for file, package in _files(root, waiting.pop()):
            if file not in found:
                found.add(file)
                waiting += _imports(file, package)
    return found


def _files(root: Path, module: str) -> Iterator[tuple[Path, str]]:
    """A module's file and those of the packages it is in, each with the package that its imports are relative to."""
    names = module.split(".")
    for length in range(1, len(names) + 1):
        path = root.joinpath(*names[:length])
        if (path / "__init__.py").is_file():
            yield path / "__init__.py", ".".join(names[:length])
    if path.with_suffix(".py").is_file():
        yield path.with_suffix(".py"), ".".join(names[:-1])


def _imports(file: Path, package: str) -> Iterator[str]:
    """The modules that a file names at its top; with names that may be modules of a package."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("include"))
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: 1 - node.level or None] if node.level else []
            name = ".".join([*above, *([node.module] if node.module else [])])
            if name.split(".")[0] == "include":
                yield name
                yield from (f"{name}.{alias.name}" for alias in node.names)


def _contents(root: Path, files: Iterable[Path]) -> list[str]:
    return [f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in sorted(files)]


def _digest(contents: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:12]
