"""Requests that are computed together get the answers that each gets alone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from include.jobs.serving.endpoint import UnavailableError
from include.jobs.serving.payload import JSON, BadRequestError
from include.online.service import Asked, Service
from include.online.together import Together
from tests.include.online.conftest import Tables, until

HOUR = datetime(2015, 1, 20, 6)  # noqa: DTZ001 - as tables have it


def asked(content: object, *, why: bool = False) -> Asked:
    return Asked(json.dumps(content, default=str).encode(), JSON, why)


def requests_of(fleet: Tables) -> list[Asked]:
    """Of other machines, of one machine twice, of other moments, without a machine, of features, and invalid ones."""
    reading = {"datetime": HOUR, "volt": 170.5, "rotate": 440.1, "pressure": 99.0, "vibration": 40.2}
    return [
        *(asked(until(fleet, machine, HOUR)) for machine in (1, 2, 3)),
        asked(until(fleet, 1, HOUR - timedelta(hours=9))),
        asked(until(fleet, 4, HOUR + timedelta(days=20)), why=True),
        asked({"machineID": 1, **reading, "errorIDs": ["error1"]}),
        asked(reading),
        asked({**reading, "volt": 150.25}),
        asked({"machineID": 2, **reading, "errorIDs": ["error9"]}),
        asked({"machineID": 99, "datetime": HOUR}),
        asked({"vlot": 1}),
        asked([{"machineID": machine, **reading} for machine in (5, 6)]),
    ]


def outcome(found: object) -> str:
    return repr(found) if isinstance(found, Exception) else json.dumps(found)


def test_the_answers_are_those_of_each_alone_to_the_bit(service: Service, fleet: Tables) -> None:
    requests = requests_of(fleet)
    alone = [outcome(service.predict_together([one])[0]) for one in requests]
    assert [outcome(one) for one in service.predict_together(requests)] == alone
    valid = [one for one, found in zip(requests, alone, strict=True) if found.startswith("{")]
    assert len(valid) == len(requests) - 3, alone
    assert [outcome(one) for one in service.predict_together(valid)] == [one for one in alone if one.startswith("{")]


def test_requests_about_other_machines_share_a_table_of_features(
    service: Service, fleet: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering, built = service._answering, []
    build = answering._build
    monkeypatch.setattr(answering, "_build", lambda tables: built.append(1) or build(tables))  # type: ignore[func-returns-value]
    service.predict_together([asked(until(fleet, machine, HOUR)) for machine in (1, 2, 3)])
    assert len(built) == 1
    service.predict_together([asked(until(fleet, 1, HOUR + timedelta(days=days))) for days in (0, 20)])
    assert len(built) == 3, "a table over both moments would be as long as the time between them"


def test_an_unavailable_backend_is_asked_once_for_all(
    service: Service, fleet: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fail(*_: object, **__: object) -> None:
        calls.append(1)
        raise UnavailableError("gone")

    monkeypatch.setattr(service._answering._backend, "answer", fail)
    found = service.predict_together([asked(until(fleet, machine, HOUR)) for machine in (1, 2)])
    assert [type(one) for one in found] == [UnavailableError] * 2
    assert len(calls) == 1


def test_what_waits_is_answered_in_one_call_and_each_gets_its_own() -> None:
    batches, going = [], threading.Event()

    def answer(requests: Sequence[int]) -> list[int | Exception]:
        batches.append(list(requests))
        assert going.wait(30)
        return [BadRequestError("odd") if one % 2 else one * 10 for one in requests]

    async def ask() -> list[object]:
        together = Together(answer, threads=1)
        tasks = [asyncio.ensure_future(together(number)) for number in range(5)]
        while not batches:
            await asyncio.sleep(0)
        late = [asyncio.ensure_future(together(number)) for number in (5, 6)]
        late[1].cancel()
        going.set()
        return list(await asyncio.gather(*tasks, *late, return_exceptions=True))

    found = asyncio.run(ask())
    assert [one for one in found if isinstance(one, int)] == [0, 20, 40]
    assert [type(one) for one in found[1:6:2]] == [BadRequestError] * 3
    assert isinstance(found[6], asyncio.CancelledError)
    assert sorted(one for batch in batches for one in batch)[:6] == list(range(6))
    assert len(batches) <= 2


def test_a_call_that_fails_fails_for_all_that_wait_for_it_and_the_next_goes_on() -> None:
    fails = [True]

    def answer(requests: Sequence[int]) -> list[int | Exception]:
        if fails.pop() if fails else False:
            raise RuntimeError("broken")
        return list(requests)

    async def ask() -> tuple[list[object], int]:
        together = Together(answer, threads=1)
        broken = await asyncio.gather(together(1), together(2), return_exceptions=True)
        return list(broken), await together(3)

    broken, after = asyncio.run(ask())
    assert [type(one) for one in broken] == [RuntimeError] * 2
    assert after == 3
