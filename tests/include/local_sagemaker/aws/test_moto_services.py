"""Moto's answers to many concurrent clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from tests.include.local_sagemaker.conftest import client_of
from tests.include.local_sagemaker.local_server import LocalSageMaker

SECONDS, CLIENTS = 1.5, 4


def test_lists_are_read_while_they_grow(server: LocalSageMaker, client: Callable[[str], Any]) -> None:
    group = "/read/while/it/grows"
    logs = client("logs")
    logs.create_log_group(logGroupName=group)
    for number in range(400):  # enough that a reader takes longer than a writer
        logs.create_log_stream(logGroupName=group, logStreamName=f"old-{number}")
    failures: list[str] = []
    connected = threading.Barrier(2 * CLIENTS)

    def repeat(call: Callable[[Any, int], None]) -> None:
        mine, number = client_of(server)("logs"), 0
        connected.wait(60)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            number += 1
            try:
                call(mine, number)
            except Exception as error:  # noqa: BLE001 - whatever a client may see is a failure of the server
                failures.append(repr(error))

    def write(logs: Any, number: int) -> None:
        logs.create_log_stream(logGroupName=group, logStreamName=f"{threading.get_ident()}-{number}")

    def read(logs: Any, number: int) -> None:
        logs.describe_log_streams(logGroupName=group)

    threads = [threading.Thread(target=repeat, args=(call,)) for call in (write, read) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs.delete_log_group(logGroupName=group)
    assert failures == []
