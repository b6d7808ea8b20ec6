"""Whatever happens to the files, the job ends with a verdict and its reason, and loses no row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.include.jobs.validation.conftest import FILES, assert_nothing_lost
from tests.include.jobs.validation.conftest import run_job as run

Damage = Callable[[bytes], bytes]
TABLES = sorted(FILES)
positions = st.floats(0, 1, exclude_max=True)
fragments = st.sampled_from(
    [
        b"",
        b",",
        b'"',
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\x00",
        b"\xff",
        b"NaN",
        b"inf",
        b"-1e400",
        b"Z",
        b"+01:00",
        "é".encode(),
        b"99999999999999999999",
        b";;;",
        b"\xef\xbb\xbf",
    ]
)


def insert(at: float, what: bytes) -> Damage:
    return lambda content: content[: int(at * len(content))] + what + content[int(at * len(content)) :]


def cut(start: float, share: float) -> Damage:
    return lambda content: content[: int(start * len(content))] + content[int((start + share) * len(content)) :]


def overwrite(at: float, what: bytes) -> Damage:
    return lambda content: content[: int(at * len(content))] + what + content[int(at * len(content)) + len(what) :]


def repeat(start: float, share: float) -> Damage:
    def damaged(content: bytes) -> bytes:
        begin, end = int(start * len(content)), int((start + share) * len(content))
        return content[:end] + content[begin:]

    return damaged


damages = st.one_of(
    st.builds(insert, positions, fragments),
    st.builds(insert, positions, st.binary(max_size=12)),
    st.builds(overwrite, positions, fragments),
    st.builds(cut, positions, st.floats(0, 0.3)),
    st.builds(repeat, positions, st.floats(0, 0.1)),
    st.builds(
        lambda replaced: lambda content: content.replace(*replaced),
        st.sampled_from(
            [(b",", b";"), (b"\n", b"\r"), (b"2015", b"1015"), (b".", b""), (b"-", b"/"), (b"comp", b""), (b"1", b"")]
        ),
    ),
)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.tuples(st.sampled_from(TABLES), damages), min_size=1, max_size=4))
def test_any_damage_ends_in_a_verdict(small_fleet: dict[str, str], plan: list[tuple[str, Damage]]) -> None:
    contents = {name: text.encode() for name, text in small_fleet.items()}
    for name, damage in plan:
        contents[name] = damage(contents[name])
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        raw.mkdir()
        for name, content in contents.items():
            (raw / FILES[name]).write_bytes(content)
        verdict = run(raw, Path(folder) / "out")
        assert {name: (raw / FILES[name]).read_bytes() for name in contents} == contents
        assert_nothing_lost(verdict)
        for finding in verdict.findings("critical"):
            assert finding["file"]
            assert finding["found"]
            assert finding["allowed"]
            assert finding["action"]
            assert "could not be checked" not in finding["found"]
