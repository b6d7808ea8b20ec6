"""Where a report's links lead."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from include.models.config import load_model
from include.monitor import links

DAY = "2026-03-31"


def test_a_replayed_file_and_the_delivered_one_have_a_link_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "sagemaker_client", lambda _: None)
    monkeypatch.setattr(links, "file_page", lambda uri, _: f"page of {uri}")
    day = f"daily/electricity/date={DAY}/"
    context: Any = {"ti": SimpleNamespace(log_url="http://a/dags/d/runs/r/tasks/t", dag_id="d", run_id="r")}
    keys = [f"{day}market.csv", f"{day}replay/market.csv", "daily/electricity/date=2026-03-30/market.csv"]
    manifest: Any = {"inputs": [{"key": key} for key in keys]}
    environment: Any = SimpleNamespace(bucket="b")
    model = load_model("electricity")
    found = links.links_of(model, environment, context, day=DAY, version=3, manifest=manifest)
    files = {what: address for what, address in found.items() if "page of" in address}
    assert files == {"market.csv": f"page of s3://b/{keys[0]}", "replay/market.csv": f"page of s3://b/{keys[1]}"}
