"""Known vulnerabilities of everything that is installed: ``make audit``.

pip-audit asks a database about each version: OSV, or PyPI if OSV cannot be reached. A mirror of PyPI often has only a
page per project, which lists the newest version's vulnerabilities: a pin that is the newest version is looked up there.
Every vulnerability needs an answer: a version without it, or a line in tests/audit-accepted.txt with its id and, after
a #, why it does no harm here and when to review it.

A package that no reachable database knows is named in a warning and counted in the last line: that is neither a clean
result nor a finding. Exit status: 0 if every vulnerability has an answer, 1 if one has none, 2 if the audit could not
be completed: an answer without a reason, a missing environment, a database that stopped answering.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT / "tests" / "audit-accepted.txt"
PINNED = (
    "include/jobs/requirements.txt",
    "include/online/requirements.txt",
    "include/online/lambda.txt",
    "include/local_sagemaker/requirements.txt",
    "include/ops/local_stack/requirements.txt",
    "tests/requirements.txt",
    "tests/checkov/requirements.txt",
    "tests/docs/requirements.txt",
    "tests/oracle/requirements.txt",
)
INSTALLED = ("mwaa", "airflow", "jobs")  # MWAA's image with our additions; what tests install beside the pins
SETS: dict[str, tuple[str, ...]] = {
    **{file: ("--requirement", file, "--disable-pip", "--require-hashes") for file in PINNED},
    **{f".venv/{each}": ("--path", f".venv/{each}/lib/python3.12/site-packages") for each in INSTALLED},
}
PROJECT = "https://pypi.org/pypi/{}/json"
OSV = "https://api.osv.dev/v1/query"
ABANDONED = {"version": "2.6.1", "package": {"name": "pycrypto", "ecosystem": "PyPI"}}  # in every database
SKIPPED = re.compile(r"\((?P<version>[^()]+)\)$")  # the end of pip-audit's reason
Json = Mapping[str, Any]


class AuditError(RuntimeError):
    """The audit could not be completed; the message says why."""


@dataclass
class Audit:
    """The result for the versions of one set."""

    versions: int = 0
    open: list[str] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def accepted_answers(text: str) -> dict[str, str]:
    """Reasons by id.

    Raises:
        AuditError: an id has none.
    """
    found = {}
    for line in text.splitlines():
        identifier, _, reason = (part.strip() for part in line.partition("#"))
        if identifier and not reason:
            raise AuditError(f"{ACCEPTED.name}: {identifier} has no reason")
        if identifier:
            found[identifier] = reason
    return found


def read(url: str, body: object = None) -> Json | None:
    """The JSON at an address; None if there is none."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=30) as page:  # noqa: S310 - of https alone
            found: Json = json.load(page)
    except (OSError, ValueError):  # URLError and time-outs are OSErrors
        return None
    return found


def project_page(name: str) -> Json | None:
    """What the index says about a project; None if it has no page for it."""
    return read(PROJECT.format(name))


def database(ask: Callable[..., Json | None] = read) -> str | None:
    """pip-audit's name of the first database that reports the known vulnerability of an abandoned package."""
    if (ask(OSV, ABANDONED) or {}).get("vulns"):
        return "osv"
    if (ask(PROJECT.format(ABANDONED["package"]["name"])) or {}).get("vulnerabilities"):
        return "pypi"
    return None


def dependencies_of(arguments: Sequence[str], service: str) -> list[Json]:
    """pip-audit's report on each dependency.

    Raises:
        AuditError: it did not finish, or there is nothing to look up.
    """
    command = [ROOT / ".venv/dev/bin/pip-audit", "--progress-spinner", "off", "--format", "json"]
    command += ["--vulnerability-service", service, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found: list[Json] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise AuditError(f"pip-audit failed: {done.stderr.strip()[-500:]}") from None
    if not found:
        raise AuditError("there is nothing to look up: is the environment installed? make audit does that.")
    return found


def audited(
    dependencies: Sequence[Json], accepted: Mapping[str, str], page: Callable[[str], Json | None] = project_page
) -> Audit:
    """Vulnerabilities without an answer, those with one, and versions that no database knows; a line for each."""
    said = Audit(len(dependencies))
    for one in dependencies:
        name, version, found = one["name"], one.get("version"), one.get("vulns")
        if found is None:
            known = SKIPPED.search(one.get("skip_reason", ""))
            version = known["version"] if known else "?"
            newest = page(name) or {}
            if newest.get("info", {}).get("version") != version or "vulnerabilities" not in newest:
                said.unknown.append(f"{name} {version}: NOT LOOKED UP, no database within reach knows this version")
                continue
            found = [each for each in newest["vulnerabilities"] if not each.get("withdrawn")]
        for each in found:
            answer = next((accepted[key] for key in (each["id"], *each.get("aliases", ())) if key in accepted), None)
            fixed = ", ".join(each.get("fix_versions") or each.get("fixed_in") or ()) or "no version yet"
            line = f"{name} {version}: {each['id']}, fixed in {fixed}"
            if answer is None:
                said.open.append(line)
            else:
                said.answered.append(f"{line}; accepted: {answer}")
    return said


def verdict(audits: Sequence[Audit], service: str | None) -> str:
    """The last line: how many packages were looked up, and the result."""
    every, unknown = sum(one.versions for one in audits), sum(len(one.unknown) for one in audits)
    counts = f"{sum(len(one.open) for one in audits)} vulnerabilities without an answer"
    counts += f", {sum(len(one.answered) for one in audits)} accepted"
    if service is None:
        return "NOT AUDITED: neither OSV's nor PyPI's database of vulnerabilities can be reached from here"
    if unknown:
        return f"PARTLY AUDITED by {service}: {every - unknown} of {every} versions looked up, {unknown} NOT; {counts}"
    return f"audited by {service}: {every} versions, {counts}"


def warn(message: str) -> None:
    """Show it on the run's page on GitHub, not only in its log."""
    if os.environ.get("GITHUB_ACTIONS"):
        print(f"::warning title=Vulnerabilities::{message}")


def main() -> int:
    audits, broken, service = [], False, database()
    try:
        accepted = accepted_answers(ACCEPTED.read_text(encoding="utf-8"))
    except AuditError as error:
        print(error)
        return 2
    for name, arguments in SETS.items() if service else ():
        try:
            audits.append(said := audited(dependencies_of(arguments, service or ""), accepted))
        except AuditError as error:
            print(f"--- {name}: {error}", flush=True)
            broken = True
            continue
        lines = [*said.open, *said.answered, *said.unknown]
        print(f"--- {name}: {said.versions} versions, {len(said.open)} open", *lines, sep="\n  ", flush=True)
    print(last := verdict(audits, service))
    if service is None or any(one.unknown for one in audits):
        warn(last)
    return 2 if broken else int(any(one.open for one in audits))


if __name__ == "__main__":
    sys.exit(main())
