"""A damaged model.yaml is read, or refused with the file and the line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import yaml
from hypothesis import strategies as st

from include.models.config import MODELS_FOLDER, ConfigError, load_model, model_names
from tests.fuzz.examples import JSON, attempt, damaged, fuzz

FRAGMENTS = [
    b":",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"'",
    b"#",
    b"\t",
    b"  ",
    b"\n",
    b"&a ",
    b"*a",
    b"!!int ",
    b"|",
]
FRAGMENTS += [
    b"\xff",
    b"\0",
    b"null",
    b"true",
    b"1",
    b"-1",
    b"1e999",
    b".nan",
    b"2024-13-45",
    b"max",
    b"min",
    b"number",
]
FRAGMENTS += [
    b"<<<<<<< HEAD\n",
    b"<<: *a",
    b"? ",
    b"---\n",
    b"%YAML 1.2\n",
    b"string",
    b"0.5",
    b"classes",
    b"ml.m5.large",
]


def test_model_yaml(tmp_path: Path) -> None:
    texts = {name: (MODELS_FOLDER / name / "model.yaml").read_bytes() for name in model_names()}
    folders = tmp_path / "include" / "models"
    for name in texts:
        shutil.copytree(MODELS_FOLDER / name, folders / name, ignore=shutil.ignore_patterns("__pycache__"))

    def check(example: tuple[str, bytes]) -> None:
        name, content = example
        (folders / name / "model.yaml").write_bytes(content)
        load_model.cache_clear()
        _, error = attempt(lambda: load_model(name, folders), ConfigError)
        load_model.cache_clear()
        assert error is None or re.search(rf"include/models/{name}/[\w./]+:\d+: ", str(error)), str(error)

    broken = [st.tuples(st.just(name), damaged(st.just(text), FRAGMENTS)) for name, text in texts.items()]
    replaced = [st.tuples(st.just(name), with_another_value(text)) for name, text in texts.items()]
    fuzz("model.yaml", st.one_of(*broken, *replaced), check)


def with_another_value(text: bytes) -> st.SearchStrategy[bytes]:
    """The same document with any JSON in place of one of its values: a plausible mistake of the wrong type."""
    document = yaml.safe_load(text)
    paths = list(_paths(document))

    def replaced(path: tuple[str | int, ...], value: object) -> bytes:
        copy = json.loads(json.dumps(document, default=str))
        place = copy
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        return yaml.safe_dump(copy, allow_unicode=True).encode()

    return st.builds(replaced, st.sampled_from(paths), JSON)


def _paths(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return ([path] if path else []) + [one for key, each in inner for one in _paths(each, (*path, key))]
