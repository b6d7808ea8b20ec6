"""A kill -9 loses no answered call. A short version of what ``make faults`` does 200 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.include.local_sagemaker.crashes import Crashes, restart_endpoints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    Crashes(tmp_path, seed=1).run(kills=5)


def test_every_endpoint_is_back_after_each_restart(tmp_path: Path) -> None:
    restart_endpoints(tmp_path, restarts=4)
