"""How a model is served, and how a new version takes over: the section ``serving``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .common import InstanceType, Scalar, Section, all_defaults

Milliseconds = Annotated[int, Field(ge=1, le=60_000)]
Strategy = Literal["canary", "linear", "all_at_once", "immediate"]
Mode = Literal["provisioned", "serverless"]  # defined in include/deploy/serving_modes.py
Staging = Literal["delete", "serverless", "keep"]
HAVE_INSTANCES: tuple[Mode, ...] = ("provisioned",)


class Autoscaling(Section):
    """How many instances serve: from ``instance_count`` to ``max_instances``, aiming at this many invocations per
    minute and instance."""

    max_instances: Annotated[int, Field(ge=1, le=100)]
    invocations_per_instance: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class Serverless(Section):
    """Memory in MB, in steps of 1024, and the number of concurrent requests."""

    memory_mb: Annotated[int, Field(ge=1024, le=6144, multiple_of=1024)] = 2048
    max_concurrency: Annotated[int, Field(ge=1, le=200)] = 5


class Deployment(Section):
    """How production's traffic moves to a new version.

    ``canary``: ``share_percent`` of it first; ``linear``: in steps of that size; ``all_at_once``. After each step,
    alarms are watched for ``wait_minutes``, and an alarm rolls everything back. ``immediate`` is all at once without
    alarms, for when they have already fired.
    """

    strategy: Strategy = "canary"
    share_percent: Annotated[int, Field(ge=1, le=50)] = 10
    wait_minutes: Annotated[int, Field(ge=0, le=60)] = 10


class MetricAlarm(Section):
    """An alarm on a CloudWatch metric of the model's own, named here by namespace and metric.

    It fires when the statistic of one minute is above (``max``) or below (``min``) the bound. The metric's only
    dimension is ``EndpointName``.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")]
    namespace: Annotated[str, Field(pattern=r"^[^:]{1,255}$")]
    metric: Annotated[str, Field(min_length=1, max_length=255)]
    statistic: Literal["Average", "Sum", "Minimum", "Maximum"] = "Average"
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def one_bound(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("an alarm needs either min or max")
        return self


class Alarms(Section):
    """What rolls a new version back during its first traffic: p99 of the model's latency and server errors per minute,
    both of the production endpoint, and the model's own metrics."""

    p99_latency_ms: Milliseconds = 500
    errors_5xx: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    custom: list[MetricAlarm] = []


class Latency(Section):
    """The latency limits of an endpoint in its test, in milliseconds at the caller; by default those of its mode: 200
    and 1000 provisioned, 400 and 3000 serverless."""

    p50_ms: Milliseconds | None = None
    p99_ms: Milliseconds | None = None


class Approval(Section):
    """How long a promotion waits for its answer; without one, nothing changes."""

    timeout_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 72


class Serving(Section):
    """Endpoints of a model, staging and production alike: provisioned (instances) or serverless.

    A serverless endpoint has no traffic shifting and no autoscaling by instances.
    ``data_capture_percent`` of requests and responses are captured in the bucket, below each endpoint's name: by
    SageMaker or, for a serverless endpoint, where SageMaker does not, by the serving program, in the same format.
    ``instance_type`` is also what the Model Registry recommends. ``example``: values for the row that the online
    service's page /docs shows, if the middles of the ranges that the expectation suites allow do not fit together.
    Production's endpoint is sent its golden requests every ``probe_minutes`` (0: never) by the Dag ``probe``.
    ``staging``: its endpoint is deleted once it has passed its test (``delete``), or kept: served like production
    (``keep``), or serverless whatever production is, at no cost between requests (``serverless``).
    """

    mode: Mode = "provisioned"
    instance_type: InstanceType
    instance_count: Annotated[int, Field(ge=1, le=100)] = 1
    autoscaling: Autoscaling | None = None
    serverless: Serverless = all_defaults()
    staging: Staging = "delete"
    data_capture_percent: Annotated[int, Field(ge=0, le=100)] = 0
    deployment: Deployment = all_defaults()
    alarms: Alarms = all_defaults()
    latency: Latency = all_defaults()
    approval: Approval = all_defaults()
    probe_minutes: Annotated[int, Field(ge=0, le=59)] = 5
    example: dict[str, Scalar] = {}

    @model_validator(mode="after")
    def instances_can_be_scaled(self) -> Self:
        if self.autoscaling and self.mode not in HAVE_INSTANCES:
            raise ValueError(f"a {self.mode} endpoint has no autoscaling of its own to set; remove it")
        if self.autoscaling and self.autoscaling.max_instances < self.instance_count:
            raise ValueError(
                f"autoscaling.max_instances {self.autoscaling.max_instances} is below instance_count "
                f"{self.instance_count}"
            )
        return self
