from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from include.platform.environment import (
    EXAMPLE,
    MlEnvironmentError,
    NoMlEnvironmentError,
    ml_environment,
    parse_ml_environment,
)

GOOD: dict[str, Any] = json.loads(EXAMPLE)


def test_the_example_in_the_message_is_good() -> None:
    assert parse_ml_environment(EXAMPLE).bucket == "my-ml-bucket"


def test_is_read_from_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_ML_ENVIRONMENT", json.dumps({**GOOD, "region": "us-east-1"}))
    assert ml_environment().region == "us-east-1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bucket": "Not_A_Bucket"}, r"bucket: .*found 'Not_A_Bucket'"),
        ({"role_arn": "ml-jobs"}, r"role_arn: .*found 'ml-jobs'"),
        ({"buckets": "x"}, r"buckets: .*Known keys: approve_promotions, approvers, bucket"),
        ({"subnets": ["subnet-1"]}, "subnets and security_group_ids go together"),
        ({"kafka": {"bootstrap_servers": "broker"}}, r"kafka.bootstrap_servers: .*found 'broker'"),
        (
            {"kafka": {"bootstrap_servers": "b:9096", "security_protocol": "SASL_SSL"}},
            "secret_id and the security_prot",
        ),
        (
            {"network_isolation": True, "mlflow_tracking_uri": "http://m"},
            "training cannot reach mlflow_tracking_uri with network_isolation",
        ),
        ({"instance_types": {"serving": "ml.m5.large"}}, "instance_types.serving"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(MlEnvironmentError, match=said):
        parse_ml_environment(json.dumps({**GOOD, **change}))


@pytest.mark.parametrize("key", ["bucket", "role_arn", "image_uri", "region", "code_hash"])
def test_what_is_missing_is_named(key: str) -> None:
    with pytest.raises(MlEnvironmentError, match=f"{key}: Field required"):
        parse_ml_environment(json.dumps({name: value for name, value in GOOD.items() if name != key}))


def test_approvers_may_be_named_or_be_ids_alone() -> None:
    parsed = [parse_ml_environment(json.dumps({**GOOD, "approvers": one})).approvers for one in (["7"], {"7": "ann"})]
    assert parsed == [{"7": "7"}, {"7": "ann"}]


def test_no_json_is_said_and_never_retried() -> None:
    with pytest.raises(AirflowFailException, match="'ml_environment' cannot be used: the whole value: Invalid JSON"):
        parse_ml_environment("bucket=x")


def test_a_variable_that_is_not_found_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow also says that it does not exist while its database is away."""

    def not_found(key: str) -> str:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": key}))

    monkeypatch.setattr(Variable, "get", not_found)
    with pytest.raises(NoMlEnvironmentError, match="airflow variables set ml_environment") as raised:
        ml_environment()
    assert not isinstance(raised.value, AirflowFailException), "no task retries it"
