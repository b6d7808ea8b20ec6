from __future__ import annotations

import re
from typing import Any

from include.deploy.approval_page import Packet, markdown, page
from include.deploy.serving_modes import MonthlyCost
from include.models.config import Monitoring, load_model
from include.models.config.judging import judge
from include.models.config.results import Evaluation
from include.platform.run_folders import Run
from include.registry import model_card

MODEL = load_model("predictive_maintenance")
OURS = {
    "macro_f1": 0.95,
    "accuracy_share_over_majority": 0.9,
    "dead_features": 0,
    "one_feature_alone": 0.3,
    "learned_per_tested": 2,
    "log_loss": 0.02,
    "failure_events_caught": 0.97,
    "highest_cost_per_1000_by_model": 30,
    "highest_cost_per_1000_by_age_band": 40,
    "recall_comp1": None,
}
THEIRS = {
    "macro_f1": 0.93,
    "accuracy_share_over_majority": 0.95,
    "one_feature_alone": 0.4,
    "log_loss": 0.03,
    "failure_events_caught": 0.97,
    "recall_comp1": 0.9,
}


def evaluation(metrics: dict[str, Any], champion: dict[str, Any] | None) -> Evaluation:
    intervals = {
        "macro_f1": (0.93, 0.97),
        **{f"highest_cost_per_1000_by_{name}": (20, 60) for name in ("model", "age_band")},
    }
    return {"metrics": metrics, "champion": champion, "intervals": intervals}


def packet(**changes: Any) -> Packet:
    facts: dict[str, Any] = {
        "model": MODEL,
        "version": 4,
        "champion_version": 3,
        "metrics": OURS,
        "champion_metrics": THEIRS,
        "same_split": True,
        "gates": judge(MODEL, evaluation(OURS, THEIRS)),
        "validation": {"Raw data": "all checks passed", "Features": "1 <b>warning</b>"},
        "drift": {"volt_mean_3h": 0.312, "age": 0.01},
        "latency": {"p50_ms": 4.0, "p99_ms": 9.5},
        "cost": MonthlyCost(168, 168, "84 USD", "84 USD: it is kept"),
        "traffic": "10 % for 10 minutes",
        "lineage": {"run_id": "manual__1"},
        "card": model_card.content(
            MODEL, Run("b", "train_m", "manual__1"), artifact="s3://b/m", evaluation=evaluation(OURS, None), lineage={}
        ),
        "links": {"Evaluation report": "https://example.com/report.html"},
    }
    return Packet(**(facts | changes))


def test_the_form_shows_what_decides() -> None:
    text = markdown(packet())
    assert packet().question == "Shall version 4 of predictive_maintenance replace version 3 in production?"
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "0.95" in rows["macro_f1"]
    assert "0.93 ▲ better" in rows["macro_f1"]
    assert "0.95 ▼ worse" in rows["accuracy_share_over_majority"]
    assert "0.4 ▲ better" in rows["one_feature_alone"]  # less is better if the gate is a maximum
    assert "better" not in rows["failure_events_caught"]
    assert rows["macro_f1"].endswith("passed |")
    assert "recall_comp1" not in rows
    assert "volt_mean_3h (0.31)" in text
    assert "age (0.01)" not in text
    for fact in (
        "p50 4 ms, p99 9.5 ms",
        "- **Cost**: 168 USD a month; production: 84 USD; staging: 84 USD: it is kept",
        "10 % for 10 minutes",
        "(https://example.com/report.html)",
    ):
        assert fact in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(columns) == 1, "rows have as many columns as the table's head"


def test_a_missed_gate_stands_out() -> None:
    ours = {**OURS, "accuracy_share_over_majority": 0.5}
    missed = packet(metrics=ours, gates=judge(MODEL, evaluation(ours, THEIRS)))
    assert re.search(r"\| accuracy_share_over_majority .*\*\*not passed\*\*", markdown(missed))
    assert "8 of 9" in page(missed)


def test_the_first_version_has_nothing_beside_it() -> None:
    first = packet(champion_version=None, champion_metrics={}, gates=judge(MODEL, evaluation(OURS, None)), drift=None)
    text = markdown(first)
    assert "become the first version in production?" in first.question
    assert "nothing to compare with" in text
    assert "better" not in text
    columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(columns) == 1


def test_different_test_data_is_said_and_nothing_is_called_better() -> None:
    text = markdown(packet(same_split=False))
    assert "use different rows" in text
    assert "better" not in text


def test_the_page_stands_alone_and_shows_the_rest() -> None:
    text = page(packet())
    assert not re.search(r"""<(script|link|img)|src=|url\(""", text)
    assert "recall comp1" in text
    assert "1 &lt;b&gt;warning&lt;/b&gt;" in text
    assert "<b>168 USD a month</b>" in text
    card = text.split('id="model-card"')[1].split("<h2")[0]
    assert MODEL.card.intended_uses is not None
    assert MODEL.card.intended_uses in card
    assert "Trained by train_m, run manual__1." in card
    assert "model-card" not in page(packet(card={})), "a version registered without one"


def test_what_mlflow_lacks_of_the_training_is_on_the_page() -> None:
    lacking = page(packet(lineage={"run_id": "manual__1", "tracking": "the metric f1<a was refused"}))
    assert "the metric f1&lt;a was refused" in lacking


def test_a_feature_has_drifted_for_the_packet_as_for_monitoring() -> None:
    assert packet(drift={"a": 0.25, "b": 0.2501}).drifted == [("b", 0.2501)]
    strict = MODEL.model_copy(update={"monitoring": Monitoring(max_psi=0.1)})
    assert [name for name, _ in packet(model=strict, drift={"a": 0.25, "b": 0.2501}).drifted] == ["b", "a"]


def test_an_approver_is_told_what_was_forced_what_was_missed_and_how_the_champion_was_compared() -> None:
    passed: Any = {"metric": "log_loss", "kind": "max", "threshold": 0.1, "value": 0.05, "passed": True}
    missed: Any = {"metric": "macro_f1", "kind": "min", "threshold": 0.9, "value": 0.8, "passed": False}
    champion: Any = {"metric": "macro_f1", "kind": "champion", "threshold": 0.9, "value": 0.95, "passed": True}
    told = packet(gates=[passed, missed, champion], lineage={"forced": "urgent"}, findings=["a finding"]).told
    assert [line.partition(" ")[0] for line in told] == ["Registration", "macro_f1", "macro_f1", "a"]
    assert told[0] == "Registration was forced although it did not pass. Reason: urgent"
    assert "it is 0.8, 0.1 off" in told[1]
    assert packet(gates=[passed]).told == []


def test_better_is_said_only_where_it_is_known_what_better_is() -> None:
    shown = packet()
    said = {name: shown.better(name) for name in OURS}
    assert said["macro_f1"] is True
    assert said["accuracy_share_over_majority"] is False
    assert said["one_feature_alone"] is True
    for unknown in ("failure_events_caught", "recall_comp1", "dead_features"):
        assert said[unknown] is None, "equal, or one of the two is unknown"
    assert packet(champion_metrics={**THEIRS, "spare": 1.0}, metrics={**OURS, "spare": 2.0}).better("spare") is None
    assert packet(same_split=False).better("macro_f1") is None
    assert packet(metrics={**OURS, "spare": 2.0}).others[-1] == "spare"
    assert not set(shown.others) & set(shown.decisive)
