"""What the last validations of the same data found, for the next one's page: ``checks.json``, which each job reads and
rewrites with its own findings."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from include.jobs.validation.findings import Finding, Severity
from include.models.config.files import CHECKS

KEPT = 10  # validations
MOST_CHECKS = 200  # of one validation


class Time(TypedDict):
    """A validation. ``about`` is the day of its data, empty for a training's; ``found`` has the severity and the rows
    of each failed check."""

    run: str
    at: str
    about: str
    found: dict[str, tuple[Severity, int | None]]


@dataclass(frozen=True)
class Earlier:
    """Where the job reads earlier findings, and where it writes them with its own; neither if it is run by hand."""

    read: Path | None = None
    into: Path | None = None

    def times(self, dataset: str) -> list[Time]:
        """The last validations of a dataset except this run's, oldest first."""
        run = os.environ.get("RUN_ID")
        return [time for time in self._content().get(dataset, []) if run is None or time["run"] != run][-KEPT:]

    def add(self, dataset: str, about: str, findings: Iterable[Finding]) -> None:
        """Append what was found to the earlier findings."""
        if self.into is None:
            return
        found = {one.check: (one.severity, one.rows) for one in findings if one.severity != "info"}
        now: Time = {
            "run": os.environ.get("RUN_ID", ""),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "about": about,
            "found": dict(list(found.items())[:MOST_CHECKS]),
        }
        content = self._content() | {dataset: [*self.times(dataset), now][-KEPT:]}
        self.into.mkdir(parents=True, exist_ok=True)
        (self.into / CHECKS).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    def _content(self) -> dict[str, list[Time]]:
        for folder in (self.into, self.read):  # another dataset of this job may have written its own already
            if folder and (folder / CHECKS).is_file():
                content: dict[str, list[Time]] = json.loads((folder / CHECKS).read_text(encoding="utf-8"))
                return content
        return {}


def add_earlier(parser: argparse.ArgumentParser) -> None:
    """The options of a job that compares with earlier validations."""
    parser.add_argument("--earlier", type=Path, help=f"folder of the {CHECKS} that the validation before left")
    parser.add_argument("--checks", type=Path, help="where to leave it with what is found now")


def in_words(check: str, times: Sequence[Time]) -> str:
    """How often a check failed before, and when."""
    if not times:
        return "No earlier validation is kept to compare with."
    missed = [time for time in reversed(times) if check in time["found"]]
    total = "the last validation" if len(times) == 1 else f"the last {len(times)} validations"
    if not missed:
        return f"Met in {total}."
    when = ", ".join(f"{time['about'] or time['at'][:10]}{_rows(time['found'][check][1])}" for time in missed)
    return f"Not met in {len(missed)} of {total}: {when}."


def _rows(rows: int | None) -> str:
    return "" if rows is None else f" ({rows:,} row{'' if rows == 1 else 's'})"
