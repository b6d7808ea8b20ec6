"""Runs a batch transform job: serving processes, records in mini-batches through them, outputs in the inputs' order."""

import gzip
import http
import json
import threading
import time
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from include.local_sagemaker.containers.logs import LogStream
from include.local_sagemaker.containers.role import check_keys_and_network
from include.local_sagemaker.containers.s3_transfer import (
    S3Object,
    TransferError,
    download,
    join_uri,
    list_manifest,
    list_prefix,
    parse_uri,
    upload_file,
)
from include.local_sagemaker.core.at_the_end import at_the_end
from include.local_sagemaker.core.store import TRANSFORM_JOB, Json
from include.local_sagemaker.endpoints.model_server import (
    Answer,
    ModelServer,
    NoAnswerError,
    NotStartableError,
    ServingError,
)
from include.local_sagemaker.jobs.job_queue import (
    ACTIVE,
    LONGEST_REASON,
    Job,
    ServerStoppingError,
    client_error,
    runner,
)
from include.local_sagemaker.jobs.transform_records import MEGABYTE, BadRecordError, Processing, batches, lines

LOG_GROUP = "/aws/sagemaker/TransformJobs"
READ_BYTES = 1024 * 1024
PARAMETERS_SECONDS = 2.0


class TransformError(Exception):
    """The model could not process the data; ``lines`` are for the data log."""

    def __init__(self, kind: str, *log_lines: str) -> None:
        super().__init__(f"{kind}: See job logs for more information")
        self.lines = log_lines


class InterruptedTransformError(Exception):
    """The job was stopped, or the server is stopping."""


@dataclass(frozen=True)
class Limits:
    """How requests are cut and how many may be in flight, per serving process."""

    concurrent: int
    payload_bytes: int | None
    single: bool
    timeout_seconds: float
    retries: int

    def log_line(self) -> str:
        """The data log's first line."""
        payload = 0 if self.payload_bytes is None else self.payload_bytes // MEGABYTE
        strategy = "SINGLE_RECORD" if self.single else "MULTI_RECORD"
        return f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={payload}, BatchStrategy={strategy}"


@dataclass
class Work:
    """One request and the object it belongs to; no records mark the end of an object."""

    item: S3Object
    records: list[bytes]


@runner(TRANSFORM_JOB)
def run_transform_job(job: Job) -> None:
    """Run a transform job through all its states."""
    if job.stop_requested.is_set():
        _end(job, "Stopped")
        return
    job.update({"TransformStartTime": time.time()})
    stream = job.open_log(LOG_GROUP, "algo-1")
    data_log = LogStream(job.region, LOG_GROUP, f"{stream.name}/data-log")
    servers: list[ModelServer] = []
    try:
        with at_the_end(server.stop for server in servers):
            _transform(job, servers, stream, data_log)
        ending: tuple[str, str | None] = ("Completed", None)
    except InterruptedTransformError as error:
        if job.server_stopping.is_set():
            raise ServerStoppingError from error
        _end(job, "Stopped")
        return
    except (TransferError, NotStartableError) as error:
        ending = ("Failed", client_error(error))
    except TransformError as error:
        for line in error.lines:
            data_log.write(_stamped(line))
        ending = ("Failed", str(error))
    _end(job, *ending)


def _end(job: Job, status: str, reason: str | None = None) -> None:
    reason = reason and reason[:LONGEST_REASON]
    changes = {"TransformJobStatus": status, "FailureReason": reason, "TransformEndTime": time.time()}
    job.region.update(TRANSFORM_JOB, job.name, changes, when=ACTIVE)


def _stamped(line: str) -> str:
    return f"{datetime.now(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}:[sagemaker logs]: {line}"


def _transform(job: Job, servers: list[ModelServer], stream: LogStream, data_log: LogStream) -> None:
    document = job.document()
    check_keys_and_network(
        job.region, key=document["TransformOutput"].get("KmsKeyId"), vpc=document["_Container"].get("_VpcConfig")
    )
    bucket, objects = _objects(job, document)
    hosts = min(document["TransformResources"]["InstanceCount"], len(objects))
    servers += [_server(job, document, number, stream) for number in range(hosts)]
    _start(job, servers)
    limits = _limits(document, servers[0])
    data_log.write(_stamped(limits.log_line()))
    halt = threading.Event()
    with ThreadPoolExecutor(hosts) as pool:
        running = [
            pool.submit(Instance(job, document, server, limits, bucket, halt).run, objects[number::hosts])
            for number, server in enumerate(servers)
        ]
        _wait(job, servers, running)
    # of several errors, raise the cause, not the interruptions of the other instances
    troubles = [trouble for one in running if (trouble := one.exception())]
    for trouble in sorted(troubles, key=lambda trouble: isinstance(trouble, InterruptedTransformError)):
        raise trouble


def _wait(job: Job, servers: list[ModelServer], running: list[Future[None]]) -> None:
    """Wait for all instances; a job that should stop does not wait for requests in flight."""
    for one in running:
        one.add_done_callback(lambda _: job.changed.set())
    while not all(one.done() for one in running):
        job.changed.wait()
        job.changed.clear()
        if job.interrupted():
            for server in servers:
                server.stop()


def _start(job: Job, servers: list[ModelServer]) -> None:
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait_until_healthy(job.region.settings.endpoint_start_seconds, job.interrupted)
    except NotStartableError:
        raise
    except ServingError as error:
        if job.interrupted():
            raise InterruptedTransformError from error
        raise TransformError("AlgorithmError", str(error)) from error


def _objects(job: Job, document: Json) -> tuple[str, list[S3Object]]:
    source = document["TransformInput"]["DataSource"]["S3DataSource"]
    s3 = job.region.client("s3")
    if source["S3DataType"] == "ManifestFile":
        return list_manifest(s3, source["S3Uri"])
    return parse_uri(source["S3Uri"])[0], list_prefix(s3, source["S3Uri"], region=job.region.name, role="")


def _server(job: Job, document: Json, number: int, stream: LogStream) -> ModelServer:
    container = document["_Container"]
    environment = {
        **container.get("Environment", {}),
        "SAGEMAKER_BATCH": "true",
        **document.get("Environment", {}),
    }
    for variable, field in (
        ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "MaxConcurrentTransforms"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "MaxPayloadInMB"),
    ):
        if field in document:
            environment[variable] = str(document[field])
    if "BatchStrategy" in document:
        single = document["BatchStrategy"] == "SingleRecord"
        environment["SAGEMAKER_BATCH_STRATEGY"] = "SINGLE_RECORD" if single else "MULTI_RECORD"
    log = stream if number == 0 else job.open_log(LOG_GROUP, f"algo-{number + 1}")
    folder = job.folder / f"server-{number}"
    return ModelServer(
        job.region, {**container, "Environment": environment}, folder, log=log, title=f"transform job {job.name}"
    )


def _limits(document: Json, server: ModelServer) -> Limits:
    """The request's limits, or the container's (GET /execution-parameters), or the defaults."""
    own: Json = {}
    answer = _parameters(server)
    if answer is not None and answer.status == http.HTTPStatus.OK:
        try:
            own = json.loads(answer.body)
        except ValueError as error:
            raise TransformError("AlgorithmError", f"/execution-parameters did not answer JSON: {error}") from error
    given = {**own, **document}
    strategy = given.get("BatchStrategy", "MultiRecord")
    payload = given.get("MaxPayloadInMB", 6)
    config = document.get("ModelClientConfig", {})
    return Limits(
        concurrent=given.get("MaxConcurrentTransforms") or 1,
        payload_bytes=payload * MEGABYTE if payload else None,
        single=strategy in ("SingleRecord", "SINGLE_RECORD"),
        timeout_seconds=config.get("InvocationsTimeoutInSeconds", 600),
        retries=config.get("InvocationsMaxRetries", 3),
    )


def _parameters(server: ModelServer) -> Answer | None:
    try:
        return server.call("GET", "/execution-parameters", {}, None, PARAMETERS_SECONDS)
    except (NoAnswerError, TimeoutError):
        return None


class Instance:
    """One instance's share of a job: its serving process and its objects, one after the other."""

    def __init__(
        self, job: Job, document: Json, server: ModelServer, limits: Limits, bucket: str, halt: threading.Event
    ) -> None:
        self._job = job
        self._server = server
        self._limits = limits
        self._bucket = bucket
        self._halt = halt
        self._s3 = job.region.client("s3")
        self._input = document["TransformInput"]
        self._output = document["TransformOutput"]
        self._split = self._input.get("SplitType", "None") == "Line"
        self._lines = self._output.get("AssembleWith", "None") == "Line"
        self._processing = Processing.from_request(document)
        self._folder = job.folder / f"data-{id(server)}"
        self._headers = {
            **({"Content-Type": self._input["ContentType"]} if "ContentType" in self._input else {}),
            **({"Accept": self._output["Accept"]} if "Accept" in self._output else {}),
        }

    def run(self, objects: list[S3Object]) -> None:
        """Transform objects, with the allowed number of requests in flight, and write outputs in order.

        Raises:
            TransformError: the model or a record failed; outputs of objects before it are written.
            InterruptedTransformError: the job should stop.
        """
        self._folder.mkdir(parents=True)
        waiting: deque[tuple[Work, Future[bytes]]] = deque()
        # more than are in flight, so that a slow answer does not leave the others idle
        ahead = self._limits.concurrent * 2
        with ThreadPoolExecutor(self._limits.concurrent) as pool:
            try:
                for work in self._works(objects):
                    waiting.append((work, pool.submit(self._ask, work)))
                    if len(waiting) > ahead:
                        self._write(*waiting.popleft())
                while waiting:
                    self._write(*waiting.popleft())
            except Exception:
                self._halt.set()
                for _, future in waiting:
                    future.cancel()
                raise

    def _works(self, objects: list[S3Object]) -> Iterator[Work]:
        for item in objects:
            download(self._s3, self._bucket, [S3Object(item.key, "input", 0)], self._folder, self._job.interrupted)
            self._check_interrupted()
            try:
                for records in self._batches(self._folder / "input"):
                    self._check_interrupted()
                    yield Work(item, records)
            except BadRecordError as error:
                raise self._failed(item, "ClientError", str(error)) from error
            yield Work(item, [])

    def _batches(self, file: Path) -> Iterator[list[bytes]]:
        chunks = _chunks(file, gzipped=self._input.get("CompressionType") == "Gzip")
        if self._split:
            return batches(lines(chunks), self._limits.payload_bytes, single=self._limits.single)
        return batches([b"".join(chunks)], self._limits.payload_bytes, single=True)

    def _ask(self, work: Work) -> bytes:
        if not work.records:
            return b""
        try:
            sent = [self._processing.model_input(record) for record in work.records]
            body = b"\n".join(sent) + (b"\n" if self._split else b"")
            answer = self._call(work.item, body)
            outputs = self._processing.output(work.records, answer.body, split=self._split)
        except BadRecordError as error:
            raise self._failed(work.item, "ClientError", str(error)) from error
        if not self._lines:
            return b"\n".join(outputs)
        return b"".join(one if one.endswith(b"\n") else one + b"\n" for one in outputs)

    def _call(self, item: S3Object, body: bytes) -> Answer:
        trouble = ""
        for _ in range(self._limits.retries + 1):
            self._check_interrupted()
            try:
                answer = self._server.call("POST", "/invocations", self._headers, body, self._limits.timeout_seconds)
            except (NoAnswerError, TimeoutError) as error:
                trouble = f"Unable to get response from algorithm: {error}"
                continue
            if answer.status < http.HTTPStatus.BAD_REQUEST:
                return answer
            if answer.status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                message = answer.body.decode(errors="replace")
                raise self._failed(item, "ClientError", f"ClientError: {answer.status}", "", "Message:", message)
            trouble = f"Bad HTTP status received from algorithm: {answer.status}"
        raise self._failed(item, "AlgorithmError", trouble)

    def _check_interrupted(self) -> None:
        if self._halt.is_set() or self._job.interrupted():
            raise InterruptedTransformError

    def _failed(self, item: S3Object, kind: str, *messages: str) -> TransformError:
        place = f"{self._bucket}/{item.key}"
        return TransformError(kind, *(f"{place}: {line}" for message in messages for line in message.split("\n")))

    def _write(self, work: Work, future: "Future[bytes]") -> None:
        output = self._folder / "output"
        with output.open("ab") as file:
            file.write(future.result())
        if not work.records:
            upload_file(self._s3, output, join_uri(self._output["S3OutputPath"], f"{work.item.relative}.out"))
            output.unlink()


def _chunks(file: Path, *, gzipped: bool) -> Iterator[bytes]:
    with gzip.open(file) if gzipped else file.open("rb") as opened:
        try:
            while chunk := opened.read(READ_BYTES):
                yield chunk
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadRecordError(f"the object is not a whole gzip file: {error}") from error
