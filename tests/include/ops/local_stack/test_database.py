"""The laptop's PostgreSQL, as a real process."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest
import sqlalchemy

from include.ops.local_stack.processes import Service, wait_until
from include.ops.local_stack.settings import Settings


@pytest.fixture
def settings(request: pytest.FixtureRequest, short: Path) -> Iterator[Settings]:
    """A database in a home with the name that a test requests; the socket is inside, unless a name is given."""
    settings = Settings(short / getattr(request, "param", "home"), 1, 2)
    yield settings
    settings.postgres.service(settings.home).stop()
    if settings.postgres.socket_folder.is_symlink():
        settings.postgres.socket_folder.unlink()


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
    family = [process, *process.children(recursive=True)]
    process.kill()
    psutil.wait_procs(family, 10)  # while one of them lives, no other server starts on its data
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
