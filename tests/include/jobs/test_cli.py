"""How a job ends: SageMaker receives the reason, and an expected failure has no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.jobs import cli as program
from include.models.errors import JobError
from include.models.quoting import VARIABLE


@pytest.fixture
def reason_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A container's /opt/ml, elsewhere."""
    monkeypatch.setattr(program, "OUTPUT", tmp_path / "output")
    monkeypatch.setattr("sys.argv", ["job"])
    return tmp_path / "output" / "message"


def test_an_understood_failure_is_its_message(reason_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: list[str]) -> None:
        raise JobError("table maint: the file is missing; put it there")

    with pytest.raises(SystemExit) as ended:
        program.run_program(main, reason_file)
    assert ended.value.code == 1
    assert reason_file.read_text() == "table maint: the file is missing; put it there"
    assert capsys.readouterr().err == "table maint: the file is missing; put it there\n"


def test_an_error_that_may_quote_values_is_named_without_its_message(
    reason_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: list[str]) -> None:
        float("Mrs Mil" + "ler")

    monkeypatch.setenv(VARIABLE, "no")
    with pytest.raises(SystemExit):
        program.run_program(main, reason_file)
    said = reason_file.read_text() + capsys.readouterr().err
    assert "ValueError; its message may quote values" in said
    assert "in main" in said
    assert "Miller" not in said


def test_any_other_failure_leaves_its_name_too_and_its_traceback(reason_file: Path) -> None:
    def main(_: list[str]) -> None:
        raise ZeroDivisionError("x" * 5000)

    with pytest.raises(ZeroDivisionError, match=r"^x{5000}$"):
        program.run_program(main, reason_file)
    assert reason_file.read_text().startswith("ZeroDivisionError: xxx")
    assert len(reason_file.read_text()) == program.LONGEST_REASON


def test_success_leaves_no_reason(reason_file: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        program.run_program(lambda _: None, reason_file)
    assert ended.value.code == 0
    assert not reason_file.exists()


def test_outside_a_container_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "OUTPUT", tmp_path / "nowhere" / "output")
    monkeypatch.setattr("sys.argv", ["job"])

    def main(_: list[str]) -> None:
        raise JobError("no")

    with pytest.raises(SystemExit, match=r"^1$"):
        program.run_program(main, tmp_path / "nowhere" / "output" / "message")
    assert not (tmp_path / "nowhere").exists()
