"""A request is answered with as many rows as were sent, or refused with a message."""

from __future__ import annotations

import csv
import io
import json

from hypothesis import strategies as st

from include.jobs.serving.payload import CSV, JSON, JSONLINES, BadRequestError, Columns, parse
from include.models.config.kinds import STRING, number_in
from tests.fuzz.examples import attempt, damaged, fuzz

COLUMNS = Columns(["volt", "site", "age"], frozenset({"id"}), {"site": STRING}, {"Volt (V)": "volt"})
ROW = {"volt": 1.5, "site": "a", "age": None}
GOOD = {
    CSV: [b"1,a,2\n3,b,\n", b'age,Volt (V),site,id\n1,2,"x,y",7\n', b'1,"q""q",2\r\n,,\r\n'],
    JSON: [
        json.dumps({"instances": [ROW, [1, "b", 2]]}).encode(),
        json.dumps([ROW]).encode(),
        json.dumps(ROW).encode(),
    ],
    JSONLINES: [b"\n".join([json.dumps(ROW).encode()] * 3), b'[1, "\xe2\x80\xa8", 2]\n[3, null, 4]\n\n'],
}
FRAGMENTS = [b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"\xff", b"{", b"}", b"[", b"]", b":", b"null"]
FRAGMENTS += [b"volt", b"site", b"id", b"Volt (V)", b"NaN", b"Infinity", b"1e999", b'"instances":', b"\xe2\x80\xa8"]


NAMES = {"age", "volt", "site", "Volt (V)"}


def is_number(cell: str) -> bool:
    try:
        number_in(cell)
    except ValueError:
        return False
    return True


def sent(body: bytes, media_type: str) -> int | None:
    """The number of rows in a body, counted by Python's own readers; None if they cannot tell."""
    try:
        text = body.decode("utf-8-sig")
        if media_type == CSV:
            rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
            return len(rows) - bool(rows and set(rows[0]) & NAMES and not any(map(is_number, rows[0])))
        if media_type == JSONLINES:
            return sum(bool(line.strip()) for line in text.split("\n"))
        found = json.loads(text)
    except (ValueError, csv.Error):
        return None
    found = found.get("instances", [found]) if isinstance(found, dict) else found
    return len(found) if isinstance(found, list) else 1


def test_payloads() -> None:
    def check(example: tuple[str, bytes]) -> None:
        media_type, body = example
        rows, error = attempt(lambda: parse(body, media_type, COLUMNS), BadRequestError)
        if rows is None:
            assert str(error)
            return
        assert rows.columns == COLUMNS.features
        assert rows.height == sent(body, media_type)

    bodies = [
        st.tuples(st.just(media_type), damaged(st.sampled_from(good), FRAGMENTS) | st.binary(max_size=40))
        for media_type, good in GOOD.items()
    ]
    fuzz("payloads", st.one_of(bodies), check)
