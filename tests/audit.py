"""Known vulnerabilities of everything that is installed: ``make audit``.

pip-audit asks PyPI's own database about each version. A mirror of PyPI often has a page for each project alone, which
knows the newest version's vulnerabilities: a pin that is the newest is looked up there. A version that neither knows is
named, and fails the audit: silence is not a clean result.

A finding that is accepted has a line in tests/audit-accepted.txt: its id, and after a # why it does no harm here and
when to look at it again. Exit status: 0 only if every version was looked up and every finding is accepted.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ACCEPTED = ROOT / "tests" / "audit-accepted.txt"
PINNED = ("include/jobs", "include/online", "include/local_sagemaker", "include/ops/local_stack", "tests",
          "tests/checkov", "tests/docs")  # fmt: skip
SETS: dict[str, tuple[str, ...]] = {
    **{f"{each}/requirements.txt": ("--requirement", f"{each}/requirements.txt", "--disable-pip", "--require-hashes")
       for each in PINNED},
    # what MWAA's image holds, with what this repository adds: its versions are AWS's to change
    "MWAA": ("--path", ".venv/mwaa/lib/python3.12/site-packages"),
}  # fmt: skip
PROJECT = "https://pypi.org/pypi/{}/json"
SKIPPED = re.compile(r"\((?P<version>[^()]+)\)$")  # ends pip-audit's reason
Json = Mapping[str, Any]


class AuditError(RuntimeError):
    """Nothing can be said; the message says why."""


def accepted_ids(text: str) -> set[str]:
    """Ids that have a reason.

    Raises:
        AuditError: one has none.
    """
    found = set()
    for line in text.splitlines():
        identifier, _, reason = (part.strip() for part in line.partition("#"))
        if identifier and not reason:
            raise AuditError(f"{ACCEPTED.name}: {identifier} has no reason")
        found |= {identifier} - {""}
    return found


def audit(arguments: Sequence[str]) -> list[Json]:
    """What pip-audit says of each dependency.

    Raises:
        AuditError: it could not be run to its end.
    """
    command = [ROOT / ".venv/dev/bin/pip-audit", "--progress-spinner", "off", "--format", "json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found: list[Json] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        raise AuditError(f"pip-audit failed: {done.stderr.strip()[-500:]}") from None
    return found


def project_page(name: str) -> Json | None:
    """What the index says of a project; None where it has no page of it."""
    try:
        with urllib.request.urlopen(PROJECT.format(name), timeout=30) as page:  # noqa: S310 - of https alone
            found: Json = json.load(page)
    except (urllib.error.URLError, ValueError):
        return None
    return found


def findings(dependencies: Sequence[Json], accepted: set[str], page: Callable[[str], Json | None]) -> Iterator[str]:
    """What is wrong, a line for each vulnerability and for each version that could not be looked up."""
    for one in dependencies:
        name, version, found = one["name"], one.get("version"), one.get("vulns")
        if found is None:
            known = SKIPPED.search(one.get("skip_reason", ""))
            version = known["version"] if known else "?"
            newest = page(name) or {}
            if newest.get("info", {}).get("version") != version:
                yield f"{name} {version}: not known, as the index has no page of this version"
                continue
            found = [each for each in newest["vulnerabilities"] if not each.get("withdrawn")]
        for each in found:
            if accepted.isdisjoint({each["id"], *each.get("aliases", ())}):
                fixed = ", ".join(each.get("fix_versions") or each.get("fixed_in") or ()) or "no version yet"
                yield f"{name} {version}: {each['id']}, fixed in {fixed}"


def main() -> int:
    try:
        accepted = accepted_ids(ACCEPTED.read_text(encoding="utf-8"))
    except AuditError as error:
        print(error)
        return 2
    failed = False
    for name, arguments in SETS.items():
        try:
            wrong = list(findings(dependencies := audit(arguments), accepted, project_page))
        except AuditError as error:
            dependencies, wrong = [], [str(error)]
        print(f"--- {name}: {len(dependencies)} packages, {len(wrong)} findings", *wrong, sep="\n  ", flush=True)
        failed |= bool(wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
