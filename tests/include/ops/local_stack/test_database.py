"""The laptop's PostgreSQL, as a real process."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from include.ops.local_stack.database import Postgres
from include.ops.local_stack.processes import Service, wait_until
from include.ops.local_stack.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(tmp_path / "home, sweet home", 1, 2)
    yield settings
    settings.postgres.service(settings.home).stop()


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


def test_a_path_too_long_for_a_socket_gets_another_folder(tmp_path: Path) -> None:
    deep = Postgres(tmp_path / ("deep" * 30), tmp_path)
    assert len(os.fsencode(deep.socket_folder)) < 100
    assert deep.socket_folder != Postgres(tmp_path / ("Deep" * 30), tmp_path).socket_folder
