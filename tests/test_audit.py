"""The audit of pins: nothing that could not be looked up passes for clean."""

from __future__ import annotations

from typing import Any

import pytest

from tests.audit import AuditError, accepted_ids, findings

NEWEST = {"info": {"version": "2.0"}, "vulnerabilities": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": []}]}
SKIPPED = "Dependency not found on PyPI and could not be audited: a ({})"


def said(dependency: dict[str, Any], *accepted: str, page: Any = NEWEST) -> list[str]:
    return list(findings([{"name": "a", **dependency}], set(accepted), lambda name: page))


def test_what_the_database_knows_of_a_version() -> None:
    found = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}
    assert said({"version": "1.0", "vulns": [found]}) == ["a 1.0: PYSEC-1, fixed in 1.1"]
    assert said({"version": "1.0", "vulns": [found]}, "CVE-1") == []
    assert said({"version": "1.0", "vulns": []}) == []


def test_a_mirror_knows_the_newest_version_alone() -> None:
    newest = {"skip_reason": SKIPPED.format("2.0")}
    assert said(newest) == ["a 2.0: PYSEC-1, fixed in no version yet"]
    assert said(newest, "PYSEC-1") == []
    withdrawn = {**NEWEST, "vulnerabilities": [{"id": "PYSEC-1", "withdrawn": "2026-01-01"}]}
    assert said(newest, page=withdrawn) == []


@pytest.mark.parametrize("page", [NEWEST, None, {}])
def test_a_version_that_nobody_knows_is_a_finding(page: Any) -> None:
    assert said({"skip_reason": SKIPPED.format("1.9")}, page=page) == [
        "a 1.9: not known, as the index has no page of this version"
    ]
    (unread,) = said({"skip_reason": "another reason"}, page=page)
    assert "not known" in unread


def test_an_accepted_finding_has_a_reason() -> None:
    assert accepted_ids("# id  # why\nPYSEC-1  # not reached; look again in March\n\n") == {"PYSEC-1"}
    with pytest.raises(AuditError, match="PYSEC-2 has no reason"):
        accepted_ids("PYSEC-2\n")
