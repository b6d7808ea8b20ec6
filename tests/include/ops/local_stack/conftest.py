import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a plain and short path, wherever pytest's own are."""
    with tempfile.TemporaryDirectory(prefix="stack-", dir="/tmp") as folder:
        yield Path(folder).resolve()
