"""A benchmark's measurements, checked against bounds: its rows, options and exit status."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import TypedDict

MARKS = {True: "ok", False: "broken", None: "not measured"}


class Row(TypedDict):
    """``ok`` is None if it could not be measured here. A row without a bound is for information only."""

    name: str
    value: str
    bound: str
    ok: bool | None


def row(name: str, value: str, bound: str = "", ok: bool | None = True) -> Row:
    return {"name": name, "value": value, "bound": bound, "ok": None if ok is None else bool(ok)}


def not_broken(rows: Iterable[Row]) -> bool:
    return all(each["ok"] is not False for each in rows)


def parser(description: str | None) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--json", action="store_true", help="print the rows as JSON")
    return found


def end(rows: list[Row], arguments: argparse.Namespace) -> int:
    """Print the rows; the program's exit status: 1 if a bound is broken."""
    if arguments.json:
        print(json.dumps(rows))
    else:
        for each in rows:
            bound = f" (bound {each['bound']})" if each["bound"] else ""
            print(f"{MARKS[each['ok']]}: {each['name']}: {each['value']}{bound}")
    return 0 if not_broken(rows) else 1
