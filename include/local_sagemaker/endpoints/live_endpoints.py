"""Running endpoints: their fleets, the traffic between them, and the work of creating, updating and deleting.

What an endpoint is to serve is kept in its document (`_Live`, and `_Pending` while it is updated), copied from
configuration, models and packages, so a restart of the server brings it back, whatever was deleted since.
"""

import logging
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from include.local_sagemaker.aws.moto_services import Moto
from include.local_sagemaker.core.errors import ServiceError
from include.local_sagemaker.core.service import Region, Service
from include.local_sagemaker.core.store import ENDPOINT, Json
from include.local_sagemaker.endpoints.data_capture import DataCapture
from include.local_sagemaker.endpoints.deployment import Plan, Step, instances_of
from include.local_sagemaker.endpoints.metrics import EndpointMetrics
from include.local_sagemaker.endpoints.model_server import ModelServer, ServingError
from include.local_sagemaker.endpoints.recent import Recent
from include.local_sagemaker.endpoints.shadowing import Shadowing
from include.local_sagemaker.endpoints.variants import DRAIN_SECONDS, Fleet, pick_variant

log = logging.getLogger(__name__)

RESTART_WAIT_SECONDS = 60.0
ALARM_SECONDS = 1.0
_PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0)


def retry_pauses(*, endless: bool) -> Iterator[float | None]:
    """Seconds to wait after each attempt that failed; None after the last."""
    yield from _PAUSES
    while endless:
        yield _PAUSES[-1]
    yield None


def _is_leaving(endpoint: "LiveEndpoint") -> bool:
    document = endpoint.region.find(ENDPOINT, endpoint.name)
    return document is None or document["EndpointStatus"] == "Deleting"


class RollBackError(Exception):
    """A deployment must be rolled back; the message becomes the endpoint's FailureReason."""


class LiveEndpoint:
    """One endpoint's traffic: which share goes to which fleet."""

    def __init__(self, region: Region, name: str) -> None:
        self.region = region
        self.name = name
        self.capture: DataCapture | None = None
        self.cancelled = threading.Event()
        self._ready = threading.Event()
        self._routes: list[tuple[Fleet, float]] = []
        self.lock = threading.Lock()  # one change (deployment, scaling, deletion) at a time
        self.recent = Recent()

    @property
    def fleets(self) -> list[Fleet]:
        """Every fleet that gets or got traffic, the live one first."""
        return [fleet for fleet, _ in self._routes]

    def route(self, *routes: tuple[Fleet, float]) -> None:
        """From now on, split traffic by these shares."""
        self._routes = list(routes)
        self.recent.note_shift((fleet.config_name, share) for fleet, share in routes)
        self._ready.set()

    def has_variant(self, name: str) -> bool:
        """Whether some fleet has a variant of this name."""
        return any(name in fleet.weights for fleet in self.fleets)

    @property
    def largest_body(self) -> int:
        """Bytes that a request or an answer may have: https://docs.aws.amazon.com/general/latest/gr/sagemaker.html"""
        serverless = any(variant.serverless for fleet in self.fleets for variant in fleet.variants.values())
        return (4 if serverless else 6) * 1024 * 1024

    @contextmanager
    def server(self, wanted: str | None) -> Iterator[tuple[Fleet | None, str, ModelServer | None]]:
        """The fleet, the variant and the serving process for one request; None when none is healthy.

        After a restart of the local SageMaker requests wait until the endpoint's processes are back.
        """
        self._ready.wait(RESTART_WAIT_SECONDS)
        while True:
            routes = self._routes
            able = [(fleet, share) for fleet, share in routes if wanted is None or wanted in fleet.weights]
            if not able:
                yield None, wanted or "AllTraffic", None
                return
            fleet = random.choices([one for one, _ in able], [share or 1e-9 for _, share in able])[0]  # noqa: S311
            name = wanted or pick_variant(fleet.weights)
            with fleet.server_for(fleet.variants[name]) as server:
                if server is None and self._routes is not routes:
                    continue  # the fleet was taken out of service at this moment
                yield fleet, name, server
                return


class Endpoints:
    """All endpoints of one server; start restores those that ran before a restart."""

    def __init__(self, service: Service, moto: Moto) -> None:
        self.metrics = EndpointMetrics(moto)
        self.shadowing = Shadowing(self.metrics)
        self._service = service
        self._folder = service.settings.state / "endpoints"
        self._live: dict[tuple[str, str], LiveEndpoint] = {}
        self._threads: list[threading.Thread] = []
        self._serial = 0

    @staticmethod
    def of(service: Service) -> "Endpoints":
        """The endpoints of a server."""
        return cast("Endpoints", service.components["endpoints"])

    def start(self) -> None:
        """Restore, in the background, what ran or was being created when the server stopped."""
        shutil.rmtree(self._folder, ignore_errors=True)  # of a server that was killed
        for region_name, document in self._service.store.all(ENDPOINT):
            region, name = self._service.region(region_name), document["EndpointName"]
            endpoint = self._live[region_name, name] = LiveEndpoint(region, name)
            work = {"Creating": self._create, "Deleting": self._delete, "Failed": None}
            step = work.get(document["EndpointStatus"], self._bring_back)
            if step:
                self._work(step, endpoint)

    def stop(self) -> None:
        """End all serving processes; work in progress resumes after the next start."""
        self.shadowing.stop()
        for endpoint in self._live.values():
            endpoint.cancelled.set()
        for thread in self._threads:
            thread.join(timeout=30)
        for endpoint in self._live.values():
            for fleet in endpoint.fleets:
                fleet.stop()
            if endpoint.capture:
                endpoint.capture.flush()

    def live(self, region: str, name: str) -> LiveEndpoint | None:
        """The endpoint, if it takes requests."""
        endpoint = self._live.get((region, name))
        if endpoint is None:
            return None
        if endpoint.fleets:
            return endpoint
        document = endpoint.region.find(ENDPOINT, name)
        return endpoint if document and document["EndpointStatus"] not in ("Creating", "Failed", "Deleting") else None

    def create(self, region: Region, name: str) -> None:
        """Start the processes of a new endpoint (status Creating)."""
        endpoint = self._live[region.name, name] = LiveEndpoint(region, name)
        self._work(self._create, endpoint)

    def update(self, region: Region, name: str) -> None:
        """Deploy the document's `_Pending` (status Updating)."""
        self._work(self._update, self._live[region.name, name])

    def rescale(self, region: Region, name: str) -> None:
        """Bring weights and process counts to the document's desired ones (status Updating)."""
        self._work(self._rescale, self._live[region.name, name])

    def delete(self, region: Region, name: str) -> None:
        """End an endpoint (status Deleting)."""
        self._work(self._delete, self._live[region.name, name])

    def _work(self, step: Callable[[LiveEndpoint], None], endpoint: LiveEndpoint) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        name = f"endpoint-{endpoint.name}"
        thread = threading.Thread(target=self._persist, args=(step, endpoint), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _persist(self, step: Callable[[LiveEndpoint], None], endpoint: LiveEndpoint) -> None:
        """A fault may be temporary, so a step is retried. Only a first creation may end as failed; an
        endpoint that was in service before a restart of this server is brought back however long it takes, as AWS
        replaces instances."""
        for pause in retry_pauses(endless=step == self._bring_back):
            try:
                with endpoint.lock:
                    if not endpoint.cancelled.is_set() and (step == self._delete or not _is_leaving(endpoint)):
                        step(endpoint)
            except Exception as error:
                if endpoint.cancelled.is_set():  # the next server resumes it
                    return
                log.exception("endpoint %s: %s failed", endpoint.name, step.__name__)
                if pause is None:
                    reason = f"Internal fault of the local SageMaker ({error!r}); its log says more."
                    changes = {"EndpointStatus": "Failed", "FailureReason": reason[:1024]}
                    endpoint.region.update(ENDPOINT, endpoint.name, changes)
                    return
                endpoint.cancelled.wait(pause)
            else:
                return

    def _fleet(self, endpoint: LiveEndpoint, deployment: Json) -> Fleet:
        self._serial += 1
        folder = self._folder / endpoint.region.name / f"{endpoint.name}-{self._serial}"
        return Fleet(endpoint.region, endpoint.name, deployment, folder, cancelled=endpoint.cancelled)

    def _create(self, endpoint: LiveEndpoint) -> None:
        document = endpoint.region.get(ENDPOINT, endpoint.name, "gone")
        deployment = document["_Live"]
        if self._stopped_in_start_up(endpoint, deployment, since=document["CreationTime"]):
            return
        fleet = self._start_fleet(endpoint, deployment)
        if fleet:
            self._go_live(endpoint, fleet, deployment)

    def _bring_back(self, endpoint: LiveEndpoint) -> None:
        document = endpoint.region.get(ENDPOINT, endpoint.name, "gone")
        if not endpoint.fleets:
            fleet = self._fleet(endpoint, document["_Live"])
            fleet.start()
            endpoint.capture = DataCapture.of(endpoint.region, endpoint.name, document["_Live"])
            endpoint.route((fleet, 1.0))
        if document["EndpointStatus"] == "RollingBack":
            self._finish_roll_back(endpoint)
        elif "_Pending" in document:
            self._update(endpoint)
        elif "_Desired" in document:
            self._rescale(endpoint)
        elif document["EndpointStatus"] != "InService":
            self._go_live(endpoint, endpoint.fleets[0], document["_Live"])

    def _start_fleet(self, endpoint: LiveEndpoint, deployment: Json) -> Fleet | None:
        """A new endpoint's fleet once its processes answer; None if they do not and the endpoint has failed."""
        fleet = self._fleet(endpoint, deployment)
        try:
            fleet.start()
        except ServingError as error:
            if not endpoint.cancelled.is_set():
                changes = {"EndpointStatus": "Failed", "FailureReason": str(error)[:1024]}
                endpoint.region.update(ENDPOINT, endpoint.name, changes)
            return None
        return fleet

    def _stopped_in_start_up(self, endpoint: LiveEndpoint, deployment: Json, *, since: float) -> bool:
        """Wait as long as AWS takes to start a fleet; whether the server stopped meanwhile."""
        serverless = all("ServerlessConfig" in variant for variant in deployment["config"]["ProductionVariants"])
        seconds = self._service.settings.start_up.of("serverless" if serverless else "endpoint")
        return endpoint.cancelled.wait(max(0.0, since + seconds - self._service.now()))

    def _go_live(self, endpoint: LiveEndpoint, fleet: Fleet, deployment: Json) -> None:
        """All traffic to this fleet, and the endpoint in service with it."""
        endpoint.capture = DataCapture.of(endpoint.region, endpoint.name, deployment)
        endpoint.route((fleet, 1.0))
        changes = {
            "EndpointStatus": "InService",
            "EndpointConfigName": deployment["config"]["EndpointConfigName"],
            "ProductionVariants": fleet.summaries(),
            "ShadowProductionVariants": fleet.summaries(shadows=True) or None,
            "DataCaptureConfig": endpoint.capture.summary() if endpoint.capture else None,
            "FailureReason": None,
            "PendingDeploymentSummary": None,
            "_Live": deployment,
            "_Pending": None,
            "_Instances": {"endpoint": instances_of(deployment)},
        }
        endpoint.region.update(ENDPOINT, endpoint.name, changes)

    def _update(self, endpoint: LiveEndpoint) -> None:
        """Blue/green: the new fleet first, then the traffic step by step, the old fleet last."""
        document = endpoint.region.get(ENDPOINT, endpoint.name, "gone")
        if "_Pending" not in document or not endpoint.fleets:
            return  # already done, or about to be, if the endpoint was restored
        pending = document["_Pending"]
        old, new = endpoint.fleets[0], self._fleet(endpoint, pending)
        self._show_pending(endpoint, new, "Creating", f"Launching {new.instances} instance(s).")
        begun = endpoint.region.get(ENDPOINT, endpoint.name, "gone")["PendingDeploymentSummary"]["StartTime"]
        if self._stopped_in_start_up(endpoint, pending, since=begun):
            return
        try:
            new.start()
            plan = Plan.from_config(endpoint.region, pending["deployment_config"], pending, document["_Live"])
            self._shift_traffic(endpoint, old, new, plan)
        except (ServingError, RollBackError, ServiceError) as error:
            endpoint.route((old, 1.0))
            if not endpoint.cancelled.is_set():
                changes = {"EndpointStatus": "RollingBack", "FailureReason": str(error)[:1024]}
                endpoint.region.update(ENDPOINT, endpoint.name, changes)
            new.stop(DRAIN_SECONDS)
            if not endpoint.cancelled.is_set():
                self._finish_roll_back(endpoint)
            return
        except Exception:
            endpoint.route((old, 1.0))
            new.stop()
            raise
        if endpoint.capture:
            endpoint.capture.flush()
        live = {key: pending[key] for key in ("config", "containers", "capacities")}
        endpoint.route((new, 1.0))
        old.stop(DRAIN_SECONDS)
        self._go_live(endpoint, new, live)

    @staticmethod
    def _finish_roll_back(endpoint: LiveEndpoint) -> None:
        def changes(document: Json) -> Json:
            instances = {"endpoint": instances_of(document["_Live"])}
            done = {"PendingDeploymentSummary": None, "_Pending": None, "_Instances": instances}
            return {"EndpointStatus": "InService", **done}

        endpoint.region.update(ENDPOINT, endpoint.name, changes)

    def _shift_traffic(self, endpoint: LiveEndpoint, old: Fleet, new: Fleet, plan: Plan) -> None:
        deadline = time.monotonic() + plan.maximum_seconds
        for step in plan.steps:
            endpoint.route((old, 1 - step.share), (new, step.share))
            if step.bake_seconds:
                self._show_pending(endpoint, new, "Baking", step.message(new.instances))
                self._bake(endpoint, step, plan, deadline)

    def _bake(self, endpoint: LiveEndpoint, step: Step, plan: Plan, deadline: float) -> None:
        end = time.monotonic() + step.bake_seconds
        while (left := end - time.monotonic()) > 0:
            if endpoint.cancelled.wait(min(left, ALARM_SECONDS)):
                raise RollBackError("The local SageMaker was stopped.")
            if breached := plan.breached():
                raise RollBackError(
                    f"Deployment was rolled back: CloudWatch alarm(s) {', '.join(breached)} went into ALARM "
                    f"state while {step.share:.0%} of the traffic went to the new fleet."
                )
            if time.monotonic() > deadline:
                raise RollBackError(
                    f"Deployment was rolled back: it took longer than the {plan.maximum_seconds:g} seconds of "
                    "MaximumExecutionTimeoutInSeconds."
                )

    def _show_pending(self, endpoint: LiveEndpoint, new: Fleet, status: str, message: str) -> None:
        now = self._service.now()

        def changes(document: Json) -> Json:
            begun = document.get("PendingDeploymentSummary", {}).get("StartTime", now)
            variant_status = [{"Status": status, "StatusMessage": message, "StartTime": now}]
            variants = [{**variant, "VariantStatus": variant_status} for variant in new.summaries()]
            summary = {"EndpointConfigName": new.config_name, "StartTime": begun, "ProductionVariants": variants}
            return {"PendingDeploymentSummary": summary}

        endpoint.region.update(ENDPOINT, endpoint.name, changes)

    def _rescale(self, endpoint: LiveEndpoint) -> None:
        document = endpoint.region.get(ENDPOINT, endpoint.name, "gone")
        if "_Desired" not in document or not endpoint.fleets:
            return  # as in `_update`
        live, fleet = document["_Live"], endpoint.fleets[0]
        wanted = {**live["capacities"], **document["_Desired"]}
        before = live["capacities"]
        grows = any(capacity["instances"] > before[name]["instances"] for name, capacity in wanted.items())
        if grows and self._stopped_in_start_up(endpoint, live, since=self._service.now()):
            return
        try:
            fleet.apply(wanted)
        except ServingError as error:
            fleet.apply(before)
            changes = {
                "EndpointStatus": "InService",
                "FailureReason": str(error)[:1024],
                "ProductionVariants": fleet.summaries(),
                "_Desired": None,
                "_Instances": {"endpoint": instances_of(live)},
            }
            endpoint.region.update(ENDPOINT, endpoint.name, changes)
            return
        endpoint.region.update(ENDPOINT, endpoint.name, {"_Desired": None})
        self._go_live(endpoint, fleet, {**live, "capacities": wanted})

    def _delete(self, endpoint: LiveEndpoint) -> None:
        fleets = endpoint.fleets
        endpoint.route()
        for fleet in fleets:
            fleet.stop(DRAIN_SECONDS)
        if endpoint.capture:
            endpoint.capture.flush()
        self._live.pop((endpoint.region.name, endpoint.name), None)
        endpoint.region.delete(ENDPOINT, endpoint.name)
