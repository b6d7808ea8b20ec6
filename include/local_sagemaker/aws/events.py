"""SageMaker's state-change events, delivered through the rules of moto's EventBridge to SQS, SNS and log groups.

An event is stored in the transaction of its change, and delivered by a separate thread: a failing rule, queue or
subscriber is logged and delays nothing else. As on AWS, an event is delivered at least once: twice if the server dies
between its delivery and the record of it.
"""

import copy
import json
import logging
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any, cast

from moto.cloudwatch.models import Alarm
from moto.events.models import Rule, events_backends
from moto.events.utils import EventMessageType, EventTemplateParser
from moto.logs.models import logs_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from include.local_sagemaker.aws.moto_services import Moto
from include.local_sagemaker.core.service import Region, Service
from include.local_sagemaker.core.store import (
    ACCOUNT,
    ENDPOINT,
    MODEL,
    MODEL_PACKAGE,
    PROCESSING_JOB,
    TRAINING_JOB,
    TRANSFORM_JOB,
    TUNING_JOB,
    Json,
    Kind,
)
from include.local_sagemaker.http import api_model

log = logging.getLogger(__name__)

_TITLES = {
    PROCESSING_JOB: "SageMaker Processing Job State Change",
    TRAINING_JOB: "SageMaker Training Job State Change",
    TRANSFORM_JOB: "SageMaker Transform Job State Change",
    TUNING_JOB: "SageMaker HyperParameter Tuning Job State Change",
    ENDPOINT: "SageMaker Endpoint State Change",
    MODEL: "SageMaker Model State Change",
    MODEL_PACKAGE: "SageMaker Model Package State Change",
}
RETRY_SECONDS = 2.0
_DEPLOYMENT = "SageMaker Endpoint Deployment State Change"


class Events:
    """Listens to every change of a resource, and delivers the events that AWS sends for it."""

    def __init__(self, service: Service, moto: Moto) -> None:
        self._moto = moto
        self._store = service.store
        self._added = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._deliver_all, name="events", daemon=True)
        service.listeners.append(self.resource_changed)

    def start(self) -> None:
        """Start delivering, beginning with what an earlier server left."""
        self._added.set()
        self._thread.start()

    def stop(self) -> None:
        """Deliver what is pending, then end. The next server delivers the rest."""
        self._stopping = True
        self._added.set()
        self._thread.join(timeout=10)

    def resource_changed(self, region: Region, kind: Kind, before: Json, after: Json) -> None:
        """Send an event if AWS sends one for this change."""
        if kind not in _TITLES:
            return
        document = after or before
        titles = [_TITLES[kind]] if _is_state_change(kind, before, after) else []
        if kind is ENDPOINT and after and _deployment(before) != _deployment(after):
            titles.append(_DEPLOYMENT)
        for title in titles:
            detail = _detail(kind, document, region.service.store.tags(document[kind.arn]))
            if kind is MODEL_PACKAGE:
                detail["UpdatedModelPackageFields"] = _updated_fields(before, after) if before else []
            self.send(region.name, "aws.sagemaker", title, [document[kind.arn]], detail)

    def alarm_changed(self, region: str, alarm: Alarm, old: str) -> None:
        """Send CloudWatch's event about an alarm that changed its state."""
        stamp = alarm.state_updated_timestamp.isoformat(timespec="milliseconds") + "+0000"
        detail = {
            "alarmName": alarm.name,
            "state": {"value": alarm.state_value, "reason": alarm.state_reason, "timestamp": stamp},
            "previousState": {"value": old},
            "configuration": {"description": alarm.description},
        }
        self.send(region, "aws.cloudwatch", "CloudWatch Alarm State Change", [alarm.alarm_arn], detail)

    def send(self, region: str, source: str, title: str, resources: list[str], detail: Json) -> None:
        """Store one event for the default bus of a region."""
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": title,
            "source": source,
            "account": ACCOUNT,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": resources,
            "detail": detail,
        }
        self._store.add_event(region, event)
        self._added.set()

    def _deliver_all(self) -> None:
        while True:
            self._added.wait()
            self._added.clear()
            try:
                self._deliver_stored()
            except Exception:  # a full disk, for example, loses no event
                log.exception("events could not be delivered; trying again in %g s", RETRY_SECONDS)
                time.sleep(RETRY_SECONDS)
                self._added.set()
            if self._stopping:
                return

    def _deliver_stored(self) -> None:
        while stored := self._store.oldest_event():
            number, region, event = stored
            with self._moto.change():
                bus = events_backends[ACCOUNT][region].event_buses["default"]
                for rule in list(bus.rules.values()):
                    self._deliver(rule, event)
            self._store.delete_event(number)

    def _deliver(self, rule: Rule, event: Json) -> None:
        # a schedule has no pattern, and moto's empty pattern matches everything
        if (
            rule.state != "ENABLED"
            or not rule.event_pattern.get_pattern()
            or not rule.event_pattern.matches_event(cast("EventMessageType", event))
        ):
            return
        for target in list(rule.targets):
            try:
                self._send_to(rule, target, event)
            except Exception as error:  # noqa: BLE001  whatever one target does, the others get their event
                log.error("rule %s: an event could not be delivered to %s: %r", rule.name, target["Arn"], error)  # noqa: TRY400

    def _send_to(self, rule: Rule, target: Json, event: Json) -> None:
        _, _, _, service, region, account, resource = f":{target['Arn']}".split(":", 6)
        body = json.dumps(_input(target, event))
        if service == "sqs":
            group = target.get("SqsParameters", {}).get("MessageGroupId")
            backend = sqs_backends[account][region]
            backend.send_message(resource, body, group_id=group, deduplication_id=event["id"] if group else None)
        elif service == "sns":
            sns_backends[account][region].publish(message=body, arn=target["Arn"])
        elif service == "logs":
            group, stream = resource.removeprefix("log-group:").removesuffix(":*"), event["id"]
            logs = logs_backends[account][region]
            logs.create_log_stream(group, stream)
            logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": body}])
        else:
            log.warning("rule %s: %s is not delivered: only SQS, SNS and log groups are", rule.name, target["Arn"])
            return
        self._moto.mark_changed(service)


def _input(target: Json, event: Json) -> Any:
    """What a target receives: the event, a part of it, a constant, or a template filled from it."""
    if "Input" in target:
        return json.loads(target["Input"])
    if "InputPath" in target:
        part: Any = event
        for name in target["InputPath"].removeprefix("$").strip(".").split("."):
            part = part[name] if name else part
        return part
    if "InputTransformer" in target:
        transformer = target["InputTransformer"]
        complete: Any = {**copy.deepcopy(event), "ingestion-time": event["time"]}
        return EventTemplateParser.parse(transformer["InputTemplate"], transformer.get("InputPathsMap", {}), complete)
    return event


def _is_state_change(kind: Kind, before: Json, after: Json) -> bool:
    if kind is MODEL:
        return not before or not after
    if kind is MODEL_PACKAGE:  # every update is an event, most importantly approvals
        return bool(after and _updated_fields(before, after))
    if not after:
        return kind is ENDPOINT
    watched = (kind.status, "SecondaryStatus")
    return any(before.get(name) != after.get(name) for name in watched)


def _updated_fields(before: Json, after: Json) -> list[str]:
    untold = {"LastModifiedTime", "LastModifiedBy"}
    return sorted(key for key in {*before, *after} - untold if before.get(key) != after.get(key))


def _deployment(endpoint: Json) -> list[object]:
    pending = endpoint.get("PendingDeploymentSummary", {})
    return [variant.get("VariantStatus") for variant in pending.get("ProductionVariants", [])]


def _detail(kind: Kind, document: Json, tags: list[Json]) -> Json:
    # the description omits this program's private fields
    detail = api_model.render_response(f"Describe{kind.title}", document)
    if kind is MODEL_PACKAGE and "ModelPackageGroupName" in detail:
        del detail["ModelPackageName"]
    if kind is ENDPOINT:
        detail["EndpointStatus"] = _upper(detail["EndpointStatus"])
    stamps = _iso if kind is MODEL_PACKAGE else _milliseconds
    detail = {key: stamps(value) if key.endswith("Time") else value for key, value in detail.items()}
    return {**detail, "Tags": {tag["Key"]: tag["Value"] for tag in tags}}


def _upper(status: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() and i else letter for i, letter in enumerate(status)).upper()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
