"""Invalid arguments of make are refused in one sentence, before any set-up."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from include.models.config import load_model, model_names
from include.ops.local_stack import arguments
from include.ops.local_stack.arguments import (
    MODELS,
    ArgumentsError,
    check_data,
    check_days,
    check_model,
    check_version,
    table_files,
)
from include.ops.local_stack.seed import raw_files
from include.ops.local_stack.settings import ROOT

TODAY = date(2026, 11, 29)


def said(target: str, **given: str) -> tuple[int, str]:
    """Run it as make does: with only Python, from the checkout's folder."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", arguments.__file__, target],
        cwd=ROOT,
        env={"MODEL": "predictive_maintenance", **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("target", "given", "words"),
    [
        ("run", {"MODEL": "predictive_maintenence"}, "Did you mean predictive_maintenance?"),
        ("run", {"MODEL": "x; touch hit"}, "there is no model 'x; touch hit'"),
        ("run", {"DATA": "nowhere"}, "DATA=nowhere does not exist: name a folder that has PdM_telemetry.csv"),
        ("run", {"DATA": "docs"}, "DATA=docs has none of PdM_telemetry.csv"),
        ("run", {"DATA": "README.md"}, "DATA=README.md is one file, but the model reads PdM_telemetry.csv"),
        ("run", {"MODEL": "abalone_age", "DATA": "README.md"}, "DATA=README.md is not a file that the model reads"),
        ("promote", {"MODEL": ""}, "there is no model ''"),
        ("new-model", {}, "NAME is missing"),
        ("new-model", {"NAME": "Abc", "KIND": "binary", "DATA": "x"}, "NAME=Abc cannot be a model's name"),
        ("new-model", {"NAME": "electricity", "KIND": "binary", "DATA": "x"}, "NAME=electricity is taken"),
        ("new-model", {"NAME": "abc", "KIND": "both", "DATA": "x"}, "KIND=both is not one of binary"),
        ("new-model", {"NAME": "abc", "KIND": "binary", "DATA": "x.csv"}, "DATA=x.csv does not exist"),
        ("new-model", {"NAME": "abc", "KIND": "binary", "DATA": "docs"}, "DATA=docs is not a file"),
        ("backfill", {}, "FROM is missing"),
        ("backfill", {"FROM": "2015-06-01"}, "TO is missing"),
        ("backfill", {"FROM": "2015-06-31", "TO": "2015-07-01"}, "FROM=2015-06-31 is not a day: day is out of range"),
        ("backfill", {"FROM": "20150601", "TO": "2015-07-01"}, "FROM=20150601 is not a day; write it as 2015-06-01"),
        ("backfill", {"FROM": "01.06.2015", "TO": "2015-07-01"}, "FROM=01.06.2015 is not a day"),
        ("backfill", {"FROM": "2015-06-02", "TO": "2015-06-01"}, "FROM=2015-06-02 is after TO=2015-06-01"),
        ("backfill", {"FROM": "2105-06-01", "TO": "2105-06-02"}, "FROM=2105-06-01 is in the future; is the year"),
        ("backfill", {"FROM": "1015-06-01", "TO": "2015-06-01"}, "are 365,244 days; at most"),
        (
            "backfill",
            {"FROM": "2015-06-01", "TO": "2015-06-01", "VERSION": "champion"},
            "VERSION=champion is not a version",
        ),
        ("serve", {"PORT": "80"}, "PORT=80 is"),
        ("score", {}, "DATA is missing"),
        ("score", {"DATA": "missing.csv"}, "DATA=missing.csv does not exist"),
        ("scores", {}, "DAY is missing"),
        ("scores", {"DAY": "2015-06-01", "OUT": "top.txt"}, "OUT=top.txt is neither"),
        ("deploy", {}, "ENV is missing; there are dev, prod, staging"),
        ("infra", {"ENV": "production"}, "ENV=production is not an environment"),
        ("health", {"ENV": "production"}, "ENV=production is not an environment"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_status_1(target: str, given: dict[str, str], words: str) -> None:
    status, text = said(target, **given)
    assert (status, words in text) == (1, True), text
    assert re.fullmatch(r"error: [^\n]+[.?]\n", text)


@pytest.mark.parametrize(
    ("target", "given"),
    [
        ("run", {}),
        ("run", {"MODEL": "electricity", "DATA": ""}),
        ("promote", {}),
        ("backfill", {"FROM": "2015-06-01", "TO": "2015-06-01", "VERSION": "3"}),
        ("new-model", {"NAME": "abc", "KIND": "binary", "DATA": "README.md"}),  # the reader decides whether it is CSV
        ("infra", {"ENV": "dev"}),
        ("health", {"ENV": ""}),
        ("serve", {"PORT": "8766"}),
        ("scores", {"DAY": "2015-06-01", "OUT": "top.csv"}),
    ],
)
def test_what_can_be_used_is_passed_on_in_silence(target: str, given: dict[str, str]) -> None:
    assert said(target, **given) == (0, "")


def test_each_target_that_is_checked_is_one_of_make_and_is_checked_before_set_up() -> None:
    checked = re.findall(
        r"^([a-z-]+): ##.*\n\t@\$\(setup\) --for ([a-z-]+) ", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert {target for target, _ in checked} == set(arguments.CHECKS)
    assert all(target == name for target, name in checked)


@pytest.mark.parametrize("name", model_names())
def test_a_models_files_are_told_by_the_text_of_its_model_yaml(name: str) -> None:
    text = (MODELS / name / "model.yaml").read_text(encoding="utf-8")
    assert table_files(text) == raw_files(load_model(name))


def test_a_single_file_is_taken_where_the_model_has_one_table(tmp_path: Path) -> None:
    for name in ("abalone.data.csv", "export.csv.gz", "abalone.xlsx"):
        (tmp_path / name).touch()
    wanted = ["abalone.data.csv"]
    assert check_data(tmp_path / "abalone.data.csv", wanted) == {"abalone.data.csv": tmp_path / "abalone.data.csv"}
    assert check_data(tmp_path / "export.csv.gz", wanted) == {"abalone.data.csv.gz": tmp_path / "export.csv.gz"}
    assert check_data(tmp_path, wanted) == {"abalone.data.csv": tmp_path / "abalone.data.csv"}
    with pytest.raises(ArgumentsError, match="is not a file that the model reads"):
        check_data(tmp_path / "abalone.xlsx", wanted)
    assert check_data(tmp_path / "abalone.data.csv", ["other.csv", *wanted])


def test_days_and_versions() -> None:
    assert check_days("2015-06-01", "2015-06-30", TODAY) == (date(2015, 6, 1), date(2015, 6, 30))
    assert check_days("2026-11-29", "2026-11-29", TODAY)
    assert [check_version(text) for text in ("champion_at", "current", "12")] == ["champion_at", "current", "12"]
    for text in ("", "0", "-1", "v3", "1.5"):
        with pytest.raises(ArgumentsError, match="is not a version"):
            check_version(text)
    assert check_model("electricity") == "electricity"
