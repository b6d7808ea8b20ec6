"""The laptop's PostgreSQL, as a real process."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy

from include.laptop.database import LONGEST_FOLDER, Postgres
from include.laptop.processes import ProcessError, Service, wait_until
from include.laptop.settings import Settings

# what libpq, a URL, a shell or PostgreSQL's own settings part, end or decode
ODD_NAMES = [*(f"a{odd}b" for odd in ",;: %?#&=+@'\"$`\\~*ü"), "50%41", "it's a, test #1 (50 %) ü", " ", "..."]


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a plain and short path, wherever pytest's own are."""
    with tempfile.TemporaryDirectory(prefix="postgres-", dir="/tmp") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def settings(request: pytest.FixtureRequest, short: Path) -> Iterator[Settings]:
    """Of a home with the name that a test asks for; with the socket inside, unless it does."""
    settings = Settings(short / getattr(request, "param", "home"), 1, 2)
    yield settings
    settings.postgres.service(settings.home).stop()
    if settings.postgres.socket_folder.parent == Path("/tmp"):
        settings.postgres.socket_folder.rmdir()


def started(settings: Settings) -> Service:
    settings.postgres.initialise()
    service = settings.postgres.service(settings.home)
    assert service.start()
    wait_until(settings.postgres.is_ready, "PostgreSQL answering", 60, [service])
    return service


def run(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    folder = str(settings.postgres.socket_folder)
    connected = psycopg2.connect(host=folder, user="airflow", dbname="postgres")
    with closing(connected) as database, database, database.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def test_what_was_committed_survives_stop_and_kill(settings: Settings) -> None:
    service = started(settings)
    run(settings, "create table runs (id int)")
    run(settings, "insert into runs values (1)")
    run(settings, "checkpoint")
    assert service.stop()
    assert not settings.postgres.is_ready()
    service = started(settings)
    assert run(settings, "select id from runs") == [(1,)]
    process = service.process()
    assert process is not None
    process.kill()
    process.wait(10)
    started(settings)
    assert run(settings, "select id from runs") == [(1,)]


def test_an_open_session_does_not_hold_up_the_stop(settings: Settings) -> None:
    service = started(settings)
    with closing(psycopg2.connect(host=str(settings.postgres.socket_folder), user="airflow", dbname="postgres")):
        process = service.process()
        assert process is not None
        process.send_signal(service.stop_signal)
        process.wait(10)


def test_no_port_is_opened(settings: Settings) -> None:
    started(settings)
    assert run(settings, "show listen_addresses") == [("",)]
    assert (settings.postgres.folder.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize("settings", ["home", "it's a, test #1 (50 %) ü", "long" * 20], indirect=True)
def test_airflow_finds_it_with_the_socket_inside_and_outside(settings: Settings) -> None:
    started(settings)
    assert run(settings, "select 1") == [(1,)]
    with sqlalchemy.create_engine(settings.postgres.url).connect() as connection:
        assert connection.execute(sqlalchemy.text("show data_directory")).scalar() == str(
            settings.postgres.folder / "data"
        )


@pytest.mark.parametrize("name", [*ODD_NAMES, "deep" * 30])
def test_the_sockets_folder_is_short_and_plain(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / name))
    monkeypatch.setattr(tempfile, "tempdir", None)
    folders = [Postgres(tmp_path / name / checkout, tmp_path).socket_folder for checkout in ("one", "other")]
    assert folders[0] != folders[1]
    for folder in folders:
        assert len(os.fsencode(folder)) <= LONGEST_FOLDER
        url = sqlalchemy.make_url(Postgres(tmp_path / name / "one", tmp_path).url)
        assert url.query["host"] == str(folders[0])


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name != "..."])
def test_the_socket_is_inside_a_plain_home_alone(name: str, short: Path) -> None:
    assert Postgres(short / "home", short).socket_folder == short / "home" / "socket"
    assert not Postgres(short / name, short).socket_folder.is_relative_to(short)


def test_a_folder_of_another_user_is_refused(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Postgres(short / "home", short)
    database.folder.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ProcessError, match="belongs to another user"):
        database.initialise()
