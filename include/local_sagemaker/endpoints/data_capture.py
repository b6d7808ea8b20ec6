"""Data capture: a sample of an endpoint's requests and answers, as JSON Lines in S3 the way SageMaker writes them.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

import base64
import json
import logging
import random
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from botocore.exceptions import ClientError

from include.local_sagemaker.containers.s3_transfer import parse_uri
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json
from include.local_sagemaker.endpoints.model_server import Answer

log = logging.getLogger(__name__)

FLUSH_RECORDS = 100
FLUSH_SECONDS = 5.0
DEFAULT_CSV = ("text/csv",)
DEFAULT_JSON = ("application/json", "application/jsonlines")


class DataCapture:
    """Collects records of one endpoint and writes them in files of up to a hundred."""

    def __init__(self, region: Region, endpoint: str, config: Json) -> None:
        self._region = region
        self._endpoint = endpoint
        self._config = config
        self._modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        self._lock = threading.Lock()
        self._records: dict[str, list[str]] = {}
        self._timer: threading.Timer | None = None

    @staticmethod
    def of(region: Region, endpoint: str, deployment: Json) -> "DataCapture | None":
        """The capture that a deployment's configuration asks for, if it does; it writes as the model's role."""
        config = deployment["config"].get("DataCaptureConfig")
        if not config or not config.get("EnableCapture", False):
            return None
        containers = next(iter(deployment["containers"].values()))
        return DataCapture(region.acting_as(containers[0].get("_Role", "")), endpoint, config)

    def summary(self) -> Json:
        """DataCaptureConfig as DescribeEndpoint shows it."""
        return {
            "EnableCapture": True,
            "CaptureStatus": "Started",
            "CurrentSamplingPercentage": self._config["InitialSamplingPercentage"],
            "DestinationS3Uri": self._config["DestinationS3Uri"],
            "KmsKeyId": self._config.get("KmsKeyId", ""),
        }

    def record(self, variant: str, headers: Mapping[str, str], body: bytes, answer: Answer) -> None:
        """Record one invocation, if it is sampled; ``headers`` as the client sent them."""
        if random.random() * 100 >= self._config["InitialSamplingPercentage"]:  # noqa: S311
            return
        captured: Json = {}
        if self._modes & {"Input", "InputAndOutput"}:
            captured["endpointInput"] = self._side("INPUT", headers.get("Content-Type"), body)
        if self._modes & {"Output", "InputAndOutput"}:
            captured["endpointOutput"] = self._side("OUTPUT", answer.headers.get("content-type"), answer.body)
        about: Json = {
            "eventId": str(uuid.uuid4()),
            "inferenceTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        attributes = headers.get("X-Amzn-SageMaker-Custom-Attributes")
        inference_id = headers.get("X-Amzn-SageMaker-Inference-Id")
        about |= {"customAttributes": [attributes]} if attributes else {}
        about |= {"inferenceId": inference_id} if inference_id else {}
        line = json.dumps({"captureData": captured, "eventMetadata": about, "eventVersion": "0"})
        with self._lock:
            records = self._records.setdefault(variant, [])
            records.append(line)
            full = len(records) >= FLUSH_RECORDS
            if self._timer is None:
                self._timer = threading.Timer(FLUSH_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.flush()

    def _side(self, mode: str, content_type: str | None, data: bytes) -> Json:
        header = self._config.get("CaptureContentTypeHeader", {})
        kind = (content_type or "").split(";")[0].strip()
        encoding = "BASE64"
        if kind in (*header.get("CsvContentTypes", ()), *DEFAULT_CSV):
            encoding = "CSV"
        elif kind in (*header.get("JsonContentTypes", ()), *DEFAULT_JSON):
            encoding = "JSON"
        text = base64.b64encode(data).decode() if encoding == "BASE64" else data.decode(errors="replace")
        return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}

    def flush(self) -> None:
        """Write what was collected."""
        with self._lock:
            records, self._records = self._records, {}
            if self._timer:
                self._timer.cancel()
                self._timer = None
        for variant, lines in records.items():
            self._write(variant, lines)

    def _write(self, variant: str, lines: Iterable[str]) -> None:
        bucket, prefix = parse_uri(self._config["DestinationS3Uri"])
        now = datetime.now(UTC)
        name = f"{now:%M-%S}-{int(time.time() * 1000) % 1000:03d}-{uuid.uuid4()}.jsonl"
        key = "/".join([*filter(None, [prefix.strip("/")]), self._endpoint, variant, f"{now:%Y/%m/%d/%H}", name])
        body = "".join(f"{line}\n" for line in lines).encode()
        try:
            self._region.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
        except ClientError as error:
            log.error("endpoint %s: captured data could not be written to %s: %s", self._endpoint, key, error)  # noqa: TRY400
