"""A folder with any name, and an alias that every program reads literally."""

import os
import tempfile
from pathlib import Path

import pytest
import sqlalchemy

from include.ops.local_stack.folders import LONGEST, PLAIN, make_folder, plain_name
from include.ops.local_stack.processes import ProcessError

# characters that libpq, URLs, shells or lists in settings would split, end or decode
ODD_NAMES = [*(f"a{odd}b" for odd in ",;: %?#&=+@'\"$`\\~*ü\n"), "50%41", "it's a, test #1 (50 %) ü", " "]


@pytest.mark.parametrize("name", [*ODD_NAMES, "deep" * 30])
def test_an_odd_or_long_path_gets_a_plain_name(name: str, short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, other = short / name / "one", short / name / "other"
    folder.parent.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder.parent))
    monkeypatch.setattr(tempfile, "tempdir", None)
    named = plain_name(folder)
    assert PLAIN.fullmatch(str(named))
    assert len(os.fsencode(named)) <= LONGEST
    assert named not in (folder, plain_name(other))
    assert sqlalchemy.make_url(f"postgresql://airflow@/postgres?host={named}").query["host"] == str(named)
    assert sqlalchemy.make_url(f"sqlite:///{named}/mlflow.db").database == f"{named}/mlflow.db"
    try:
        for _ in range(2):  # nothing blocks the next start
            make_folder(folder)
            (named / "file").touch()
            assert (folder / "file").exists()
    finally:
        named.unlink()


@pytest.mark.parametrize("name", ["home", "a.b_c-d", "..."])
def test_a_plain_path_is_its_own_name(name: str, short: Path) -> None:
    assert plain_name(short / name) == short / name
    make_folder(short / name)
    assert (short / name).stat().st_mode & 0o777 == 0o700


def test_a_name_that_is_taken_is_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = short / "home, sweet home", short / "elsewhere"
    elsewhere.mkdir()
    named = plain_name(folder)
    named.symlink_to(elsewhere)
    try:
        with pytest.raises(ProcessError, match="LAPTOP_HOME"):
            make_folder(folder)
        named.unlink()
        named.symlink_to(folder)
        make_folder(folder)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)  # another user's
        with pytest.raises(ProcessError, match="LAPTOP_HOME"):
            make_folder(folder)
    finally:
        named.unlink()
