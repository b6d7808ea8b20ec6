"""Run by MWAA's Python as a script, with an unpacked Airflow home: loads the plugins as the triggerer and the API
server do, which have no Dag folder on their path, imports every module and trigger, and prints one line of JSON."""

from __future__ import annotations

import contextlib
import importlib
import json
import pkgutil
import sys
import traceback
from pathlib import Path
from typing import Any

from airflow import plugins_manager
from airflow.configuration import conf
from airflow.triggers.base import BaseTrigger

folder = Path(conf.get("core", "plugins_folder"))
errors: dict[str, str] = {}
with contextlib.redirect_stdout(sys.stderr):
    plugins_manager.ensure_plugins_loaded()
    errors |= plugins_manager.get_import_errors()
    # only what is found on the path as it is: a plugin that needs the Dag folder is found out here
    for module in pkgutil.walk_packages([str(folder)]):
        try:
            importlib.import_module(module.name)
        except Exception:  # noqa: BLE001 - whatever it raises is what the check reports
            errors[module.name] = traceback.format_exc(limit=-3)


def triggers(base: type[Any]) -> list[str]:
    found = []
    for cls in base.__subclasses__():
        source = getattr(sys.modules[cls.__module__], "__file__", None) or ""
        if Path(source).is_relative_to(folder):
            found.append(f"{cls.__module__}.{cls.__qualname__}")
        found += triggers(cls)
    return found


for path in triggers(BaseTrigger):
    module_name, _, name = path.rpartition(".")
    if not hasattr(importlib.import_module(module_name), name):
        errors[path] = "the triggerer would not find this class by its path"

print(
    json.dumps(
        {
            "errors": errors,
            "triggers": sorted(set(triggers(BaseTrigger))),
            "include": sorted(name for name in sys.modules if name.split(".")[0] == "include"),
            "dag_folder_on_path": [entry for entry in sys.path if Path(entry).name == "dags"],
        }
    )
)
