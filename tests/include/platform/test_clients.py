"""Clients are made for each use, or kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.platform import clients


def test_clients_are_kept_only_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AwsBaseHook", lambda **_: SimpleNamespace(conn=object()))
    monkeypatch.setattr(clients, "_kept", None)
    here: Any = SimpleNamespace(region="eu-west-1")
    assert clients.s3_client(here) is not clients.s3_client(here)
    clients.keep_clients()
    assert clients.s3_client(here) is clients.s3_client(here)
    other: Any = SimpleNamespace(region="us-east-1")
    assert (
        len({id(one) for one in (clients.s3_client(here), clients.s3_client(other), clients.sagemaker_client(here))})
        == 3
    )
