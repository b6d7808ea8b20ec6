"""Settings of the environment that Dags run in: bucket, role, image, region and others.

They are one Airflow Variable, ``ml_environment``, a JSON object, read when a task runs, never when a file is parsed.
On a laptop ``make up`` sets it; the environment variable ``AIRFLOW_VAR_ML_ENVIRONMENT`` overrides it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from airflow.sdk import Variable
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from include.models.config import InstanceType, SinkConnections
from include.platform.errors import PermanentError

VARIABLE = "ml_environment"
EXAMPLE = (
    '{"bucket": "my-ml-bucket", "role_arn": "arn:aws:iam::123456789012:role/ml-jobs", "image_uri": '
    '"123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml-jobs:1", "region": "eu-west-1", "code_hash": "0123456789ab"}'
)


class MlEnvironmentError(PermanentError):
    """The Variable is invalid; the message says what to set."""


class NoMlEnvironmentError(AirflowException):
    """The Variable was not found. Airflow also reports this while its database restarts: a retry may help."""


class MlEnvironment(SinkConnections):
    """Where jobs run and what they may use, and the connections of sinks.

    ``code_hash`` names the folder of job code in the bucket that a deploy uploaded (see ``code_bundle``);
    ``git_commit`` is the commit it was built from, which reports link to in ``repository``, its web address.
    ``instance_types`` replaces the instance types of model.yaml, per kind of job, where an environment has other
    quotas. ``chat_connection``: the Airflow Connection whose password is the webhook address of Slack, Teams or another
    chat, which gets a copy of every mail. ``traffic_step_seconds`` replaces model.yaml's minutes between the steps of a
    traffic shift, where no real traffic is at stake. ``role_per_model``: a model's jobs and endpoint use their own
    role, ``<role_arn>-<group>``, which cannot change another model's files. ``encrypt_traffic``: the instances of one
    job encrypt traffic between them. ``network_isolation``: containers of training, batch transform and endpoints have
    no network; SageMaker moves their inputs and outputs. ``publish_from``: a checkout whose job code, with every
    model.yaml, is published at the start of every run; for a laptop. ``approvers``: the Airflow users who may answer a
    promotion, as ``{id: name}`` or a list of ids; everybody if empty. Airflow names a user's id when it refuses an
    answer: the user name on a laptop, a number on MWAA. ``four_eyes``: nobody may approve what they trained or started
    themselves. ``approve_promotions`` promotes what passed its test in staging without asking anyone: not for
    production.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    role_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")]
    image_uri: Annotated[str, Field(min_length=1, max_length=255)]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    code_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    chat_connection: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=250)] | None = None
    publish_from: str | None = None
    git_commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,64}(-changed)?$")] | None = None
    repository: Annotated[str, Field(pattern=r"^https://[^\s]+[^/\s]$", max_length=180)] | None = None
    mlflow_tracking_uri: str | None = None
    sns_topic_arn: Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+$")] | None = None
    role_per_model: bool = False
    kms_key_id: str | None = None
    subnets: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    encrypt_traffic: bool = False
    network_isolation: bool = False
    spot_training: bool = False
    traffic_step_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    approvers: dict[str, str] = {}
    four_eyes: bool = False
    approve_promotions: bool = False
    instance_types: dict[Literal["processing", "training"], InstanceType] = {}
    tags: dict[str, str] = {}

    @field_validator("approvers", mode="before")
    @classmethod
    def ids_are_names(cls, given: object) -> object:
        return {id_: id_ for id_ in given} if isinstance(given, list | tuple) else given

    @model_validator(mode="after")
    def networks_are_possible(self) -> Self:
        if bool(self.subnets) != bool(self.security_group_ids):
            raise ValueError("subnets and security_group_ids go together: give both, or neither")
        if self.network_isolation and self.mlflow_tracking_uri:
            raise ValueError("training cannot reach mlflow_tracking_uri with network_isolation: set only one of them")
        return self


def ml_environment() -> MlEnvironment:
    """The environment's settings, read now.

    Raises:
        NoMlEnvironmentError: the Variable is not set, or Airflow cannot read it at the moment.
        MlEnvironmentError: it is not JSON, or a key is unknown, missing or invalid.
    """
    try:
        value = Variable.get(VARIABLE)
    except AirflowRuntimeError as error:
        raise NoMlEnvironmentError(
            f"The Airflow Variable '{VARIABLE}' is not set, or Airflow's database could not be reached: "
            "a retry tells. It is a JSON object; set it in the UI under Admin > Variables, or with: "
            f"airflow variables set {VARIABLE} '{EXAMPLE}'"
        ) from error
    return parse_ml_environment(value)


def parse_ml_environment(value: str) -> MlEnvironment:
    """The settings in the Variable's text.

    Raises:
        MlEnvironmentError: names every invalid key, what was found and what is allowed.
    """
    try:
        return MlEnvironment.model_validate_json(value)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the whole value'}: {problem['msg']}, found {problem['input']!r}"
            for problem in error.errors()
        )
        raise MlEnvironmentError(
            f"The Airflow Variable '{VARIABLE}' cannot be used: {problems}. "
            f"Known keys: {', '.join(sorted(MlEnvironment.model_fields))}."
        ) from error
