"""The README's table of Dags, from the Dags themselves.

    python -m include.ops.local_stack.dag_table [--check] README.md

It stands between the markers ``<!-- dags -->`` and ``<!-- /dags -->``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
BEGIN, END = "<!-- dags -->", "<!-- /dags -->"


class TableError(RuntimeError):
    """No table can be made or placed; the message says why."""


def table() -> str:
    """One row per Dag: id, schedule in UTC, what it does, owner.

    Raises:
        TableError: a Dag file cannot be imported, or there is no Dag.
    """
    with tempfile.TemporaryDirectory() as home:
        # set before the import, which reads it: the person's own Airflow home is left alone
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(ROOT / "dags")
    if bag.import_errors or not bag.dags:
        raise TableError(f"the Dag folder has no Dags or has errors: {bag.import_errors}")
    rows = ["| Dag | schedule (UTC) | what it does | owner |", "|---|---|---|---|"]
    for dag in sorted(bag.dags.values(), key=lambda dag: str(dag.dag_id)):
        rows.append(f"| `{dag.dag_id}` | {_when(dag.schedule)} | {dag.description} | {dag.owner} |")
    return "\n".join(rows)


def _when(schedule: Any) -> str:
    if isinstance(schedule, list):  # of Assets
        return ", ".join(f"on `{asset.name}`" for asset in schedule)
    expression = getattr(schedule, "summary", None) or getattr(schedule, "expression", None)
    return f"`{expression}`" if expression else "when triggered"


def placed(text: str, new: str) -> str:
    """The text with the table between its markers.

    Raises:
        TableError: the markers are not there.
    """
    before, found, rest = text.partition(BEGIN)
    _, also_found, after = rest.partition(END)
    if not found or not also_found:
        raise TableError(f"the markers {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing; exit status 1 if the table is stale")
    arguments = parser.parse_args(argv)
    text = arguments.file.read_text(encoding="utf-8")
    try:
        new = placed(text, table())
    except TableError as error:
        print(f"{arguments.file}: {error}", file=sys.stderr)
        return 1
    if new == text:
        return 0
    if arguments.check:
        print(
            f"{arguments.file}: its table of Dags is stale; run: "
            f"python -m include.ops.local_stack.dag_table {arguments.file}"
        )
        return 1
    arguments.file.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
