"""Faults of a day's feeds that are visible before it is scored: its raw tables are compared with those that the version
was trained on. Only the day itself is examined. Faults that show over several days are left to the day's verdict
(``monitor_<model>``)."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from include.jobs.validation.findings import Finding, Severity
from include.models.config import ModelConfig
from include.models.config.fault import Fault
from include.models.config.faults import faults_of
from include.models.config.files import REFERENCE
from include.models.config.watching import Reference, TableCounts
from include.models.errors import JobError
from include.models.quoting import NOT_SHOWN, quotes_values

ACTIONS: Mapping[Severity, str] = {
    "warning": "Look at the feed. The day is scored; its verdict says whether the fault lasts.",
    "critical": "Repair the feed and deliver the day again. If the world has changed and the data is right, set "
    "monitoring.faults_before_scoring in model.yaml to warning, and train again.",
}


@dataclass(frozen=True)
class Feeds:
    """``reference``: the version's training, counted by day."""

    config: ModelConfig
    reference: Reference
    severity: Severity

    @classmethod
    def of(cls, config: ModelConfig, folder: Path | None) -> Self | None:
        """None if there is nothing to compare with, or model.yaml does not ask for it.

        Args:
            folder: with the version's ``reference.json``.

        Raises:
            JobError: it cannot be read.
        """
        severity = config.monitoring.faults_before_scoring if config.monitoring else "ignore"
        if folder is None or severity == "ignore":
            return None
        try:
            return cls(config, json.loads((folder / REFERENCE).read_text(encoding="utf-8")), severity)
        except (OSError, ValueError) as error:
            raise JobError(f"{folder / REFERENCE} is invalid ({error}): evaluate_model writes it.") from error

    def findings(self, day: str, counted: dict[str, TableCounts]) -> dict[str, list[Finding]]:
        """By table. ``counted``: the day's accepted rows."""
        found: dict[str, list[Finding]] = {}
        for fault in faults_of(
            self.reference, day, {day: {"rows": 0, "features": {}, "predictions": {}, "tables": counted}}
        ):
            found.setdefault(fault.table, []).append(self._finding(fault))
        return found

    def _finding(self, fault: Fault) -> Finding:
        where = fault.where
        return Finding(
            severity=self.severity,
            table=fault.table,
            file=self.config.data.tables[fault.table].file,
            column=fault.column,
            expectation=f"as in training: {fault.kind}",
            found=str(fault).removeprefix(f"{where}: ") if quotes_values() else f"{fault.kind}, of {NOT_SHOWN}",
            allowed="what the days of the version's training had",
            rows=None,
            action=ACTIONS[self.severity],
        )


def add_reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", type=Path, help="folder of the version's reference.json")
