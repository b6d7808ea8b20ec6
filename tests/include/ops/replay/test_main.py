"""What a replay refuses before it trains anything; its world is a stand-in."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from include.models.config import load_model
from include.ops.local_stack.settings import Settings
from include.ops.replay import __main__ as replay
from include.platform.errors import PermanentError


class Empty:
    """A world that needs no local SageMaker."""

    def __init__(self, settings: Settings) -> None:
        self.running = nullcontext

    def client(self, service: str) -> Any:
        return type("S3", (), {"create_bucket": lambda self, Bucket: None})()  # noqa: N803 - boto3's name

    def use_code(self, code_hash: str) -> None:
        pass


def test_days_without_data_are_refused_before_a_version_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "World", Empty)
    for name in ("upload_code", "seed", "seed_days"):
        monkeypatch.setattr(replay, name, lambda *_: "0123456789ab")
    monkeypatch.setattr(replay, "newest_days", lambda *_: ("1998-05-06", "1998-05-06"))
    monkeypatch.setattr(replay, "list_partitions", lambda *_: {"1998-05-05": [], "1998-05-06": []})
    given = load_model("electricity"), Settings(tmp_path, 0, 0)
    with pytest.raises(PermanentError, match=r"2 lack it, from 1998-05-07 on; the data ends on 1998-05-06"):
        replay.start(*given, "1998-05-05", "1998-05-08", None, Console(quiet=True))
