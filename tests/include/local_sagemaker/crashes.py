"""kill -9 under load: clients record what was answered, and check afterwards whether it still holds.

A client owns what it changes. A call that was answered must have taken effect; one cut off by the server's death may or
may not have.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import random
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting, hosting_server
from tests.include.local_sagemaker.job_requests import processing, training
from tests.include.local_sagemaker.local_server import IMAGE, REGION, LocalSageMaker

Json = dict[str, Any]
ENDED = ("Completed", "Failed", "Stopped")
GROUP = "crash-group"


class CutOffError(Exception):
    """The server died before it answered."""


class Client:
    """boto3 clients of one thread, without retries."""

    def __init__(self, server: LocalSageMaker) -> None:
        session = boto3.session.Session("local", "local", region_name=REGION)
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        self._make = lambda name: session.client(name, endpoint_url=server.url, config=config)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]


@contextlib.contextmanager
def cut_off() -> Iterator[None]:
    """Raise connection errors as CutOffError; errors that the server answers with are unchanged."""
    try:
        yield
    except (BotoCoreError, HTTPError) as error:  # botocore does not translate urllib3's errors of a body
        raise CutOffError from error


class Load(Protocol):
    """One thread's work, and how it is verified; all methods raise AssertionError if something was lost.

    `verify` checks after each kill what is new and a sample of what was checked before, so that the two-hundredth kill
    takes no longer than the fifth; `finish` checks everything again.
    """

    def act(self, chance: random.Random) -> None: ...

    def verify(self) -> None: ...

    def finish(self) -> None: ...


SAMPLE = 10


def some(settled: Collection[str]) -> list[str]:
    return random.sample(sorted(settled), min(SAMPLE, len(settled)))


class Objects:
    """Puts, overwrites, copies, uploads in parts and deletes objects."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._s3 = client["s3"]
        self._prefix = prefix
        self._allowed: dict[str, set[str | None]] = {}  # MD5s that each key may have, None for no object

    def act(self, chance: random.Random) -> None:
        key = f"{self._prefix}/{chance.randrange(12)}"
        before = self._allowed.get(key, {None})
        what = chance.choice(["put", "put", "copy", "parts", "delete"])
        content = chance.randbytes(chance.choice([0, 10, 1000, 300_000]))
        if what == "parts":
            content = chance.randbytes(5 * 2**20) + content
        source = chance.choice(sorted(key for key, state in self._allowed.items() if None not in state) or [""])
        if what == "delete" or (what == "copy" and (not source or source == key)):
            self._allowed[key] = before | {None}
            with cut_off():
                self._s3.delete_object(Bucket=BUCKET, Key=key)
            self._allowed[key] = {None}
            return
        after = self._allowed[source] if what == "copy" else {hashlib.md5(content, usedforsecurity=False).hexdigest()}
        self._allowed[key] = before | after
        with cut_off():
            if what == "copy":
                self._s3.copy_object(Bucket=BUCKET, Key=key, CopySource=f"{BUCKET}/{source}")
            elif what == "parts":
                self._put_parts(key, content)
            else:
                self._s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        self._allowed[key] = set(after)

    def _put_parts(self, key: str, content: bytes) -> None:
        where = {"Bucket": BUCKET, "Key": key}
        where["UploadId"] = self._s3.create_multipart_upload(**where)["UploadId"]
        pieces = [content[: 5 * 2**20], content[5 * 2**20 :]]
        etags = [
            self._s3.upload_part(**where, PartNumber=number, Body=piece)["ETag"]
            for number, piece in enumerate(pieces, 1)
        ]
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        self._s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})

    def verify(self) -> None:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{self._prefix}/")
        listed = {item["Key"] for page in pages for item in page.get("Contents", ())}
        for key, allowed in self._allowed.items():
            found = None
            if key in listed:
                body = self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                found = hashlib.md5(body, usedforsecurity=False).hexdigest()
            assert found in allowed, f"s3://{BUCKET}/{key} is {found}, not one of {allowed}"
            self._allowed[key] = {found}
        assert listed <= self._allowed.keys()

    def finish(self) -> None:
        self.verify()


class Messages:
    """Sends messages to a queue, and takes some out of it."""

    def __init__(self, client: Client, name: str) -> None:
        self._sqs = client["sqs"]
        self._url = self._sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
        self._sent: set[str] = set()
        self._deleted: set[str] = set()
        self._in_doubt: set[str] = set()
        self._numbers = itertools.count()

    def act(self, chance: random.Random) -> None:
        if chance.random() < 0.7:
            body = f"message {next(self._numbers)}"
            self._in_doubt.add(body)
            with cut_off():
                self._sqs.send_message(QueueUrl=self._url, MessageBody=body)
            self._sent.add(body)
            self._in_doubt.discard(body)
            return
        with cut_off():
            for message in self._sqs.receive_message(QueueUrl=self._url).get("Messages", ()):
                self._in_doubt.add(message["Body"])
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                self._deleted.add(message["Body"])
                self._in_doubt.discard(message["Body"])

    def verify(self) -> None:
        found = drain(self._sqs, self._url)
        lost = self._sent - self._deleted - self._in_doubt - found
        assert not lost, f"sent messages are gone: {sorted(lost)}"
        returned = found & self._deleted
        assert not returned, f"deleted messages are back: {sorted(returned)}"
        self._sent, self._deleted, self._in_doubt = set(), set(), set()

    def finish(self) -> None:
        self.verify()


def drain(sqs: Any, url: str) -> set[str]:
    """Receive and delete all messages; their bodies."""
    found: set[str] = set()
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.add(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


class Watched:
    """Log lines, alarms, parameters and metrics."""

    MOST_ALARMS = 50  # the server evaluates each every second

    def __init__(self, client: Client, name: str) -> None:
        self._client = client
        self._name = name
        self._lines: list[str] = []
        self._alarms: set[str] = set()  # each with a parameter of its name
        self._deleted: set[str] = set()
        self._sum = 0
        self._numbers = itertools.count()
        client["logs"].create_log_group(logGroupName=name)
        client["logs"].create_log_stream(logGroupName=name, logStreamName="lines")

    def act(self, chance: random.Random) -> None:
        number = next(self._numbers)
        what = chance.choice(["line", "line", "alarm", "metric"])
        with cut_off():
            if what == "line":
                event = {"timestamp": int(time.time() * 1000), "message": f"line {number}"}
                put = self._client["logs"].put_log_events
                put(logGroupName=self._name, logStreamName="lines", logEvents=[event])
                self._lines.append(event["message"])
            elif what == "alarm" and len(self._alarms) >= self.MOST_ALARMS:
                alarm = self._alarms.pop()  # from now on it may be gone; once that was answered, it must be
                self._client["cloudwatch"].delete_alarms(AlarmNames=[alarm])
                self._client["ssm"].delete_parameter(Name=f"/{alarm}")
                self._deleted.add(alarm)
            elif what == "alarm":
                alarm = f"{self._name}-{number}"
                self._client["cloudwatch"].put_metric_alarm(
                    AlarmName=alarm,
                    Namespace="Crashes",
                    MetricName=self._name,
                    Statistic="Sum",
                    Period=60,
                    EvaluationPeriods=1,
                    Threshold=1e9,
                    ComparisonOperator="GreaterThanThreshold",
                )
                self._client["ssm"].put_parameter(Name=f"/{alarm}", Value=alarm, Type="String")
                self._alarms.add(alarm)
            else:
                data = [{"MetricName": self._name, "Value": 1.0}]
                self._client["cloudwatch"].put_metric_data(Namespace="Crashes", MetricData=data)
                self._sum += 1

    def verify(self) -> None:
        get = self._client["logs"].get_log_events
        events = get(logGroupName=self._name, logStreamName="lines", startFromHead=True)["events"]
        lost = set(self._lines) - {event["message"] for event in events}
        assert not lost, f"log lines are gone: {sorted(lost)}"
        pages = self._client["cloudwatch"].get_paginator("describe_alarms").paginate(AlarmNamePrefix=self._name)
        there = {alarm["AlarmName"] for page in pages for alarm in page["MetricAlarms"]}
        assert self._alarms <= there, f"alarms are gone: {sorted(self._alarms - there)}"
        assert not self._deleted & there, f"deleted alarms are back: {sorted(self._deleted & there)}"
        for alarm in self._alarms:
            assert self._client["ssm"].get_parameter(Name=f"/{alarm}")["Parameter"]["Value"] == alarm
        now = time.time()
        statistics = self._client["cloudwatch"].get_metric_statistics(
            Namespace="Crashes",
            MetricName=self._name,
            Statistics=["Sum"],
            Period=86400,
            StartTime=now - 86400,
            EndTime=now + 86400,
        )
        found = sum(point["Sum"] for point in statistics["Datapoints"])
        assert found >= self._sum, f"{self._sum} metric values were accepted, {found} are stored"

    def finish(self) -> None:
        self.verify()


class Approvals:
    """Registers and approves versions; an EventBridge rule sends each approval to a queue."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._sagemaker = client["sagemaker"]
        self._versions: dict[str, set[str]] = {}  # ARN -> the approval states that it may have
        self._approved: set[str] = set()
        self._told: set[str] = set()  # what the queue delivered
        sqs, events = client["sqs"], client["events"]
        self._url = sqs.create_queue(QueueName="approvals")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        pattern = {"source": ["aws.sagemaker"], "detail": {"ModelApprovalStatus": ["Approved"]}}
        events.put_rule(Name="approvals", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="approvals", Targets=[{"Id": "queue", "Arn": arn}])
        self._sagemaker.create_model_package_group(ModelPackageGroupName=GROUP)

    def act(self, chance: random.Random) -> None:
        pending = [arn for arn, states in self._versions.items() if states == {"PendingManualApproval"}]
        with cut_off():
            if pending and chance.random() < 0.5:
                arn = chance.choice(pending)
                self._versions[arn] = {"PendingManualApproval", "Approved"}
                self._sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
                self._versions[arn] = {"Approved"}
                return
            arn = self._sagemaker.create_model_package(
                ModelPackageGroupName=GROUP,
                ModelApprovalStatus="PendingManualApproval",
                InferenceSpecification={
                    "Containers": [{"Image": IMAGE}],
                    "SupportedContentTypes": ["text/csv"],
                    "SupportedResponseMIMETypes": ["text/csv"],
                },
            )["ModelPackageArn"]
            self._versions[arn] = {"PendingManualApproval"}

    def verify(self) -> None:
        for arn, allowed in list(self._versions.items()):
            found = self._status(arn)
            assert found in allowed, f"{arn} is {found}, not one of {allowed}"
            self._versions[arn] = {found}
            if found == "Approved":
                self._approved.add(arn)
                del self._versions[arn]
        self._verify_approved(some(self._approved))

    def finish(self) -> None:
        self.verify()
        self._verify_approved(self._approved)

    def _verify_approved(self, approved: Iterable[str]) -> None:
        for arn in approved:
            assert self._status(arn) == "Approved", arn
        until(self._all_told, f"every approval in the queue: {sorted(self._approved - self._told)}")

    def _status(self, arn: str) -> str:
        return str(self._sagemaker.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"])

    def _all_told(self) -> bool:
        self._told |= {json.loads(body)["resources"][0] for body in drain(self._client["sqs"], self._url)}
        return self._approved <= self._told


class Jobs:
    """Processing jobs that each write a file; some are stopped."""

    def __init__(self, client: Client) -> None:
        self._sagemaker, self._s3 = client["sagemaker"], client["s3"]
        self._allowed: dict[str, set[str]] = {}  # running job -> how it may end
        self._ended: dict[str, str] = {}
        self._numbers = itertools.count()

    def act(self, chance: random.Random) -> None:
        self._settle()
        if len(self._allowed) >= 4:
            if chance.random() < 0.1:
                name = chance.choice(list(self._allowed))
                self._allowed[name] = {"Completed", "Stopped"}
                with cut_off(), contextlib.suppress(ClientError):  # it has just ended
                    self._sagemaker.stop_processing_job(ProcessingJobName=name)
            time.sleep(0.1)
            return
        name = f"crash-{next(self._numbers)}"
        script = f"sleep {chance.random():.2f}; echo {name} > /opt/ml/processing/output/out/result"
        request = processing(name, ["sh", "-c", script], outputs={"out": f"s3://{BUCKET}/results/{name}"})
        with cut_off():
            self._sagemaker.create_processing_job(**request)
        self._allowed[name] = {"Completed"}

    def _status(self, name: str) -> str:
        with cut_off():
            found: str = self._sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobStatus"]
        if found == "Completed":
            with cut_off():
                body = self._s3.get_object(Bucket=BUCKET, Key=f"results/{name}/result")["Body"].read()
            assert body == f"{name}\n".encode(), f"{name} is Completed, and its output is {body!r}"
        return found

    def _settle(self) -> None:
        """Jobs have ended in an allowed way."""
        for name, allowed in list(self._allowed.items()):
            status = self._status(name)
            assert status in {*allowed, "InProgress", "Stopping"}, f"{name} is {status}, not one of {allowed}"
            if status in ENDED:
                self._ended[name] = status
                del self._allowed[name]

    def _verify_ended(self, names: Iterable[str]) -> None:
        for name in names:
            assert self._status(name) == self._ended[name], f"{name} was {self._ended[name]}"

    def verify(self) -> None:
        self._settle()
        self._verify_ended(some(self._ended))

    def finish(self) -> None:
        """Every job ends."""

        def all_ended() -> bool:
            self._settle()
            return not self._allowed

        until(all_ended, "the end of every job", 120)
        self._verify_ended(self._ended)


class Checkpoints:
    """A training job that continues counting from its checkpoint after each crash."""

    NAME = "crash-training"
    KEY = "checkpoints/count"

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen = 0
        script = (
            "cd /opt/ml/checkpoints; n=$(cat count 2>/dev/null || echo 0); echo resumed $n;"
            " while [ $n -lt 100000 ]; do n=$((n+1)); echo $n > next; mv next count; sleep 0.2; done"
        )
        client["sagemaker"].create_training_job(
            **training(
                self.NAME, ["sh", "-c", script], seconds=86400, CheckpointConfig={"S3Uri": f"s3://{BUCKET}/checkpoints"}
            )
        )

    def act(self, chance: random.Random) -> None:
        with cut_off(), contextlib.suppress(ClientError):  # there is none yet
            self._seen = max(self._seen, int(self._client["s3"].get_object(Bucket=BUCKET, Key=self.KEY)["Body"].read()))
        time.sleep(0.1 + 0.1 * chance.random())

    def verify(self) -> None:
        job = self._client["sagemaker"].describe_training_job(TrainingJobName=self.NAME)
        assert job["TrainingJobStatus"] == "InProgress", job
        if self._seen:
            count = int(self._client["s3"].get_object(Bucket=BUCKET, Key=self.KEY)["Body"].read())
            assert count >= self._seen, f"the checkpoint is {count}, but was {self._seen}"

    def finish(self) -> None:
        """The job is stopped, and continued from a checkpoint each time."""
        self._client["sagemaker"].stop_training_job(TrainingJobName=self.NAME)

        def ended() -> bool:
            job = self._client["sagemaker"].describe_training_job(TrainingJobName=self.NAME)
            return str(job["TrainingJobStatus"]) == "Stopped"

        until(ended, f"the end of {self.NAME}", 60)


def until(condition: Callable[[], Any], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def side_by_side(steps: Sequence[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(steps)) as pool:
        for done in [pool.submit(step) for step in steps]:
            done.result()


class Crashes:
    """A server under load that is repeatedly killed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._server = LocalSageMaker(folder / "state", ("--max-jobs", "4", "--stop-grace-seconds", "1"))
        self._chance = random.Random(seed)  # noqa: S311 - it chooses moments
        self._broken: list[BaseException] = []

    def run(self, kills: int, say: Callable[[str], None] = print) -> None:
        """Raises AssertionError if something that was answered is lost."""
        self._server.start()
        client = Client(self._server)
        client["s3"].create_bucket(Bucket=BUCKET)
        loads: list[Load] = [
            *(Objects(Client(self._server), f"objects-{number}") for number in range(2)),
            Messages(Client(self._server), "crashes"),
            Watched(Client(self._server), "crashes"),
            Approvals(Client(self._server)),
            Jobs(Client(self._server)),
            Checkpoints(Client(self._server)),
        ]
        try:
            for number in range(1, kills + 1):
                self._load_and_kill(loads)
                self._server.start()
                side_by_side([load.verify for load in loads])
                if number % 10 == 0:
                    say(f"{number} of {kills} kills survived")
            side_by_side([load.finish for load in loads])
        finally:
            if self._server.process is not None and self._server.process.poll() is None:
                self._server.stop()

    def _load_and_kill(self, loads: list[Load]) -> None:
        threads = [
            threading.Thread(target=self._go_on, args=(load, random.Random(self._chance.random())))  # noqa: S311
            for load in loads
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2 + 1.8 * self._chance.random())  # the moment has to be random
        self._server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join()
        for error in self._broken:
            raise AssertionError(f"under load: {error!r}") from error

    def _go_on(self, load: Load, chance: random.Random) -> None:
        try:
            while True:
                load.act(chance)
        except CutOffError:
            return
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits for this one
            self._broken.append(error)


def restart_endpoints(folder: Path, restarts: int, endpoints: int = 4, say: Callable[[str], None] = print) -> None:
    """Every endpoint answers after each restart, orderly or not; otherwise AssertionError."""
    server = hosting_server(folder, "--endpoint-start-seconds", "120")
    server.start()
    try:
        hosting = Hosting(server)
        hosting.upload_artifact()
        names = {
            hosting.endpoint(hosting.config(hosting.model(MODE="name", NAME=str(n)))): str(n).encode()
            for n in range(endpoints)
        }
        for number in range(1, restarts + 1):
            server.stop(signal.SIGKILL if number % 2 else signal.SIGTERM)
            server.start()
            for name, answer in names.items():
                assert Hosting(server).invoke(name) == answer, f"{name} after restart {number}"
                status = hosting.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
                assert status == "InService", f"{name} is {status} after restart {number}"
            if number % 10 == 0:
                say(f"{number} of {restarts} restarts, all {endpoints} endpoints back")
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()


LARGEST_MEMORY = 400 * 2**20


def fill_memory(folder: Path, gibibytes: int, peak: Callable[[int], int]) -> int:
    """Put the given number of GiB into S3, read and copy; the server's peak resident memory in bytes.

    `peak(pid)` is a process's current memory.
    """
    server = LocalSageMaker(folder / "state")
    server.start()
    assert server.process is not None
    session = boto3.session.Session("local", "local", region_name=REGION)
    s3 = session.client("s3", endpoint_url=server.url, config=Config(read_timeout=600))
    s3.create_bucket(Bucket=BUCKET)
    most = 0
    done = threading.Event()

    def watch(pid: int) -> None:
        nonlocal most
        while not done.wait(0.05):
            most = max(most, peak(pid))

    watcher = threading.Thread(target=watch, args=(server.process.pid,))
    watcher.start()
    try:
        for number in range(gibibytes):
            if number % 2:  # in parts or in one call
                s3.upload_fileobj(Repeated(2**30), BUCKET, f"large/{number}")
            else:
                s3.put_object(Bucket=BUCKET, Key=f"large/{number}", Body=Repeated(2**30), ContentLength=2**30)
            s3.copy_object(Bucket=BUCKET, Key=f"copies/{number}", CopySource=f"{BUCKET}/large/{number}")
            body = s3.get_object(Bucket=BUCKET, Key=f"copies/{number}")["Body"]
            assert sum(len(chunk) for chunk in body.iter_chunks(2**20)) == 2**30
    finally:
        done.set()
        watcher.join()
        server.stop()
    return most


class Repeated(io.RawIOBase):
    """A sparse file of the given number of bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = self._size - self._at
        length = left if size is None or size < 0 else min(size, left)
        self._at += length
        return b"\1" * length
