"""The audit of pins: what could not be looked up does not pass as clean, and known vulnerabilities have an answer."""

from __future__ import annotations

import json
import re
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests import audit
from tests.audit import (
    PINNED,
    ROOT,
    SETS,
    Audit,
    AuditError,
    accepted_answers,
    audited,
    database,
    dependencies_of,
    verdict,
)

NEWEST = {"info": {"version": "2.0"}, "vulnerabilities": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fixed_in": []}]}
SKIPPED = "Dependency not found on PyPI and could not be audited: a ({})"
FOUND = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}


def said(dependency: dict[str, Any], page: Any = NEWEST, **accepted: str) -> Audit:
    answers = {identifier.replace("_", "-"): reason for identifier, reason in accepted.items()}
    return audited([{"name": "a", **dependency}], answers, lambda name: page)


def test_what_the_database_knows_of_a_version() -> None:
    assert said({"version": "1.0", "vulns": [FOUND]}).open == ["a 1.0: PYSEC-1, fixed in 1.1"]
    assert said({"version": "1.0", "vulns": []}) == Audit(1)


@pytest.mark.parametrize("identifier", ["PYSEC_1", "CVE_1"])
def test_what_is_accepted_is_said_with_its_reason(identifier: str) -> None:
    answered = said({"version": "1.0", "vulns": [FOUND]}, **{identifier: "not reached"})
    assert not answered.open
    assert answered.answered == ["a 1.0: PYSEC-1, fixed in 1.1; accepted: not reached"]


def test_a_mirror_knows_the_newest_version_alone() -> None:
    newest = {"skip_reason": SKIPPED.format("2.0")}
    assert said(newest).open == ["a 2.0: PYSEC-1, fixed in no version yet"]
    assert not said(newest, PYSEC_1="not reached").open
    withdrawn = {**NEWEST, "vulnerabilities": [{"id": "PYSEC-1", "withdrawn": "2026-01-01"}]}
    assert said(newest, withdrawn) == Audit(1)


@pytest.mark.parametrize("page", [NEWEST, None, {}, {"info": {"version": "1.9"}}])
def test_a_version_that_nobody_knows_is_named(page: Any) -> None:
    unknown = said({"skip_reason": SKIPPED.format("1.9")}, page)
    assert unknown == Audit(1, unknown=["a 1.9: NOT LOOKED UP, no database within reach knows this version"])
    (unread,) = said({"skip_reason": "another reason"}, page).unknown
    assert "a ?: NOT LOOKED UP" in unread


def test_the_first_database_that_knows_what_all_know_is_asked() -> None:
    def within_reach(**answers: Any) -> str | None:
        return database(lambda url, body=None: answers["osv" if "osv" in url else "pypi"])

    known = {"vulns": [FOUND]}
    assert within_reach(osv=known, pypi=NEWEST) == "osv"
    assert within_reach(osv=None, pypi=NEWEST) == "pypi"
    # a proxy that answers everything with {}, and an index without vulnerabilities
    assert within_reach(osv={}, pypi={"info": {}, "vulnerabilities": []}) is None


def test_the_last_line_says_what_was_not_looked_up() -> None:
    audits = [Audit(3, open=["x"], unknown=["y"]), Audit(2, answered=["z"])]
    assert verdict(audits, "pypi") == (
        "PARTLY AUDITED by pypi: 4 of 5 versions looked up, 1 NOT; 1 vulnerabilities without an answer, 1 accepted"
    )
    assert verdict([Audit(3)], "osv") == "audited by osv: 3 versions, 0 vulnerabilities without an answer, 0 accepted"
    assert verdict([], None).startswith("NOT AUDITED: ")


@pytest.mark.parametrize(
    ("service", "dependency", "status", "words"),
    [
        ("osv", {"version": "1.0", "vulns": []}, 0, "audited by osv"),
        ("osv", {"version": "1.0", "vulns": [FOUND]}, 1, "a 1.0: PYSEC-1, fixed in 1.1"),
        ("pypi", {"skip_reason": SKIPPED.format("1.9")}, 0, "::warning title=Vulnerabilities::PARTLY AUDITED"),
        (None, {}, 0, "::warning title=Vulnerabilities::NOT AUDITED"),
        ("osv", None, 2, "pip-audit failed: no connection"),
        ("osv", [], 2, "there is nothing to look up"),
    ],
)
def test_what_a_run_ends_with(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    service: str | None,
    dependency: Any,
    status: int,
    words: str,
) -> None:
    listed = [{"name": "a", **dependency}] if isinstance(dependency, dict) else dependency
    answer = CompletedProcess((), 0, "" if listed is None else json.dumps({"dependencies": listed}), "no connection")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(audit, "database", lambda: service)
    monkeypatch.setattr(audit, "project_page", lambda name: None)
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: answer)
    assert audit.main() == status
    assert words in capsys.readouterr().out


def test_pip_audit_is_told_which_database(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    answer = CompletedProcess((), 0, json.dumps({"dependencies": [{"name": "a"}]}), "")
    monkeypatch.setattr(audit.subprocess, "run", lambda command, **_: commands.append(command) or answer)
    dependencies_of(["--path", "p"], "osv")
    assert commands[0][-4:] == ["--vulnerability-service", "osv", "--path", "p"]


def test_every_environment_is_audited() -> None:
    """As setup.sh installs them: a requirements file is audited directly, or with the environment it is installed
    in."""
    script = (ROOT / "include/ops/local_stack/setup.sh").read_text()
    installed = dict(re.findall(r"^    (\w+)\) echo (.*) ;;$", script, re.MULTILINE))
    whole = {name for name in installed if f".venv/{name}" in SETS}
    assert {"mwaa", "airflow", "jobs"} <= whole
    left = {file for name, files in installed.items() if name not in whole for file in files.split()} - SETS.keys()
    # the image before its additions; the type stubs of AWS clients, which run nothing
    assert left == {"include/ops/mwaa/image.txt", "constraints.txt", "tests/requirements-local_sagemaker.txt"}
    files = [file for room in ("include", "tests") for file in ROOT.joinpath(room).rglob("*.txt")]
    pinned = {str(file.relative_to(ROOT)) for file in files if "--hash=" in file.read_text(encoding="utf-8")}
    assert pinned == set(PINNED)


def test_every_package_that_is_pinned_has_hashes_and_images_insist_on_them() -> None:
    for file in PINNED:
        lines = (ROOT / file).read_text().splitlines()
        pins = [number for number, line in enumerate(lines) if "==" in line and not line.lstrip().startswith("#")]
        assert pins, file
        assert [lines[n] for n in pins if "--hash=" not in "".join(lines[n : n + 2])] == [], file
    for dockerfile in (f"include/{room}/Dockerfile" for room in ("jobs", "online", "local_sagemaker")):
        installs = [line for line in (ROOT / dockerfile).read_text().splitlines() if "pip install" in line]
        assert installs
        assert all("--require-hashes" in line for line in installs), dockerfile
    assert "hashes" not in re.findall(r"uv pip install.*", (ROOT / "include/ops/local_stack/setup.sh").read_text())[0]


def test_an_accepted_finding_has_a_reason() -> None:
    assert accepted_answers("# id  # why\nPYSEC-1  # not reached; look again in March\n\n") == {
        "PYSEC-1": "not reached; look again in March"
    }
    with pytest.raises(AuditError, match="PYSEC-2 has no reason"):
        accepted_answers("PYSEC-2\n")


def test_renovate_moves_every_pin() -> None:
    """Hashed requirements, and the images in scripts and workflows; renovate finds Dockerfiles and actions on its
    own."""
    settings = json.loads((ROOT / ".github" / "renovate.json").read_text())
    patterns = [one.strip("/") for one in settings["pip-compile"]["managerFilePatterns"]]
    assert [file for file in PINNED if not any(re.search(pattern, file) for pattern in patterns)] == []
    (images,) = settings["customManagers"]
    for file in ("include/ops/mwaa/build_image.sh", ".github/workflows/ci.yaml"):
        assert any(re.search(pattern.strip("/"), file) for pattern in images["managerFilePatterns"])
        text = (ROOT / file).read_text()
        found = re.findall(images["matchStrings"][0].replace("(?<", "(?P<"), text)
        assert len(found) == text.count("@sha256:") > 0
