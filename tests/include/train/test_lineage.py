"""What a version's metadata says about its training."""

from __future__ import annotations

from typing import Any

from include.models.config import load_model
from include.platform.borders import MOST_METADATA
from include.platform.environment import EXAMPLE, parse_ml_environment
from include.platform.run_folders import Run
from include.train.lineage import LIMIT, lineage_of

MODEL = load_model("predictive_maintenance")
ENVIRONMENT = parse_ml_environment(EXAMPLE)
RUN = Run("my-ml-bucket", "train_predictive_maintenance", "manual__1")
ARTIFACT = "s3://my-ml-bucket/runs/train_predictive_maintenance/x/train_model/job-1/output/model.tar.gz"
FILE = {"key": "raw/predictive_maintenance/PdM_errors.csv", "bytes": 6, "etag": "abc"}
REASON = "the old one cannot be served any more"


def lineage(
    result: dict[str, Any] | None = None, gates: Any = (), files: int = 1, reason: str | None = None
) -> dict[str, object]:
    evaluated: Any = {"name": "job-2", "inputs": {"artifact": ARTIFACT}, "result": result or {}}
    there: Any = [{**FILE, "key": f"{FILE['key']}{number}"} for number in range(files)]
    params = {"started_by": None, "reason": reason}
    return lineage_of(
        MODEL, ENVIRONMENT, RUN, evaluated=evaluated, gates=list(gates), files=there, triggered_by=None, params=params
    )


def gate(metric: str, value: float | None, **more: Any) -> Any:
    return {"metric": metric, "kind": "min", "threshold": 0, "value": value, "passed": True, **more}


def test_a_reason_is_a_force_only_where_it_let_something_through() -> None:
    passed, forced = gate("macro_f1", 0.9), gate("macro_f1", 0.9, passed=False, forced=True)
    assert "forced" not in lineage(gates=[passed], reason=REASON)
    assert lineage(gates=[passed, forced], reason=REASON)["forced"] == REASON


def test_what_is_unknown_is_left_out() -> None:
    found = lineage(gates=[gate("macro_f1", None), gate("log_loss", 0.0512345678, interval=(0.05, 0.0525))])
    assert not {"mlflow_run_id", "tracking", "triggered_by", "started_by", "champion", "metric_macro_f1"} & found.keys()
    assert (found["metric_log_loss"], found["interval_log_loss"]) == ("0.0512346", "0.05 to 0.0525")
    assert (found["training_job"], found["evaluation_job"]) == ("job-1", "job-2")
    assert not [name for name in found if name.startswith("refit")]


def test_a_refit_is_there_with_the_champions_metric_if_it_has_one() -> None:
    metric = MODEL.champion.metric
    refit = {"rows": 1000, "distance": 0.01234567, "metrics": {metric: 0.5}}
    found = lineage({"refit": refit})
    assert (found["refit_rows"], found["refit_distance"], found[f"refit_{metric}"]) == (1000, "0.01235", "0.5")
    assert f"refit_{metric}" not in lineage({"refit": {**refit, "metrics": {metric: None}}})


def test_there_is_room_left_for_the_entries_of_a_promotion() -> None:
    assert len(lineage(files=200)) <= LIMIT < MOST_METADATA
