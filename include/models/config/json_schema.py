"""The schema of model.yaml for editors, which then complete, explain and check it as you type.

    python -m include.models.config.json_schema [--check]

Writes ``include/models/model.schema.json``, which each model.yaml names in its first line; ``--check`` only reports
whether the file is up to date. Such a schema cannot express relations between parts of a file: ``load_model`` checks
those.
"""

from __future__ import annotations

import argparse
import json
import sys

from .model import ModelConfig
from .reading import MODELS_FOLDER

FILE = MODELS_FOLDER / "model.schema.json"
EDITOR_LINE = f"# yaml-language-server: $schema=../{FILE.name}"  # the first of a model.yaml


def schema() -> str:
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **ModelConfig.model_json_schema()}
    return json.dumps(_without_titles(content), indent=1, ensure_ascii=False) + "\n"


def _without_titles(content: object, names: bool = False) -> object:
    """Removes titles, which repeat the keys. ``names``: the keys are names in model.yaml, not words of JSON Schema."""
    if isinstance(content, list):
        return [_without_titles(one) for one in content]
    if not isinstance(content, dict):
        return content
    kept = {name: value for name, value in content.items() if names or name != "title"}
    return {
        name: _without_titles(value, names=not names and name in ("properties", "$defs"))
        for name, value in kept.items()
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is stale")
    arguments = parser.parse_args(argv)
    if not arguments.check:
        FILE.write_text(schema(), encoding="utf-8")
        return 0
    if FILE.exists() and FILE.read_text(encoding="utf-8") == schema():
        return 0
    print(f"{FILE.name} is stale: python -m include.models.config.json_schema writes it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
