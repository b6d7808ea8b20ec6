"""The tests' environment: an empty Airflow home and no AWS endpoint, never the user's."""

from __future__ import annotations

import atexit
import contextlib
import functools
import inspect
import os
import re
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-tests-")
os.environ.pop("AWS_ENDPOINT_URL", None)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(Path(__file__).resolve().parents[1] / "plugins")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

with contextlib.suppress(ImportError):  # not in every environment
    import hypothesis

    hypothesis.settings.register_profile("busy", deadline=None)  # a busy machine is not a failure
    hypothesis.settings.load_profile("busy")

# A repository made from the template may keep only some of the example models. Tests that name a missing one are left
# out, and the end of the run says how many. predictive_maintenance is always kept.
ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ("machine_downtime", "abalone_age", "electricity", "tabular_classifier")
GONE = re.compile("|".join(name for name in EXAMPLES if not (ROOT / "include" / "models" / name).is_dir()) or "(?!)")
_left_out: list[str] = []


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    if collection_path.suffix != ".py" or collection_path.name == "conftest.py" or not names_gone(collection_path):
        return None
    _left_out.append(str(collection_path.relative_to(ROOT)))
    return True


@functools.cache
def names_gone(path: Path) -> bool:
    """Whether constants of a file name a missing model, or those of a test file that it imports from."""
    lines = [one for one in path.read_text(encoding="utf-8").splitlines() if re.match(r"[A-Z_, ]+ = |from ", one)]
    imported = [ROOT / f"{one.split()[1].replace('.', '/')}.py" for one in lines if one.startswith("from tests.")]
    return any(GONE.search(one) for one in lines) or any(names_gone(one) for one in imported if one.is_file())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def is_gone(item: pytest.Item) -> bool:
        function = getattr(item, "function", None)
        return bool(GONE.search(item.name) or (function and GONE.search(inspect.getsource(function))))

    gone = [item for item in items if is_gone(item)]
    if gone:
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]
        _left_out.extend(item.nodeid for item in gone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test with a helper or a fixture that looks for a missing model's files is left out too."""
    report = yield
    error = call.excinfo and call.excinfo.value
    if error and GONE.search(str(error)) and re.search("does not exist|No such file", str(error)):
        report.outcome, report.longrepr = "skipped", (str(item.path), 0, "for a model that is not here")
        _left_out.append(item.nodeid)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _left_out:
        terminalreporter.write_line(f"left out, for models that are not here: {len(_left_out)}: {', '.join(_left_out)}")
