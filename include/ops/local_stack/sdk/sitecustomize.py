"""For Python in a shell that has sourced ``aws.env``: STS where AWS_ENDPOINT_URL says, SageMaker's SDKs included.

SDK 2 and SDK 3 spell STS's address out (``https://sts.<region>.amazonaws.com``), which overrides AWS_ENDPOINT_URL, so
that ``default_bucket`` and ``get_execution_role`` would ask the real AWS. Python imports this module at its start, from
PYTHONPATH; nothing else is imported until a program imports botocore.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

_REAL_STS = re.compile(r"https://sts\.([a-z0-9-]+\.)?amazonaws\.com(\.cn)?/?")
_MODULE = "botocore.session"


class _Finder(importlib.abc.MetaPathFinder):
    """Finds botocore.session as everybody does, and has its clients of STS asked for without a spelt-out address."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                _redirect(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _redirect(module: ModuleType) -> None:
    create = module.Session.create_client

    def create_client(self: Any, service_name: str, *arguments: Any, **options: Any) -> Any:
        if service_name == "sts" and _REAL_STS.fullmatch(options.get("endpoint_url") or ""):
            options["endpoint_url"] = None  # then AWS_ENDPOINT_URL counts
        return create(self, service_name, *arguments, **options)

    module.Session.create_client = create_client


def _run_the_next() -> None:
    """A sitecustomize of the machine's own, which this one is found before."""
    here = os.path.dirname(__file__)  # noqa: PTH120 - at every start of Python, so without pathlib
    others = [entry for entry in sys.path if os.path.abspath(entry) != here]  # noqa: PTH100
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if os.environ.get("AWS_ENDPOINT_URL"):
    sys.meta_path.insert(0, _Finder())
_run_the_next()
