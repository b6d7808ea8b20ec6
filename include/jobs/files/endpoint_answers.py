"""Predicts the rows of a file through an endpoint: in chunks, several at a time, each retried while the endpoint is
unavailable.

The result is what a transform job that keeps the key beside each prediction would write. Predictions stay with their
rows, in the rows' order, however late each arrives.
"""

from __future__ import annotations

import csv
import io
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from include.jobs.serving.endpoint import Endpoint, UnavailableError
from include.jobs.serving.payload import CSV, BadRequestError
from include.models.errors import JobError
from include.models.quoting import quoted

AT_ONCE = 4
CHUNK_ROWS = 2000
CHUNK_BYTES = 4 * 2**20  # below InvokeEndpoint's limit of 6 MB
TRIES = 8
WAIT_SECONDS, LONGEST_WAIT = 0.5, 20.0  # before the second try, and the maximum; with full jitter

Row = list[str]


@dataclass(frozen=True)
class EndpointAnswers:
    """Predicts files of rows, like ``Predictor``.

    Args:
        features: the names of the columns after the key.
        key: how many columns precede the features in the rows.
        explain: whether to ask for reasons.
    """

    endpoint: Endpoint
    features: Sequence[str]
    key: int
    explain: bool = False

    def answer(self, rows: Path) -> None:
        """Writes ``<rows>.out``: the key and the prediction of each row.

        Raises:
            JobError: a chunk was rejected, remained unanswered, or got the wrong number of answers.
        """
        target = rows.with_name(f"{rows.name}.out")
        with (
            rows.open(encoding="utf-8", newline="") as given,
            target.open("w", encoding="utf-8", newline="") as into,
            ThreadPoolExecutor(AT_ONCE) as pool,
        ):
            answers = csv.writer(into, lineterminator="\n")
            under_way: deque[Future[list[Row]]] = deque()
            for chunk in _chunks(csv.reader(given)):
                if len(under_way) == AT_ONCE:
                    answers.writerows(under_way.popleft().result())
                under_way.append(pool.submit(self._ask, chunk))
            for last in under_way:
                answers.writerows(last.result())

    def _ask(self, chunk: list[Row]) -> list[Row]:
        """The chunk's keys, each with its prediction."""
        body = io.StringIO(newline="")
        writer = csv.writer(body, lineterminator="\n")
        writer.writerow(self.features)
        writer.writerows(row[self.key :] for row in chunk)
        text = self._patiently(body.getvalue().encode(), len(chunk)).decode()
        cells = list(csv.reader(io.StringIO(text, newline="")))
        if len(cells) != len(chunk):
            raise JobError(f"the endpoint {self.endpoint.name} gave {len(cells):,} answers to {len(chunk):,} rows.")
        return [[*row[: self.key], *answer] for row, answer in zip(chunk, cells, strict=True)]

    def _patiently(self, body: bytes, rows: int) -> bytes:
        wait = WAIT_SECONDS
        for _ in range(TRIES - 1):
            try:
                return self._once(body)
            except UnavailableError as error:
                print(f"a chunk of {rows:,} rows is sent again: {error}", flush=True)
                time.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - no secret: so that chunks do not come at once
                wait = min(2 * wait, LONGEST_WAIT)
        try:
            return self._once(body)
        except UnavailableError as error:
            raise JobError(f"a chunk of {rows:,} rows was not answered in {TRIES} tries: {error}") from error

    def _once(self, body: bytes) -> bytes:
        try:
            return self.endpoint.invoke(body, CSV, f"{CSV};explain=true" if self.explain else CSV)[0]
        except BadRequestError as error:
            raise JobError(
                f"the endpoint {self.endpoint.name} refused the features of this version: {quoted(str(error))} It may "
                "currently serve another version than the champion."
            ) from error


def _chunks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    size = 0
    for row in rows:
        length = sum(map(len, row)) + len(row)
        if chunk and (len(chunk) == CHUNK_ROWS or size + length > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += length
    if chunk:
        yield chunk
