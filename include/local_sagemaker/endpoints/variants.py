"""Running production variants, to which an endpoint routes: weighted serving processes, watched and restarted."""

import logging
import random
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from include.local_sagemaker.containers.logs import LogStream
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.endpoints.model_server import ModelServer, ServingError

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.5
PING_SECONDS = 5.0
FAILED_PINGS = 3
DRAIN_SECONDS = 60.0


class ThrottledError(Exception):
    """A serverless variant has reached its limit of concurrent requests."""


@dataclass
class Variant:
    """One production variant of a fleet: as many serving processes as it has instances."""

    name: str
    containers: Sequence[Json]
    startup_seconds: float
    serverless: Json | None
    servers: list[ModelServer] = field(default_factory=list)

    def pick(self) -> ModelServer | None:
        """The healthy server with the fewest requests in flight, or None."""
        healthy = [server for server in self.servers if server.healthy]
        return min(healthy, key=lambda server: server.in_flight) if healthy else None

    @property
    def is_full(self) -> bool:
        """Whether a serverless variant has reached its concurrency; one with instances takes any number."""
        in_flight = sum(server.in_flight for server in self.servers)
        return self.serverless is not None and in_flight >= self.serverless["MaxConcurrency"]


class Fleet:
    """All serving processes of one deployment of an endpoint, from start to stop.

    ``deployment`` holds the endpoint configuration, the containers per variant, and per variant its capacity: weight
    and number of instances. ``cancelled`` ends a start in progress.
    """

    def __init__(
        self,
        region: Region,
        endpoint: str,
        deployment: Json,
        folder: Path,
        *,
        cancelled: threading.Event,
    ) -> None:
        config = deployment["config"]
        self.config_name: str = config["EndpointConfigName"]
        self.weights: dict[str, float] = {}  # of the production variants
        self.sampling: dict[str, float] = {}  # share of the requests that each shadow variant gets a copy of
        self._capacities: dict[str, Json] = deployment["capacities"]
        self._region = region
        self._endpoint = endpoint
        self._folder = folder
        self._lock = threading.Lock()
        self._cancelled = cancelled
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"fleet-{endpoint}", daemon=True)
        self._serial = 0
        self._shadows = [one["VariantName"] for one in config.get("ShadowProductionVariants", [])]
        self.variants = {
            variant["VariantName"]: Variant(
                name=variant["VariantName"],
                containers=deployment["containers"][variant["VariantName"]],
                startup_seconds=float(
                    variant.get("ContainerStartupHealthCheckTimeoutInSeconds", region.settings.endpoint_start_seconds)
                ),
                serverless=variant.get("ServerlessConfig"),
            )
            for variant in [*config["ProductionVariants"], *config.get("ShadowProductionVariants", [])]
        }

    @property
    def instances(self) -> int:
        """How many serving processes should take the traffic."""
        return sum(one["instances"] for name, one in self._capacities.items() if name not in self._shadows)

    def start(self) -> None:
        """Start all servers and wait until they answer /ping; after a failure none is left running.

        Raises:
            ServingError: one of them did not start; the message is SageMaker's FailureReason.
        """
        try:
            self.apply(self._capacities)
        except Exception:
            self.stop()
            raise
        self._watcher.start()

    def apply(self, capacities: dict[str, Json]) -> None:
        """Bring every variant to its weight and number of servers.

        Raises:
            ServingError: a new server did not start.
        """
        for name, capacity in capacities.items():
            self._scale(self.variants[name], capacity["instances"])
        weights = {name: capacity["weight"] for name, capacity in capacities.items()}
        self.weights = {name: weight for name, weight in weights.items() if name not in self._shadows}
        production = sum(self.weights.values())  # beside a shadow there is exactly one such variant
        self.sampling = {name: weights[name] / production if production else 0.0 for name in self._shadows}
        self._capacities = capacities

    def summaries(self, *, shadows: bool = False) -> list[Json]:
        """ProductionVariants, or ShadowProductionVariants, as DescribeEndpoint shows them."""
        now = time.time()
        summaries = []
        for name, variant in self.variants.items():
            if (name in self._shadows) != shadows:
                continue
            images = [
                {"SpecifiedImage": one["Image"], "ResolvedImage": one["Image"], "ResolutionTime": now}
                for one in variant.containers
            ]
            capacity = self._capacities[name]
            summary = {
                "VariantName": name,
                "DeployedImages": images,
                "CurrentWeight": capacity["weight"],
                "DesiredWeight": capacity["weight"],
            }
            if variant.serverless:
                summary |= {"CurrentServerlessConfig": variant.serverless, "CurrentInstanceCount": 0}
            else:
                count = capacity["instances"]
                summary |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
            summaries.append(summary)
        return summaries

    def _scale(self, variant: Variant, count: int) -> None:
        """Keep this many healthy servers; surplus ones finish their requests first."""
        missing = count - len(variant.servers)
        if missing > 0:
            new = [self._make(variant) for _ in range(missing)]
            try:
                for server in new:
                    server.start()
                for server in new:
                    server.wait_until_healthy(variant.startup_seconds, self._cancelled.is_set)
            except Exception:
                for server in new:
                    server.stop()
                raise
            with self._lock:
                variant.servers.extend(new)
            return
        with self._lock:
            surplus = variant.servers[count:]
            del variant.servers[count:]
        for server in surplus:
            server.drain(DRAIN_SECONDS)
            server.stop()

    def _make(self, variant: Variant) -> ModelServer:
        with self._lock:
            self._serial += 1
            serial = self._serial
        folder = self._folder / f"{variant.name}-{serial}"
        stream = f"{variant.name}/i-{uuid.uuid4().hex[:17]}"
        container = variant.containers[0]
        return ModelServer(
            self._region,
            container,
            folder,
            log=LogStream(
                self._region.acting_as(container.get("_Role", "")), f"/aws/sagemaker/Endpoints/{self._endpoint}", stream
            ),
            title=f"production variant {variant.name}",
        )

    @contextmanager
    def server_for(self, variant: Variant) -> Iterator[ModelServer | None]:
        """A healthy server of a variant, kept from being stopped meanwhile; None when none is healthy.

        Raises:
            ThrottledError: a serverless variant is at its concurrency.
        """
        with self._lock:
            if variant.is_full:
                raise ThrottledError
            server = variant.pick()
            if server:
                server.in_flight += 1
        try:
            yield server
        finally:
            if server:
                with self._lock:
                    server.in_flight -= 1

    def stop(self, drain_seconds: float = 0.0) -> None:
        """Let requests in flight finish within the given seconds, then end all processes."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=PING_SECONDS + 2)
        with self._lock:
            servers = [server for variant in self.variants.values() for server in variant.servers]
            for variant in self.variants.values():
                variant.servers = []
        for server in servers:
            server.drain(drain_seconds)
            server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        """Restart servers that died or no longer answer /ping, as SageMaker replaces unhealthy containers."""
        failed: dict[ModelServer, int] = {}
        next_ping = time.monotonic() + PING_SECONDS
        while not self._stopping.wait(WATCH_SECONDS):
            ping = time.monotonic() >= next_ping
            if ping:
                next_ping = time.monotonic() + PING_SECONDS
            for variant in self.variants.values():
                for server in list(variant.servers):
                    if ping and server.running:
                        answers = server.ping()
                        failed[server] = 0 if answers else failed.get(server, 0) + 1
                        server.healthy = server.healthy or answers
                    if not server.running or failed.get(server, 0) >= FAILED_PINGS:
                        failed.pop(server, None)
                        self._restart(variant, server)

    def _restart(self, variant: Variant, server: ModelServer) -> None:
        server.healthy = False
        log.warning("endpoint %s: a serving process of %s is down; restarting it", self._endpoint, variant.name)
        try:
            server.restart()
            server.wait_until_healthy(variant.startup_seconds, self._stopping.is_set)
        except ServingError as error:
            log.error("endpoint %s: %s; trying again", self._endpoint, error)  # noqa: TRY400  the reason says it all
        except Exception:  # for example, no process could be started: the fleet must stay monitored
            log.exception("endpoint %s: a serving process could not be restarted; trying again", self._endpoint)


def pick_variant(weights: dict[str, float]) -> str:
    """A variant's name, chosen by weight; any one if all weights are zero."""
    names = list(weights)
    if len(names) == 1:
        return names[0]
    if not any(weights.values()):
        return random.choice(names)  # noqa: S311  load balancing, not a secret
    return random.choices(names, list(weights.values()))[0]  # noqa: S311
