"""The AWS clients of tasks, answering from memory."""

from __future__ import annotations

from typing import Any

import pytest

from include.platform import clients


def answer_from(monkeypatch: pytest.MonkeyPatch, **fakes: Any) -> None:
    """Give tasks these clients, by service (``sagemaker_runtime`` for sagemaker-runtime); all others are missing."""
    monkeypatch.setattr(clients, "_client", lambda service, environment: fakes[service.replace("-", "_")])
