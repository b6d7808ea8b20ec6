"""What make promote says before it acts, according to Airflow's API."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.ops.local_stack import promote


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"register_model": "success", "reject_model": "skipped"}, ""),
        ({"reject_model": "success"}, "was rejected and registered nothing: this is an older version"),
        ({"train_model": "failed"}, "failed: this is an older version"),
    ],
)
def test_a_training_that_came_to_nothing_is_said_first(states: dict[str, str], said: str) -> None:
    tasks = [{"task_id": task_id, "state": state} for task_id, state in states.items()]
    api: Any = SimpleNamespace(run_ids=lambda _: ["newest", "older"], task_instances=lambda *_: tasks)
    assert promote.last_training(api, "train_pumps").endswith(said)
    assert bool(promote.last_training(api, "train_pumps")) is bool(said)


def test_a_model_that_was_never_trained_has_no_last_training() -> None:
    api: Any = SimpleNamespace(run_ids=lambda _: [])
    assert promote.last_training(api, "train_pumps") == ""


def test_what_is_in_production_and_was_deleted_by_hand_is_not_in_service() -> None:
    def absent(EndpointName: str) -> dict[str, str]:  # noqa: N803
        raise ClientError({"Error": {"Code": "ValidationException"}}, "DescribeEndpoint")

    gone: Any = SimpleNamespace(describe_endpoint=absent)
    there: Any = SimpleNamespace(describe_endpoint=lambda EndpointName: {"EndpointStatus": "InService"})  # noqa: N803
    assert not promote._is_in_service(gone, "pumps-production")
    assert promote._is_in_service(there, "pumps-production")


def test_raw_data_whose_training_registered_nothing_is_not_replaced_by_generated_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(promote, "aws_client", lambda *_: None)
    monkeypatch.setattr(promote, "_newest_package", lambda *_: None)
    monkeypatch.setattr(promote, "list_raw_data", lambda *_: [{"key": "raw/pumps/rows.csv"}])
    nothing: Any = SimpleNamespace()
    with pytest.raises(promote.PromotionError, match=r"no version of pumps is registered.*make run MODEL=pumps"):
        promote.require_package(nothing, "pumps", "pumps", nothing)


@pytest.mark.parametrize(
    ("there", "suggested"),
    [
        (("2015-12-24", "2016-01-01"), "make backfill MODEL=predictive_maintenance FROM=2015-12-24 TO=2015-12-30"),
        (("2015-12-31", "2016-01-01"), "make backfill MODEL=predictive_maintenance FROM=2015-12-31 TO=2015-12-31"),
        (None, ""),
    ],
)
def test_the_days_suggested_next_end_before_the_data_is_cut_short(
    there: tuple[str, str] | None, suggested: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promote, "newest_days", lambda *_: there)
    assert promote.next_step(Any, "predictive_maintenance") == suggested  # type: ignore[arg-type]
