"""What AWS reports of the models' resources: endpoints, running jobs, alarms, queues. Read-only.

Each kind is queried separately: if one is denied or does not answer, it is named, and the others are shown.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from model_console.costs import Usage, by_use
from model_console.serving import Variant, serving_of
from model_console.settings import Settings
from model_console.store import Index, Store
from model_console.usage import of_month
from sagemaker_jobs.kinds import Json
from sagemaker_jobs.names import environment_name
from sagemaker_jobs.paging import listed

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricTypeDef
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker.type_defs import DescribeEndpointOutputTypeDef
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient
    from types_boto3_sqs import SQSClient

KEPT_FOR = 20.0  # seconds
USAGE_KEPT_FOR = 600.0
AT_ONCE = 16
VARIANT = "AllTraffic"
ENDPOINTS_AT_ONCE = 150  # three metrics each; GetMetricData takes 500
JOBS = {"processing": "ProcessingJob", "training": "TrainingJob", "transform": "TransformJob"}
NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


@dataclass(frozen=True)
class Endpoint:
    """An endpoint. ``requests``, ``errors`` and ``p99_ms`` cover the last hour; None if there were none or they are
    unknown.

    ``probe``: the result of a request with a known answer: "answered", the reason why not, or empty if none was sent.
    """

    name: str
    status: str
    why: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    requests: float | None = None
    errors: float | None = None
    p99_ms: float | None = None
    probe: str = ""


@dataclass(frozen=True)
class Today:
    """A model's endpoint in production since midnight UTC; None if no request came, or nothing is known."""

    status: str
    requests: float | None = None
    errors: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True)
class Job:
    """A running job."""

    kind: str
    name: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Cloud:
    """``alarms``: those in alarm, with the reason; ``queues``: approvals waiting in each model's queue; ``models``:
    names of SageMaker's Models; ``unknown``: what could not be queried, with the reason."""

    endpoints: Sequence[Endpoint] = ()
    jobs: Sequence[Job] = ()
    models: Sequence[str] = ()
    alarms: Mapping[str, str] = field(default_factory=dict)
    queues: Mapping[str, int] = field(default_factory=dict)
    unknown: Sequence[str] = ()


def group(model: str) -> str:
    """The model's name in SageMaker's alphabet: the prefix of its endpoints and queue."""
    return model.replace("_", "-")


@dataclass(frozen=True)
class Clients:
    """boto3 clients, created together: threads may share a client, but must not create one."""

    sagemaker: SageMakerClient
    runtime: SageMakerRuntimeClient
    cloudwatch: CloudWatchClient
    sqs: SQSClient


@dataclass
class Aws:
    """Queries AWS, and caches the answers for a few seconds."""

    clients: Clients
    store: Store
    _kept: tuple[float, tuple[str, ...], Cloud] | None = None
    _today: tuple[float, dict[str, Today], str] | None = None
    _usage: dict[tuple[str, ...], tuple[float, Usage]] = field(default_factory=dict)
    _asking: Lock = field(default_factory=Lock)

    def today(self, models: Sequence[str]) -> tuple[Mapping[str, Today], str]:
        """Production's endpoints by model, and why they are not known. Two lists however many they are, and no probe:
        a page of a hundred models does not wait for more."""
        with self._asking:  # many people look at the list: AWS is asked once
            if self._today is None or time.monotonic() - self._today[0] > KEPT_FOR:
                try:
                    found, why = self._endpoints_today(), ""
                except (ClientError, BotoCoreError) as error:
                    found, why = {}, str(error)[:200]
                self._today = (time.monotonic(), found, why)
            _, known, why = self._today
        named = {model: f"{group(model)}-production" for model in models}
        return {model: known[name] for model, name in named.items() if name in known}, why

    def serving(self, model: str, index: Index | None) -> tuple[Sequence[Variant], str]:
        """The variants of a model's endpoints, and why they are not known."""
        try:
            return serving_of(self.clients.sagemaker, group(model), index), ""
        except (ClientError, BotoCoreError) as error:
            return (), str(error)[:200]

    def usage(self, indexes: Mapping[str, Index], month: str) -> Usage | None:
        """How much the endpoints that scale or are paid by use were used in a month; None if CloudWatch cannot be
        asked. It is asked about no others, and not again for some minutes: each question costs money."""
        names = by_use(indexes.values(), month, datetime.now(UTC))
        asked = (month, *names)
        with self._asking:
            kept = self._usage.get(asked)
            if kept is None or time.monotonic() - kept[0] > USAGE_KEPT_FOR:
                try:
                    kept = (time.monotonic(), of_month(self.clients.cloudwatch, names, month))
                except (ClientError, BotoCoreError):
                    return None
                self._usage[asked] = kept
        return kept[1]

    def _endpoints_today(self) -> dict[str, Today]:
        there = {
            one["EndpointName"]: one["EndpointStatus"]
            for one in listed(self.clients.sagemaker, "list_endpoints", "Endpoints", NameContains="-production")
        }
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        metrics = self._metrics(list(there), since=midnight, period=3600)
        return {name: Today(status, **metrics.get(name, {})) for name, status in there.items()}

    def ask(self, indexes: Mapping[str, Index], models: Sequence[str]) -> Cloud:
        """Runs all queries concurrently.

        Args:
            indexes: of the models that have one, by name.
            models: all that have Dags.
        """
        asked = tuple(models)
        if self._kept and self._kept[1] == asked and time.monotonic() - self._kept[0] < KEPT_FOR:
            return self._kept[2]
        unknown: list[str] = []

        def said[T](name: str, asked: Future[T], nothing: T) -> T:
            try:
                return asked.result()
            except (ClientError, BotoCoreError) as error:
                unknown.append(f"{name}: {error}")
                return nothing

        with ThreadPoolExecutor(5) as pool:
            endpoints, jobs = pool.submit(self._endpoints, indexes), pool.submit(self._jobs)
            sagemaker_models = pool.submit(self._models)
            alarms, queues = pool.submit(self._alarms, models), pool.submit(self._queues, models)
        cloud = Cloud(
            said("endpoints", endpoints, []),
            said("jobs", jobs, []),
            said("models", sagemaker_models, []),
            said("alarms", alarms, {}),
            said("queues", queues, {}),
            unknown,
        )
        self._kept = (time.monotonic(), asked, cloud)
        return cloud

    def _endpoints(self, indexes: Mapping[str, Index]) -> Sequence[Endpoint]:
        sagemaker = self.clients.sagemaker
        found = list(listed(sagemaker, "list_endpoints", "Endpoints"))
        production = {f"{group(model)}-production": index for model, index in indexes.items()}
        metrics = self._metrics([one["EndpointName"] for one in found if one["EndpointName"] in production])
        look = partial(self._endpoint, sagemaker, production, metrics)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(look, found))

    def _endpoint(
        self,
        sagemaker: SageMakerClient,
        production: Mapping[str, Index],
        metrics: Mapping[str, Mapping[str, float]],
        one: Json,
    ) -> Endpoint:
        name, status = one["EndpointName"], one["EndpointStatus"]
        described: DescribeEndpointOutputTypeDef | None = None
        if status == "Failed" or name in production:
            described = sagemaker.describe_endpoint(EndpointName=name)
        serves = (
            name in production and status == "InService" and not (described and "AsyncInferenceConfig" in described)
        )
        return Endpoint(
            name,
            status,
            described.get("FailureReason", "") if described else "",
            _tags(sagemaker, one["EndpointArn"]),
            **metrics.get(name, {}),
            probe=self._probe(name, production[name]) if serves else "",
        )

    def _probe(self, endpoint: str, index: Index) -> str:
        """Sends an endpoint the first golden request that evaluation kept for its version."""
        row = self._golden_row(index)
        if row is None:
            return ""
        try:
            body = json.dumps(row).encode()
            self.clients.runtime.invoke_endpoint(EndpointName=endpoint, ContentType="application/json", Body=body)
        except (ClientError, BotoCoreError) as error:
            return str(error)[:300]
        return "answered"

    def _golden_row(self, index: Index) -> object:
        version = next((entry["version"] for entry in reversed(index["production"]) if entry["to"] is None), None)
        facts: Mapping[str, str] = next(
            (found["facts"] for found in index["versions"] if found["version"] == version), {}
        )
        folder = facts.get("evaluation_report", "").rpartition("/")[0].partition("//")[2].partition("/")[2]
        content = self.store.read(f"{folder}/golden_requests.json") if folder else None
        return json.loads(content)[0]["features"] if content else None

    def _metrics(
        self, endpoints: Sequence[str], since: datetime | None = None, period: int = 300
    ) -> dict[str, dict[str, float]]:
        """Sums and the highest p99 since a moment, or of the last hour."""
        since = since or datetime.now(UTC) - timedelta(hours=1)
        found: dict[str, dict[str, float]] = {name: {} for name in endpoints}
        sums = {"requests": ("Invocations", "Sum"), "errors": ("Invocation5XXErrors", "Sum")}
        for start in range(0, len(endpoints), ENDPOINTS_AT_ONCE):
            some = endpoints[start : start + ENDPOINTS_AT_ONCE]
            for (name, key), values in self._measured(some, sums, since, period).items():
                found[name][key] = sum(values)
            with contextlib.suppress(ClientError):  # moto has no percentiles: on a laptop there is none
                for (name, key), values in self._measured(
                    some, {"p99_ms": ("ModelLatency", "p99")}, since, period
                ).items():
                    found[name][key] = max(values) / 1000
        return found

    def _measured(
        self, endpoints: Sequence[str], wanted: Mapping[str, tuple[str, str]], since: datetime, period: int
    ) -> dict[tuple[str, str], list[float]]:
        """Values by endpoint and key; those that there are."""
        asked = {f"{key}_{number}": (name, key) for number, name in enumerate(endpoints) for key in wanted}
        answer = self.clients.cloudwatch.get_metric_data(
            MetricDataQueries=[_query(query, name, *wanted[key], period) for query, (name, key) in asked.items()],
            StartTime=since,
            EndTime=datetime.now(UTC),
        )
        return {asked[result["Id"]]: result["Values"] for result in answer["MetricDataResults"] if result["Values"]}

    def _jobs(self) -> Sequence[Job]:
        sagemaker = self.clients.sagemaker
        found: list[Job] = []
        for kind, resource in JOBS.items():
            running = listed(sagemaker, f"list_{kind}_jobs", f"{resource}Summaries", StatusEquals="InProgress")
            found += [
                Job(kind, job[f"{resource}Name"], _tags(sagemaker, job[f"{resource}Arn"]))
                for job in islice(running, 200)
            ]
        return found

    def _models(self) -> Sequence[str]:
        return [model["ModelName"] for model in listed(self.clients.sagemaker, "list_models", "Models")]

    def _alarms(self, models: Sequence[str]) -> Mapping[str, str]:
        own = tuple(f"{group(model)}-production-" for model in models)
        firing = listed(self.clients.cloudwatch, "describe_alarms", "MetricAlarms", StateValue="ALARM")
        return {
            alarm["AlarmName"]: alarm.get("AlarmDescription") or alarm.get("StateReason", "")
            for alarm in firing
            if alarm["AlarmName"].startswith(own)
        }

    def _queues(self, models: Sequence[str]) -> Mapping[str, int]:
        sqs = self.clients.sqs
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lengths = pool.map(lambda model: _length(sqs, f"{environment_name()}-{group(model)}-approvals"), models)
            return {model: length for model, length in zip(models, lengths, strict=True) if length is not None}


def _length(sqs: SQSClient, queue: str) -> int | None:
    """The number of waiting messages; None if there is no such queue."""
    try:
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    except ClientError as error:
        if error.response["Error"]["Code"] in NO_QUEUE:
            return None
        raise
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def _query(query: str, endpoint: str, metric: str, statistic: str, period: int) -> MetricDataQueryTypeDef:
    measured: MetricTypeDef = {
        "Namespace": "AWS/SageMaker",
        "MetricName": metric,
        "Dimensions": [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": VARIANT}],
    }
    return {"Id": query, "MetricStat": {"Metric": measured, "Period": period, "Stat": statistic}}


def _tags(sagemaker: SageMakerClient, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def aws_of(settings: Settings, store: Store) -> Aws:
    config = Config(max_pool_connections=AT_ONCE, connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 3})
    session, region = boto3.Session(), settings.region
    sagemaker = session.client("sagemaker", region_name=region, config=config)
    runtime = session.client("sagemaker-runtime", region_name=region, config=config)
    cloudwatch = session.client("cloudwatch", region_name=region, config=config)
    return Aws(Clients(sagemaker, runtime, cloudwatch, session.client("sqs", region_name=region, config=config)), store)
