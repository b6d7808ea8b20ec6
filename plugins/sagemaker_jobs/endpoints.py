"""The operator for endpoints, and the trigger that waits for them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperatorLink, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from sagemaker_jobs import links
from sagemaker_jobs.base import RequestOperator
from sagemaker_jobs.failures import JobLost, is_absent, last_log_lines, refused
from sagemaker_jobs.hosting import ensure_endpoint_config, ensure_model
from sagemaker_jobs.kinds import ENDPOINT, Description, Json, Request
from sagemaker_jobs.names import client_token
from sagemaker_jobs.scaling import changes_mode, clear_the_way, deregister, variants_of
from sagemaker_jobs.triggers import JobTrigger
from sagemaker_jobs.waiting import SHORT_WAIT, SHORT_WAIT_STEP

# SageMaker gives up a deployment after 8 hours at most
LONGEST_CHANGE = timedelta(hours=9)
# the generation and task that last asked for a change of the endpoint
ASKED_BY = "asked-by"


class DeploymentFailed(AirflowFailException):
    """The endpoint could not be created, or SageMaker rolled the new configuration back: no retry can help."""


class EndpointTrigger(JobTrigger):
    """Fires once, when no change of the endpoint is in progress. As JobTrigger; ``job`` is the endpoint's name."""

    async def on_kill(self) -> None:
        """Does nothing: a change of an endpoint cannot be stopped; it completes, or rolls back, on its own."""


class EndpointOperator(RequestOperator):
    """Brings an endpoint to a configuration and waits until it serves with that, however often workers die.

    The request is the desired state, and every try works towards it from the current one: absent, the endpoint is
    created; serving with the configuration, nothing is done; being updated to it, attached to; being updated to
    another, waited for and then updated; failed to be created by an earlier run, deleted and created again. If an
    update changes the instance type, scaling is removed before it and restored after it, whether it succeeds or not.
    Model and configuration are named by their content, so no try creates a second one. Tags record which task asked
    last, so that a retry recognises a change of its own that SageMaker rolled back.

    The request holds ``endpoint`` (EndpointName, Tags) and either ``config_name`` of an existing configuration or
    ``model`` and ``config`` (CreateModel, CreateEndpointConfig without Models). Optional are ``deployment``
    (DeploymentConfig), ``alarms`` (PutMetricAlarm) and ``scaling`` (RegisterScalableTarget as ``target``,
    PutScalingPolicy as ``policy``; ``policy`` None removes scaling).

    Returns ``{"endpoint", "arn", "config", "status", "changed", "model", "updated"}``.

    Raises:
        DeploymentFailed: the endpoint failed, or serves with another configuration than requested; not retried.
        RequestRefused: SageMaker refuses a request; not retried. JobLost: gave up waiting; retried.
    """

    operator_extra_links: Sequence[BaseOperatorLink] = (links.ConsoleLink(), links.LogsLink())

    def execute(self, context: Context) -> Json:
        wanted = self._build_request(context)
        client = self.client
        if "config_name" not in wanted:
            model = ensure_model(client, wanted["model"])
            wanted = {**wanted, "config_name": ensure_endpoint_config(client, wanted["config"], model)}
        context["ti"].xcom_push(key=links.XCOM_KEY, value=self._pages(wanted))
        for alarm in wanted.get("alarms", ()):
            self._call("cloudwatch", "put_metric_alarm", **alarm)
        kept = ("endpoint", "config_name", "deployment", "scaling")
        return self._bring_about(context, {key: wanted[key] for key in kept if key in wanted}, changed=False)

    def execute_complete(self, context: Context, event: Json | None = None, *, wanted: Request, changed: bool) -> Json:
        if event is not None and event["event"] == "timeout":
            raise JobLost(f"gave up waiting for endpoint {event['job']}: {event['message']}. A retry waits on.")
        return self._bring_about(context, wanted, changed=changed)

    def _bring_about(self, context: Context, wanted: Request, *, changed: bool) -> Json:
        """Moves step by step towards the desired state, looking at the current one before each."""
        name, config = wanted["endpoint"]["EndpointName"], wanted["config_name"]
        token = client_token(context["ti"], self._generation(context))
        while True:
            found = self._describe(name)
            if found is None:
                changed = self._create(wanted, token)
            elif not ENDPOINT.is_over(found):
                if _target(found) == config:
                    self._tag(found, wanted, token)
                    changed = True
                self._wait(found, wanted, changed=changed)
            elif found["EndpointStatus"] == "InService" and found["EndpointConfigName"] == config:
                self.log.info("%s serves with %s%s", name, config, "" if changed else " already; nothing was changed")
                self._tag(found, wanted, token)
                self._scale(wanted)
                return self._result(found, changed=changed)
            elif changed or self._tags(found).get(ASKED_BY) == token:
                if found["EndpointStatus"] == "InService":
                    self._scale(wanted)  # it may have been removed for the update that was rolled back
                raise self._failure(found, wanted)
            elif found["EndpointStatus"] == "Failed":
                self.log.warning("%s failed before: %s; removing it", name, found.get("FailureReason"))
                self._change("delete", name, EndpointName=name)
            else:
                changed = self._update(found, wanted, token)

    def _create(self, wanted: Request, token: str) -> bool:
        name, config = wanted["endpoint"]["EndpointName"], wanted["config_name"]
        self.log.info("creating endpoint %s with %s", name, config)
        tags = [*wanted["endpoint"]["Tags"], {"Key": ASKED_BY, "Value": token}]
        return self._change("create", name, EndpointName=name, EndpointConfigName=config, Tags=tags)

    def _update(self, found: Description, wanted: Request, token: str) -> bool:
        name, config = wanted["endpoint"]["EndpointName"], wanted["config_name"]
        self.log.info("updating endpoint %s from %s to %s", name, found.get("EndpointConfigName"), config)
        self._prepare_update(found, config)
        request: Request = {"EndpointName": name, "EndpointConfigName": config}
        if "deployment" in wanted:
            request["DeploymentConfig"] = wanted["deployment"]
        if (wanted.get("scaling") or {}).get("policy"):
            # keep the number of instances that scaling chose; take data capture from the configuration
            request["RetainAllVariantProperties"] = True
            request["ExcludeRetainedVariantProperties"] = [
                {"VariantPropertyType": kind} for kind in ("DesiredWeight", "DataCaptureConfig")
            ]
        try:
            asked = self._change("update", name, **request)
        except AirflowException:
            self._scale(wanted)  # it may have been removed for the update that was refused
            raise
        if asked:
            self._tag(found, wanted, token)
        return asked

    def _prepare_update(self, found: Description, config: str) -> None:
        """Removes what would make SageMaker refuse the update. Raises DeploymentFailed if it can never be done."""
        name = found["EndpointName"]
        try:
            before, after = (variants_of(self.hook.conn, one) for one in (found["EndpointConfigName"], config))
            if changes_mode(before, after):
                raise DeploymentFailed(
                    f"SageMaker cannot switch endpoint {name} between instances and serverless. Nothing was changed."
                    " Set serving.mode back, or delete the endpoint at a quiet time (aws sagemaker delete-endpoint"
                    f" --endpoint-name {name}) and run again, which creates a new one."
                )
            clear_the_way(self._client("application-autoscaling"), name, before, after)
        except ClientError as error:
            raise refused(f"prepare the update of endpoint {name}", error) from error

    def _change(self, verb: str, name: str, **request: Any) -> bool:
        """Asks for a change; false if another one is in progress, which the next look finds."""
        try:
            getattr(self.client, f"{verb}_endpoint")(**request)
        except ClientError as error:
            if any(said in str(error) for said in ("in-progress", "already existing")):
                self.log.info("%s: %s; looking again", name, error)
                time.sleep(SHORT_WAIT_STEP)
                return False
            raise refused(f"{verb} endpoint {name}", error) from error
        return True

    def _wait(self, found: Description, wanted: Request, *, changed: bool) -> None:
        """Returns once no change is in progress; defers after a few seconds."""
        name = found["EndpointName"]
        self.log.info("%s is %s", name, found["EndpointStatus"])
        until = time.monotonic() + SHORT_WAIT
        while time.monotonic() < until:
            time.sleep(SHORT_WAIT_STEP)
            now = self._describe(name)
            if now is None or ENDPOINT.is_over(now):
                return
        since = found["LastModifiedTime"]
        deadline = since + LONGEST_CHANGE
        if deadline < datetime.now(UTC):
            raise JobLost(f"endpoint {name} has been {found['EndpointStatus']} since {since}; look at its console page")
        self.defer(
            trigger=EndpointTrigger(
                kind=ENDPOINT.word,
                job=name,
                since=since.timestamp(),
                deadline=deadline.timestamp(),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            kwargs={"wanted": wanted, "changed": changed},
            timeout=deadline - datetime.now(UTC) + timedelta(minutes=10),
        )

    def _describe(self, name: str) -> Description | None:
        try:
            return {**self.client.describe_endpoint(EndpointName=name)}
        except ClientError as error:
            if is_absent(error):
                return None
            raise

    def _tags(self, found: Description) -> dict[str, str]:
        pages = self.client.get_paginator("list_tags").paginate(ResourceArn=found["EndpointArn"])
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def _tag(self, found: Description, wanted: Request, token: str) -> None:
        tags = [*wanted["endpoint"]["Tags"], {"Key": ASKED_BY, "Value": token}]
        try:
            self.client.add_tags(ResourceArn=found["EndpointArn"], Tags=tags)
        except ClientError as error:
            raise refused(f"tag endpoint {found['EndpointName']}", error) from error

    def _scale(self, wanted: Request) -> None:
        if not (scaling := wanted.get("scaling")):
            return
        if scaling["policy"]:
            self._call("application-autoscaling", "register_scalable_target", **scaling["target"])
            self._call("application-autoscaling", "put_scaling_policy", **scaling["policy"])
            return
        deregister(self._client("application-autoscaling"), scaling["target"])

    def _call(self, service: str, operation: str, **request: Any) -> None:
        try:
            getattr(self._client(service), operation)(**request)
        except ClientError as error:
            raise refused(f"{operation} for the endpoint", error) from error

    def _result(self, found: Description, *, changed: bool) -> Json:
        config = self.client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        return {
            "endpoint": found["EndpointName"],
            "arn": found["EndpointArn"],
            "config": found["EndpointConfigName"],
            "model": config["ProductionVariants"][0]["ModelName"],
            "status": found["EndpointStatus"],
            "changed": changed,
            "updated": found["LastModifiedTime"].astimezone(UTC).isoformat(timespec="seconds"),
        }

    def _failure(self, found: Description, wanted: Request) -> DeploymentFailed:
        name, config, live = found["EndpointName"], wanted["config_name"], found.get("EndpointConfigName")
        reason = found.get("FailureReason") or "SageMaker gave no reason; another run may have changed it meanwhile"
        if found["EndpointStatus"] == "InService":
            what = f"endpoint {name} serves with {live}: {config} was rolled back"
        else:
            what = f"endpoint {name} is {found['EndpointStatus']} and does not serve with {config}"
        pages = {url: title for title, url in self._pages(wanted).items()}
        lines = [f"{what}: {reason}", *(f"  {title}: {url}" for url, title in pages.items())]
        # the newest serving process's
        newest = {"orderBy": "LastEventTime", "descending": True, "limit": 1}
        log_lines = last_log_lines(self._client("logs"), f"{ENDPOINT.log_group}/{name}", **newest)
        return DeploymentFailed("\n".join([*lines, "  last log lines:", *(f"    {line}" for line in log_lines)]))

    def _pages(self, wanted: Request) -> dict[str, str]:
        return links.endpoint_pages(wanted["endpoint"]["EndpointName"], self.client)


def _target(found: Description) -> str | None:
    """The configuration that the endpoint is being updated to; None if unknown."""
    pending: Json = found.get("PendingDeploymentSummary", {})
    own = found.get("EndpointConfigName") if found["EndpointStatus"] == "Creating" else None
    return pending.get("EndpointConfigName") or own
