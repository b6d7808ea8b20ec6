"""The verdict on disk: validation.json for programs, validation.html for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from include.jobs.templates import render
from include.jobs.validation.earlier import Earlier, Time, in_words
from include.jobs.validation.findings import SEVERITIES, Finding, by_severity, passed, summarize
from include.jobs.validation.suites import Outcome
from include.jobs.validation.wording import allowed, column_of, observed
from include.models.config import Json
from include.models.config.files import VERDICT, VERDICT_PAGE

STATES = (*SEVERITIES, "skipped", "ok")
# validation.json goes from task to task, so it stays below 64 KiB; the page has all of it
MOST_FINDINGS = 40
LONGEST_TEXT = 250


@dataclass
class TableReport:
    """What was found in one table. ``rows`` were read; they are accepted, rejected or outside the data window."""

    name: str
    file: str
    rows: int = 0
    rejected: int = 0
    outside_window: int = 0
    bytes: int | None = None
    sha256: str | None = None
    findings: list[Finding] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        return self.rows - self.rejected - self.outside_window


@dataclass(frozen=True)
class Report:
    """The whole verdict; ``facts`` are more lines for the page's head, such as the data window."""

    model: str
    dataset: str
    tables: Sequence[TableReport]
    facts: dict[str, str] = field(default_factory=dict)
    findings_between: Sequence[Finding] = ()

    @property
    def findings(self) -> list[Finding]:
        return by_severity([one for table in self.tables for one in table.findings] + list(self.findings_between))

    @property
    def passed(self) -> bool:
        return passed(self.findings)

    @property
    def summary(self) -> str:
        rows = sum(table.rows for table in self.tables)
        rejected = sum(table.rejected for table in self.tables)
        tables = f"{len(self.tables)} table{'' if len(self.tables) == 1 else 's'}"
        facts = f"{tables}, {rows:,} rows, {rejected:,} of them set aside"
        return summarize(f"{self.dataset} of {self.model}", facts, self.findings)

    def as_dict(self) -> dict[str, Json]:
        """The content of validation.json."""
        return {
            "model": self.model,
            "dataset": self.dataset,
            "passed": self.passed,
            "summary": self.summary,
            "facts": self.facts,
            "tables": {table.name: _table(table) for table in self.tables},
            "findings": [_brief(finding) for finding in self.findings[:MOST_FINDINGS]],
            "findings_left_out": max(len(self.findings) - MOST_FINDINGS, 0),
            "inputs": [
                {"file": table.file, "bytes": table.bytes, "rows": table.rows, "sha256": table.sha256}
                for table in self.tables
                if table.sha256
            ],
        }

    def write(self, folder: Path, earlier: Earlier | None = None) -> None:
        """Write validation.json and validation.html into the folder, the latter with the findings of ``earlier``
        validations."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_dict(), indent=2, ensure_ascii=False)
        (folder / VERDICT).write_text(text, encoding="utf-8")
        earlier, day = earlier or Earlier(), self.facts.get("day", "")
        dataset = self.dataset.removesuffix(f" of {day}")
        (folder / VERDICT_PAGE).write_text(self._page(earlier.times(dataset)), encoding="utf-8")
        earlier.add(dataset, day, self.findings)

    def _page(self, times: list[Time]) -> str:
        return render(
            "validation.html.jinja",
            report=self,
            before={finding.check: in_words(finding.check, times) for finding in self.findings},
            counts={severity: sum(one.severity == severity for one in self.findings) for severity in SEVERITIES},
            checks={table.name: _checks(table) for table in self.tables},
            written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )


def _table(table: TableReport) -> dict[str, str | int]:
    return {
        "file": table.file,
        "rows": table.rows,
        "accepted": table.accepted,
        "rejected": table.rejected,
        "outside_window": table.outside_window,
        "critical": sum(finding.severity == "critical" for finding in table.findings),
        "warnings": sum(finding.severity == "warning" for finding in table.findings),
    }


def _brief(finding: Finding) -> dict[str, str | int | None]:
    """Without the examples, which are for the page."""
    told = {name: value for name, value in asdict(finding).items() if name != "examples"}
    return {name: value[:LONGEST_TEXT] if isinstance(value, str) else value for name, value in told.items()}


def _checks(table: TableReport) -> list[dict[str, str]]:
    """A table's expectations as lines of the page, failed ones first."""
    return sorted((_check(outcome) for outcome in table.outcomes), key=lambda line: STATES.index(line["state"]))


def _check(outcome: Outcome) -> dict[str, str]:
    """One expectation as a line of the page."""
    state = "skipped" if outcome.skipped else outcome.severity or "ok"
    return {
        "state": state,
        "column": column_of(outcome.kwargs) or "(table)",
        "check": outcome.expected.type.removeprefix("expect_").replace("_", " "),
        "allowed": allowed(outcome),
        "observed": observed(outcome),
    }
