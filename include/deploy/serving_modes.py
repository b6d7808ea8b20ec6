"""What differs between the ways to serve a model: an object for each value of model.yaml's ``serving.mode``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from include.deploy.traffic import VARIANT, alarms, deployment, scaling, strategy_of
from include.models.config import Mode, ModelConfig, Serving, Strategy
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, RequestError, Stage, endpoint_name
from include.platform.storage import captured, data_capture
from sagemaker_jobs.account import account, no_price

HOURS_A_MONTH = 730
REFUSED = "refused"  # of REQUEST_LOG_ONLY: see jobs/serving/request_log.py


class ServingMode(ABC):
    """One way to serve."""

    @abstractmethod
    def variant(self, serving: Serving) -> Request:
        """The compute part of CreateEndpointConfig's ProductionVariant."""

    @abstractmethod
    def config_settings(self, model: ModelConfig, environment: MlEnvironment) -> Request:
        """The rest of CreateEndpointConfig: keys, and data capture."""

    @abstractmethod
    def hosted_model(self, model: ModelConfig, environment: MlEnvironment, stage: Stage, request: Request) -> Request:
        """CreateModel, derived from that of a batch transform."""

    @abstractmethod
    def promotion(self, model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> Request:
        """What ``EndpointOperator`` needs besides the configuration to bring production to a new version.

        Args:
            strategy: how to shift traffic; None if model.yaml decides.

        Raises:
            RequestError: the mode does not support the strategy.
        """

    @abstractmethod
    def restoration(self, model: ModelConfig, environment: MlEnvironment) -> Request:
        """Likewise, to bring production back to its previous state, at once and regardless of alarms."""

    @abstractmethod
    def traffic(self, model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> str:
        """How production's traffic will move, for people."""

    @abstractmethod
    def monthly_usd(self, serving: Serving, region: str) -> float | None:
        """The minimum monthly cost in USD; None if it cannot be known."""

    def most_usd(self, serving: Serving, region: str) -> float | None:
        """The monthly cost with all instances that autoscaling may add."""
        return self.monthly_usd(serving, region)

    @abstractmethod
    def unknown_cost(self, serving: Serving, region: str) -> str:
        """Why ``monthly_usd`` is unknown, for people."""

    @abstractmethod
    def most_clients(self, serving: Serving) -> int | None:
        """The limit of concurrent requests; None if the mode has none."""

    @property
    def usual_ms(self) -> tuple[int, int]:
        """The limits of p50 and p99 in milliseconds if model.yaml sets none."""
        return 200, 1000

    @property
    def largest_mb(self) -> int:
        """The largest request that SageMaker accepts, in MB."""
        return 6

    @property
    def warm_up(self) -> int:
        """How many requests may hit a container that has yet to start."""
        return 0


class Provisioned(ServingMode):
    """On instances that always run; SageMaker shifts traffic and captures requests."""

    def variant(self, serving: Serving) -> Request:
        return {"InstanceType": serving.instance_type, "InitialInstanceCount": serving.instance_count}

    def config_settings(self, model: ModelConfig, environment: MlEnvironment) -> Request:
        key: Request = {"KmsKeyId": environment.kms_key_id} if environment.kms_key_id else {}
        if not model.serving.data_capture_percent:
            return key
        capture = {
            "EnableCapture": True,
            "InitialSamplingPercentage": model.serving.data_capture_percent,
            "DestinationS3Uri": data_capture(environment.bucket),
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {
                "CsvContentTypes": ["text/csv"],
                "JsonContentTypes": ["application/json", "application/jsonlines"],
            },
            **key,
        }
        return {**key, "DataCaptureConfig": capture}

    def hosted_model(self, model: ModelConfig, environment: MlEnvironment, stage: Stage, request: Request) -> Request:
        """What SageMaker does not capture, the refused requests, the container keeps itself, where it may."""
        if not model.serving.data_capture_percent or environment.network_isolation:
            return request
        return _keeping_requests(model, environment, stage, request, only=REFUSED)

    def promotion(self, model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> Request:
        return {
            "deployment": deployment(model, environment, strategy),
            "alarms": alarms(model, environment),
            "scaling": scaling(model, "production"),
        }

    def restoration(self, model: ModelConfig, environment: MlEnvironment) -> Request:
        return {
            "deployment": deployment(model, environment, "immediate"),
            "scaling": scaling(model, "production"),
        }

    def traffic(self, model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> str:
        rule = model.serving.deployment
        share, seconds = rule.share_percent, environment.traffic_step_seconds
        wait = f"{rule.wait_minutes} minutes" if seconds is None else f"{seconds} seconds"
        wanted, chosen = strategy or rule.strategy, strategy_of(model.serving, strategy)
        said = {
            "canary": f"{share} % for {wait}, then all of it; an alarm in the {wait} after either step rolls it back",
            "linear": f"in steps of {share} %, {wait} each; an alarm rolls it back",
            "all_at_once": f"all at once; an alarm in the {wait} after rolls it back",
            "immediate": "all at once, regardless of alarms",
        }[chosen]
        return said if chosen == wanted else f"{said} ({wanted} needs serving.instance_count of at least 2)"

    def monthly_usd(self, serving: Serving, region: str) -> float | None:
        cost = account().cost(region, serving.instance_type, HOURS_A_MONTH * 3600 * serving.instance_count)
        return None if cost == "unknown" else cost

    def most_usd(self, serving: Serving, region: str) -> float | None:
        most = serving.autoscaling.max_instances if serving.autoscaling else serving.instance_count
        return self.monthly_usd(serving.model_copy(update={"instance_count": most}), region)

    def unknown_cost(self, serving: Serving, region: str) -> str:
        return f"unknown: {no_price(serving.instance_type, region)}"

    def most_clients(self, serving: Serving) -> int | None:
        return None


class Serverless(ServingMode):
    """On capacity that SageMaker starts on demand: no traffic shifting, no scaling by instances, no VPC. The serving
    program captures requests itself."""

    def variant(self, serving: Serving) -> Request:
        size = serving.serverless
        return {"ServerlessConfig": {"MemorySizeInMB": size.memory_mb, "MaxConcurrency": size.max_concurrency}}

    def config_settings(self, model: ModelConfig, environment: MlEnvironment) -> Request:
        return {}

    def hosted_model(self, model: ModelConfig, environment: MlEnvironment, stage: Stage, request: Request) -> Request:
        without_vpc = {key: value for key, value in request.items() if key != "VpcConfig"}
        if not model.serving.data_capture_percent:
            return without_vpc
        if environment.network_isolation:
            raise RequestError(
                f"{model.name} is served serverless and captures requests (data_capture_percent): its container writes "
                "them to S3 itself, which this environment's network_isolation forbids. Set data_capture_percent to 0 "
                "or serve the model provisioned"
            )
        return _keeping_requests(model, environment, stage, without_vpc)

    def promotion(self, model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> Request:
        if strategy:
            raise RequestError(
                f"{model.name} is served serverless, which has no traffic shifting; leave strategy empty"
            )
        return {}

    def restoration(self, model: ModelConfig, environment: MlEnvironment) -> Request:
        return {}

    def traffic(self, model: ModelConfig, environment: MlEnvironment, strategy: Strategy | None) -> str:
        return "all at once: a serverless endpoint has no traffic shifting"

    def monthly_usd(self, serving: Serving, region: str) -> float | None:
        return None

    def unknown_cost(self, serving: Serving, region: str) -> str:
        usd = account().serverless_cost(region, serving.serverless.memory_mb, 1000)
        return "by use (serverless)" + ("" if usd is None else f", {usd:g} USD for 1,000 seconds of answering")

    def most_clients(self, serving: Serving) -> int | None:
        return serving.serverless.max_concurrency

    @property
    def usual_ms(self) -> tuple[int, int]:
        return 400, 3000  # containers may be started or moved between two requests

    @property
    def largest_mb(self) -> int:
        return 4  # https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html

    @property
    def warm_up(self) -> int:
        return 10


def _keeping_requests(
    model: ModelConfig, environment: MlEnvironment, stage: Stage, request: Request, only: str | None = None
) -> Request:
    """CreateModel of a container that keeps requests in S3."""
    kept = {
        "REQUEST_LOG_S3_URI": captured(environment.bucket, endpoint_name(model, stage), VARIANT),
        "REQUEST_LOG_PERCENT": str(model.serving.data_capture_percent),
        **({"REQUEST_LOG_ONLY": only} if only else {}),
    }
    container = request["PrimaryContainer"]
    variables = {**container.get("Environment", {}), **kept}
    return {**request, "PrimaryContainer": {**container, "Environment": variables}}


MODES: dict[Mode, ServingMode] = {"provisioned": Provisioned(), "serverless": Serverless()}


def mode_of(model: ModelConfig) -> ServingMode:
    return MODES[model.serving.mode]


def at_stage(model: ModelConfig, stage: Stage) -> ModelConfig:
    """The model as it is served at a stage: staging is serverless if model.yaml says so."""
    if stage == "production" or model.serving.staging != "serverless":
        return model
    return model.model_copy(
        update={"serving": model.serving.model_copy(update={"mode": "serverless", "autoscaling": None})}
    )


@dataclass(frozen=True)
class MonthlyCost:
    """What both endpoints of a model cost a month, in USD: ``least``, and ``most`` with autoscaling, of what is known;
    ``production`` and ``staging`` in words."""

    least: float
    most: float
    production: str
    staging: str

    @property
    def total(self) -> str:
        if not self.most:
            return "no known price" if self.production.startswith("unknown") else "no fixed price"
        return f"{_usd(self.least, self.most)} a month"


def monthly_cost(model: ModelConfig, region: str) -> MonthlyCost:
    """Of production and staging; a staging endpoint that is deleted after its test costs nothing."""
    least, most, production = _cost(model, region)
    if model.serving.staging == "delete":
        return MonthlyCost(least, most, production, "nothing: it is deleted after its test")
    staged = at_stage(model, "staging")
    not_scaled = staged.model_copy(update={"serving": staged.serving.model_copy(update={"autoscaling": None})})
    own, _, staging = _cost(not_scaled, region)
    return MonthlyCost(least + own, most + own, production, f"{staging}: it is kept" if own else staging)


def _cost(model: ModelConfig, region: str) -> tuple[float, float, str]:
    """The minimum and the maximum, 0 if unknown, and the same as text."""
    mode, serving = mode_of(model), model.serving
    least, most = mode.monthly_usd(serving, region), mode.most_usd(serving, region)
    if least is None or most is None:
        return 0.0, 0.0, mode.unknown_cost(serving, region)
    return least, most, _usd(least, most)


def _usd(least: float, most: float) -> str:
    return f"{least:.0f} USD" if most == least else f"{least:.0f} to {most:.0f} USD"
