"""Raw data is generated once per version of a simulator, and never partly."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.ops.local_stack.raw_data import RawDataError, daily_raw_data, raw_data

MODEL = "predictive_maintenance"


def _python(folder: Path, body: str) -> str:
    """A program in place of Python: called with -m include.models.<model>.simulate --out FOLDER."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    return str(program)


def test_data_is_made_once(tmp_path: Path) -> None:
    said: list[str] = []
    python = _python(tmp_path, 'mkdir -p "$4" && echo "$2" > "$4/table.csv"')
    folder = raw_data(python, tmp_path, MODEL, said.append)
    assert (folder / "table.csv").read_text() == f"include.models.{MODEL}.simulate\n"
    assert raw_data(_python(tmp_path, "exit 1"), tmp_path, MODEL, said.append) == folder
    assert len(said) == 1


def test_a_failed_simulator_leaves_no_data_and_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(RawDataError, match=r"exit code 3\):\nno such luck"):
        raw_data(_python(tmp_path, 'mkdir -p "$4/half"; echo no such luck >&2; exit 3'), tmp_path, MODEL, print)
    folder = raw_data(_python(tmp_path, 'mkdir -p "$4"'), tmp_path, MODEL, print)
    assert not (folder / "half").exists()


def test_a_model_without_a_simulator_gets_data_by_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "include" / "models" / "late_books").mkdir(parents=True)
    monkeypatch.setattr("include.ops.local_stack.raw_data.ROOT", tmp_path)
    python = _python(tmp_path, 'mkdir -p "$6" && echo "$2 $3 $4" > "$6/table.csv"')
    folder = raw_data(python, tmp_path, "late_books", print)
    assert (folder / "table.csv").read_text() == "include.models.tabular.simulate --model late_books\n"


def test_days_to_score_are_cut_once_of_the_raw_tables(tmp_path: Path) -> None:
    # $2: the module; $8: --days of include.jobs.split_days, $4: --out of the simulator
    python = _python(
        tmp_path,
        'if [ "$2" = include.jobs.split_days ]; then to="$8"; else to="$4"; fi; '
        'mkdir -p "$to"; echo "$@" > "$to/asked"',
    )
    folder = daily_raw_data(python, tmp_path, MODEL, print)
    asked = (folder / "asked").read_text().split()
    raw = raw_data(python, tmp_path, MODEL, print)
    assert asked[:6] == ["-m", "include.jobs.split_days", "--model", MODEL, "--raw", str(raw)]
    assert asked[-2:] == ["--newest", "60"]
    assert daily_raw_data(_python(tmp_path, "exit 1"), tmp_path, MODEL, print) == folder
