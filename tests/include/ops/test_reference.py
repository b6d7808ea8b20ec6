"""Generated pages: a stale page is named, and one that cannot be generated says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.jobs.sinks import kafka_metrics
from include.models.config.watching import METRICS
from include.ops import reference
from include.ops.mwaa import templates


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(reference, "FOLDER", tmp_path)
    return tmp_path


def test_a_stale_page_is_named_and_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check", "make"]) == 1
    assert "stale: make" in capsys.readouterr().err
    assert reference.main(["make"]) == 0
    assert "| `make run` |" in (folder / "make.md").read_text()
    assert reference.main(["--check", "make"]) == 0


def test_an_unknown_page_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        reference.main(["makes"])
    assert "there are dags, make, storage" in capsys.readouterr().err


def test_every_section_of_model_yaml_has_its_keys_types_and_defaults(folder: Path) -> None:
    text = reference.model_yaml()
    assert "| `min_positives` | integer | `10` | at least 1, at most 1000000 |" in text
    assert "| `gates` | list of [Gate](#gate) | **required** |" in text
    assert "## Gate\n" in text


def test_every_metric_that_is_sent_and_every_alarm_has_its_row() -> None:
    text = reference.metrics()
    sources = "".join((reference.ROOT / "include/monitor" / name).read_text() for name in ("tasks.py", "probes.py"))
    sent = set(re.findall(r'"((?:Rows|[A-Z][a-z]+[A-Z]\w*))"', sources)) - {"MetricName"}
    assert len(sent) > 8
    assert sent | kafka_metrics.UNITS.keys() == METRICS.keys()
    assert all(f"| `{name}` |" in text for name in METRICS)
    alarms = [path.read_text().count("AWS::CloudWatch::Alarm\n") for path in templates.FOLDER.glob("*.yaml")]
    assert text.count("\n| `<environment>-") == sum(alarms) > 10
    assert "| `<model>-production-latency` | ModelLatency |" in text


def test_dag_files_with_errors_make_no_page(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path_factory.mktemp("checkout")
    (root / "dags").mkdir()
    (root / "dags" / "broken.py").write_text("from airflow.sdk import DAG\nraise RuntimeError('no')\n")
    monkeypatch.setattr(reference, "ROOT", root)
    assert reference.main(["dags"]) == 1
    assert "has errors" in capsys.readouterr().err
    assert not (folder / "dags.md").exists()
