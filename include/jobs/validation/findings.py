"""What validation found, worded for the person on call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")
SUMMARY_LIMIT = 900


@dataclass(frozen=True)
class Example:
    """A row that a finding concerns: its line, if it came from a file, its key and the value, in words."""

    line: int | None
    key: str
    value: str


@dataclass(frozen=True)
class Finding:
    """One departure from what is allowed.

    ``rows`` is how many rows it concerns, None if it is not about rows (a file, a mean). ``expectation`` is the
    name of the check: a Great Expectations type, or one of this package's own. ``examples`` are the first of the rows,
    empty if values may not be quoted.
    """

    severity: Severity
    table: str
    file: str
    column: str | None
    expectation: str
    found: str
    allowed: str
    rows: int | None
    action: str
    examples: tuple[Example, ...] = ()

    @property
    def check(self) -> str:
        """Identifies the check from one validation to the next."""
        return " ".join([self.table, self.expectation, self.column or ""]).strip()

    def __str__(self) -> str:
        where = f"{self.file}, column {self.column}" if self.column else self.file
        return f"{where}: found {self.found}; allowed: {self.allowed}. {self.action}"


class UnusableFileError(Exception):
    """A table's file that cannot be read as the table at all; ``findings`` say why."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = list(findings)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Worst first; otherwise in the order found."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def passed(findings: Iterable[Finding]) -> bool:
    return all(finding.severity != "critical" for finding in findings)


def no_rows_left(name: str, file: str, rows: int, outside: int) -> Finding:
    """The finding of a table without any rows left."""
    return Finding(
        severity="critical",
        table=name,
        file=file,
        column=None,
        expectation="rows_are_left",
        found=f"none of {rows:,} rows left, {outside:,} of them outside the data window",
        allowed="at least one usable row",
        rows=rows,
        action="Choose a data window that the file covers, or correct the rows in quarantine.",
    )


def summarize(subject: str, facts: str, findings: Sequence[Finding]) -> str:
    """The verdict in plain text of at most 900 characters, the worst findings in full as far as they fit.

    Args:
        subject: what was validated, as "raw data of <model>".
        facts: its size in a few words, as "5 tables, 884,166 rows".
    """
    counts = {severity: sum(finding.severity == severity for finding in findings) for severity in SEVERITIES}
    if counts["critical"]:
        head = f"The {subject} cannot be used: {_count(counts['critical'], 'critical finding')}"
    else:
        head = f"The {subject} can be used ({facts}): nothing critical"
    head += f", {_count(counts['warning'], 'warning')}."
    worth_saying = [finding for finding in by_severity(findings) if finding.severity != "info"]
    if counts["critical"]:
        worth_saying = worth_saying[: counts["critical"]]
    lines = [head]
    for number, finding in enumerate(worth_saying):
        line = f"{number + 1}. {finding}" if len(worth_saying) > 1 else str(finding)
        rest = f"And {len(worth_saying) - number} more: see validation.html."
        room = SUMMARY_LIMIT - len("\n".join([*lines, rest])) - 1
        if len(line) > room:
            if number == 0:  # a shortened finding is better than none: keep its beginning and what to do
                lines.append(_cut(finding, room))
                rest = f"And {len(worth_saying) - 1} more: see validation.html."
            if number or len(worth_saying) > 1:
                lines.append(rest)
            break
        lines.append(line)
    return "\n".join(lines)


def _cut(finding: Finding, room: int) -> str:
    action = finding.action[: room // 2]
    return f"{str(finding)[: room - len(action) - 5]} ... {action}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
