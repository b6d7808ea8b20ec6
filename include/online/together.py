"""Requests that arrive while others are computed are then computed together: what they share is paid for once."""

from __future__ import annotations

from asyncio import Future, Task, create_task, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence

import anyio.to_thread

MOST = 32  # requests at once


class Together[Request, Answer]:
    """Calls ``answer`` in a few threads, each time with the requests that wait; to be awaited in one event loop."""

    def __init__(self, answer: Callable[[Sequence[Request]], Sequence[Answer | Exception]], threads: int) -> None:
        """``answer`` returns what each request gets, or the exception that it raises."""
        self._answer, self._threads = answer, threads
        self._waiting: deque[tuple[Request, Future[Answer]]] = deque()
        self._running: set[Task[None]] = set()

    async def __call__(self, request: Request) -> Answer:
        future: Future[Answer] = get_running_loop().create_future()
        self._waiting.append((request, future))
        if len(self._running) < self._threads:
            task = create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _run(self) -> None:
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
            found: Sequence[Answer | Exception]
            try:
                found = await anyio.to_thread.run_sync(self._answer, [request for request, _ in some])
            except Exception as error:  # noqa: BLE001 - whoever waits for it raises it
                found = [error] * len(some)
            for (_, future), answer in zip(some, found, strict=True):
                if future.done():  # its caller is gone
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
