"""The job queue: jobs run in the order in which their instances are ready, at most N at a time; jobs that ran when the
server died start over.

A kind of job registers `@runner(TRAINING_JOB)`: a function that takes a Job through all its states, in a thread of the
queue. It must end in a terminal status whatever happens; what it raises ends the job as failed.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import psutil

from include.local_sagemaker.containers.logs import LogStream, log_file
from include.local_sagemaker.containers.role import check_pull
from include.local_sagemaker.containers.sandbox import Container, Process, UnknownImageError
from include.local_sagemaker.core.at_the_end import at_the_end
from include.local_sagemaker.core.errors import ValidationException, is_passing
from include.local_sagemaker.core.service import Region, Service
from include.local_sagemaker.core.store import Json, Kind

log = logging.getLogger(__name__)

ACTIVE = ("InProgress", "Stopping")
TERMINAL = ("Completed", "Failed", "Stopped")
LONGEST_REASON = 1024
_PAUSES = (1.0, 5.0)  # seconds before a job that failed through a temporary fault starts over


class ServerStoppingError(Exception):
    """The server is stopping: the job keeps its state and starts over with the next server."""


@dataclass(eq=False)
class Job:
    """A queued or running job."""

    region: Region
    kind: Kind
    name: str
    restarted: bool = False
    stop_requested: threading.Event = field(default_factory=threading.Event)
    server_stopping: threading.Event = field(default_factory=threading.Event)
    changed: threading.Event = field(default_factory=threading.Event)  # wakes who waits for this job

    @property
    def key(self) -> tuple[str, str, str]:
        return self.region.name, self.kind.label, self.name

    @property
    def folder(self) -> Path:
        return self.region.settings.state / "jobs" / Path(*self.key)

    def document(self) -> Json:
        return self.region.get(self.kind, self.name, f"{self.kind.label} {self.name} has gone")

    def update(self, changes: Mapping[str, object] | Callable[[Json], Mapping[str, object]]) -> None:
        self.region.update(self.kind, self.name, changes)

    def ready_at(self) -> float:
        """When its instances are ready. A job that ran before starts over immediately."""
        document = self.document()
        seconds = document.get("_StartUp", self.region.settings.start_up.of_job(self.kind))
        return 0.0 if self.restarted or self.stop_requested.is_set() else document["CreationTime"] + float(seconds)

    def interrupted(self) -> bool:
        return self.stop_requested.is_set() or self.server_stopping.is_set()

    def open_log(self, group: str, host: str, on_line: Callable[[float, str], None] | None = None) -> LogStream:
        """A new stream `<job>/<host>-<epoch>`, named as SageMaker names it."""
        epoch = int(time.time())
        while log_file(self.region.settings.state, self.region.name, group, f"{self.name}/{host}-{epoch}").exists():
            epoch += 1
        return LogStream(self.region, group, f"{self.name}/{host}-{epoch}", on_line=on_line)

    def run_containers(self, containers: Sequence[tuple[Container, LogStream]], seconds: float) -> Outcome:
        """Runs one container per host until all have ended, one has failed (the others are killed), `seconds` are over
        or the job is stopped (SIGTERM, then SIGKILL after the grace). Raises ServerStoppingError."""
        deadline = time.monotonic() + seconds
        processes: list[Process] = []
        sandbox = self.region.service.sandbox
        names = hosts_of(len(containers))
        hosts = dict(zip(names, sandbox.addresses(len(names)), strict=True))
        with at_the_end(one.wait for one in processes), at_the_end(one.kill for one in processes):
            for name, (container, stream) in zip(names, containers, strict=True):
                check_pull(self.region, container.image)
                process = sandbox.start(
                    replace(container, hostname=name, hosts=hosts),
                    stream.follow,
                    region=self.region.name,
                    credentials=self.region.service.credentials(self.region.role),
                )
                process.when_ended(self.changed.set)
                processes.append(process)
            self._remember([process.pid for process in processes])
            ending = self._wait(processes, deadline)
            if ending in {"stopped", "timeout"}:
                _stop_all(processes, self.region.settings.stop_grace_seconds)
        if ending == "server stops":
            raise ServerStoppingError
        failed = next((i for i, process in enumerate(processes) if process.exit_code), 0)
        return Outcome(ending, [process.exit_code or 0 for process in processes], failed)

    def _wait(self, processes: Sequence[Process], deadline: float) -> str:
        while True:
            self.changed.clear()
            if self.server_stopping.is_set():
                return "server stops"
            codes = [process.exit_code for process in processes if process.ended.is_set()]
            if len(codes) == len(processes) or any(codes):
                # the job's end counts, even if a stop came at the same moment
                return "ended"
            if self.stop_requested.is_set():
                return "stopped"
            left = deadline - time.monotonic()
            if left <= 0:
                return "timeout"
            self.changed.wait(min(left, 3600))

    def _remember(self, pids: Sequence[int]) -> None:
        """For the next server, which must not start the job over while these run."""
        started = []
        for pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):  # already over
                started.append([pid, psutil.Process(pid).create_time()])
        partial = self.folder / "processes.partial"
        partial.write_text(json.dumps(started))
        partial.replace(self.folder / "processes.json")  # completely or not at all

    def clear_folder(self) -> None:
        """An empty folder; ends what an earlier server may have left running in the old one."""
        with contextlib.suppress(FileNotFoundError):
            for pid, created in json.loads((self.folder / "processes.json").read_text()):
                _wait_until_gone(pid, created)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)


def hosts_of(count: int) -> list[str]:
    """The names by which a job's hosts find each other."""
    return [f"algo-{number}" for number in range(1, count + 1)]


@dataclass(frozen=True)
class Outcome:
    """How the containers of a job ended: "ended", "stopped" or "timeout", each host's exit code, the host to blame."""

    ending: str
    exit_codes: list[int]
    failed_host: int

    @property
    def exit_code(self) -> int:
        return self.exit_codes[self.failed_host]


def _stop_all(processes: Sequence[Process], grace_seconds: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace_seconds
    for process in processes:
        process.wait(max(0.0, deadline - time.monotonic()))


def _wait_until_gone(pid: int, created: float, patience: float = 10.0) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if abs(process.create_time() - created) < 1.0:  # otherwise the id may belong to another process
            try:
                process.wait(patience)
            except psutil.TimeoutExpired:
                process.kill()


Runner = Callable[[Job], None]
_RUNNERS: dict[Kind, Runner] = {}


def runner(kind: Kind) -> Callable[[Runner], Runner]:
    def register(function: Runner) -> Runner:
        _RUNNERS[kind] = function
        return function

    return register


class JobQueue:
    """A component of the server."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._condition = threading.Condition()
        self._queued: list[tuple[float, int, Job]] = []  # a heap: by the time they are ready, then in order of arrival
        self._serial = itertools.count()
        self._known: dict[tuple[str, str, str], Job] = {}
        self._stopping = False
        self._workers = [
            threading.Thread(target=self._work, name=f"job-{number}", daemon=True)
            for number in range(service.settings.max_jobs)
        ]

    @staticmethod
    def of(service: Service) -> JobQueue:
        """The queue of a server."""
        return cast("JobQueue", service.components["jobs"])

    def start(self) -> None:
        unfinished = [
            (document["CreationTime"], region, kind, document)
            for kind in _RUNNERS
            for region, document in self._service.store.all(kind, statuses=ACTIVE)
        ]
        for _, region, kind, document in sorted(unfinished, key=lambda item: item[0]):
            job = Job(self._service.region(region), kind, document[kind.name], restarted="_started" in document)
            if document[kind.status] == "Stopping":
                job.stop_requested.set()
            self._add(job)
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        """Kill running jobs; they stay in progress and start over with the next server."""
        with self._condition:
            self._stopping = True
            for job in self._known.values():
                job.server_stopping.set()
                job.changed.set()
            self._condition.notify_all()
        for worker in self._workers:
            worker.join()

    def submit(self, region: Region, kind: Kind, name: str) -> None:
        self._add(Job(region, kind, name))

    def request_stop(self, region: Region, kind: Kind, name: str) -> None:
        """Stop a running job; one that is still starting up or waiting ends immediately."""
        with self._condition:
            job = self._known.get((region.name, kind.label, name))
            if job is None:
                return
            job.stop_requested.set()
            job.changed.set()
            left = [entry for entry in self._queued if entry[2] is not job]
            if len(left) == len(self._queued):
                return
            self._queued = left
            heapq.heapify(self._queued)
        threading.Thread(target=self._run, args=(job,), name=f"stop-{name}", daemon=True).start()

    def _add(self, job: Job) -> None:
        ready = job.ready_at()
        with self._condition:
            self._known[job.key] = job
            heapq.heappush(self._queued, (ready, next(self._serial), job))
            self._condition.notify()

    def _work(self) -> None:
        for job in self._take():
            self._run(job)

    def _take(self) -> Iterator[Job]:
        while True:
            with self._condition:
                while not self._stopping and (left := self._seconds_to_the_next()) > 0:
                    self._condition.wait(min(left, threading.TIMEOUT_MAX))
                if self._stopping:
                    return
                _, _, job = heapq.heappop(self._queued)
            yield job

    def _seconds_to_the_next(self) -> float:
        return self._queued[0][0] - time.time() if self._queued else math.inf

    def _run(self, job: Job) -> None:
        try:
            for pause in (*_PAUSES, None):
                try:
                    self._run_once(job)
                except ServerStoppingError:
                    return
                except Exception as error:
                    log.exception("%s %s failed inside the local SageMaker", job.kind.label, job.name)
                    if pause is None or not is_passing(error):
                        self._fail(job, error)
                        return
                    job.server_stopping.wait(pause)
                    job.restarted = True
                else:
                    return
        finally:
            with self._condition:
                self._known.pop(job.key, None)
            shutil.rmtree(job.folder, ignore_errors=True)

    @staticmethod
    def _run_once(job: Job) -> None:
        if job.server_stopping.is_set():
            raise ServerStoppingError
        job.clear_folder()
        job.update({"_started": time.time()})
        document = job.document()
        # a transform job has the role of its model
        job.region = job.region.acting_as(document.get("RoleArn") or document.get("_Container", {}).get("_Role", ""))
        _RUNNERS[job.kind](job)

    @staticmethod
    def _fail(job: Job, error: Exception) -> None:
        reason = f"InternalServerError: the local SageMaker itself failed ({error!r}); its log says where."
        job.update({job.kind.status: "Failed", "FailureReason": reason[:LONGEST_REASON]})


def client_error(error: Exception) -> str:
    """The FailureReason of a job whose image or data is not available."""
    if isinstance(error, UnknownImageError):
        return (
            "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are"
            f" incorrect. ({error})"
        )[:LONGEST_REASON]
    return f"ClientError: {error}"[:LONGEST_REASON]


def stop_job(
    region: Region, kind: Kind, name: str, absent: str, entering: Callable[[Json], Json] = lambda document: {}
) -> None:
    """The Stop operation of a kind of job; `entering` gives what else the document gets with the status Stopping.

    Raises ValidationException: with `absent` if there is no such job, or because the job is over.
    """
    status = region.get(kind, name, absent)[kind.status]

    def stopping(document: Json) -> Json:
        return {kind.status: "Stopping", **entering(document)}

    if status != "Stopping" and region.update(kind, name, stopping, when=("InProgress",)) is None:
        status = region.get(kind, name, absent)[kind.status]
        word = kind.label.replace("-", " ")
        raise ValidationException(f"The request was rejected because the {word} is in status {status}.")
    JobQueue.of(region.service).request_stop(region, kind, name)
