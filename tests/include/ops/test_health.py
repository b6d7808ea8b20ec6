"""``make health``: what it prints, and its exit status."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from include.ops import health
from model_console.health import Finding, Health

ACT = Finding("endpoints", "act", "pumps-production", "failed: [red]no[/red] memory", "model/pumps")
FINE = Finding("queues", "fine", "approvals of pumps", "empty")


def test_the_screen_names_what_needs_attention_and_where_it_is() -> None:
    screen = io.StringIO()
    health.show(Health([ACT, FINE], ["alarms: denied"]), "http://airflow", Console(file=screen, width=200))
    said = screen.getvalue()
    assert "needs attention" in said
    assert "failed: [red]no[/red] memory" in said, "users' text is not markup"
    assert "pumps-production: http://airflow/models/model/pumps" in said
    assert "not known: alarms: denied" in said


@pytest.mark.parametrize(("findings", "status"), [([FINE], 0), ([ACT], 1)])
def test_the_exit_status_is_for_monitors(
    findings: list[Finding], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "health", lambda *_: Health(findings, []))
    monkeypatch.setattr("os.environ", {})
    with pytest.raises(SystemExit) as ended:
        health.main(["--json", "--", ""])
    assert ended.value.code == status
    assert json.loads(capsys.readouterr().out)["needs_attention"] is bool(status)


def test_an_airflow_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"AIRFLOW_PORT": "1", "LAPTOP_HOME": "/nowhere"})
    with pytest.raises(SystemExit, match="Airflow does not answer"):
        health.main([])
