"""Assembles the parts and serves them, by default on 127.0.0.1."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import resource
import signal
from collections.abc import Iterator
from typing import Any

import waitress.server
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from include.local_sagemaker.aws.alarms import AlarmWatcher
from include.local_sagemaker.aws.clients import client_factory
from include.local_sagemaker.aws.events import Events
from include.local_sagemaker.aws.moto_services import Moto
from include.local_sagemaker.containers.s3_transfer import bucket_key
from include.local_sagemaker.containers.sandbox import Sandbox
from include.local_sagemaker.core.access import Access, Open
from include.local_sagemaker.core.service import Service
from include.local_sagemaker.core.settings import Settings
from include.local_sagemaker.core.store import ACCOUNT, Store

# these modules register their operations on import
from include.local_sagemaker.endpoints import hosting, operations, runtime  # noqa: F401
from include.local_sagemaker.endpoints.live_endpoints import Endpoints
from include.local_sagemaker.http import tags  # noqa: F401
from include.local_sagemaker.http.application import Application
from include.local_sagemaker.http.browser_guard import BrowserGuard
from include.local_sagemaker.iam.enforcement import Enforced
from include.local_sagemaker.jobs import processing, training, transform, transform_run, tuning  # noqa: F401
from include.local_sagemaker.jobs.job_queue import JobQueue
from include.local_sagemaker.jobs.tuning_run import Tunings
from include.local_sagemaker.pages import endpoint, one_resource, overview, s3_objects, support  # noqa: F401
from include.local_sagemaker.registry import model_packages, search  # noqa: F401

log = logging.getLogger(__name__)

_LARGEST_BODY = 64 * 2**30


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises OSError when the port or the state directory is in use."""
    _raise_file_limit()
    with _locked(settings):
        moto = Moto(settings.state)
        sandbox = Sandbox(settings)
        store = Store(settings.state / "sagemaker.db")
        access: Access = Open()
        if settings.enforce_iam:
            access = Enforced(
                settings.state, store, lambda bucket: bucket_key(service.client("s3", "us-east-1"), bucket)
            )
        service = Service(settings, store, lambda *arguments: clients(*arguments), sandbox, access)
        application = Application(service, moto)
        clients = client_factory(application, settings.endpoint_url)
        events = Events(service, moto)
        service.components = {
            "moto": moto,
            "events": events,
            "alarms": AlarmWatcher(ACCOUNT, moto, events.alarm_changed),
            "endpoints": Endpoints(service, moto),
            "jobs": JobQueue(service),
            "tunings": Tunings(service),
        }
        listener = waitress.server.create_server(
            BrowserGuard(application, settings.allowed_hosts),
            host=settings.host,
            port=settings.port,
            threads=settings.threads,
            max_request_body_size=_LARGEST_BODY,
            connection_limit=1000,
            channel_timeout=300,
            ident=None,
            asyncore_use_poll=True,  # select() takes no file descriptor over 1023, and there are many files and pipes
        )
        listener.channel_class = _Channel
        for component in service.components.values():
            component.start()
        print(_welcome(settings), flush=True)
        _run_until_signalled(listener)
        for component in reversed(service.components.values()):
            component.stop()
        store.close()


class _Task(WSGITask):  # type: ignore[misc]
    """Waitress capitalizes header names. botocore reads the keys of an object's metadata from them, so they would come
    back changed."""

    def build_response_header(self) -> bytes:
        head: bytes = super().build_response_header()
        return re.sub(rb"^X-Amz-Meta-[^:\r]+", lambda name: name[0].lower(), head, flags=re.MULTILINE)


class _Channel(HTTPChannel):  # type: ignore[misc]
    """Waitress 3.0 answers "100 Continue" and then waits for a body even if none is announced, so putting an empty
    object into S3 would hang."""

    task_class = _Task

    def send_continue(self) -> None:
        completed = self.request.completed
        super().send_continue()
        self.request.completed = completed


def _run_until_signalled(listener: Any) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        listener.run()  # ends on KeyboardInterrupt, after the requests in flight
    except KeyboardInterrupt:  # it arrived outside the loop that expects it
        log.debug("interrupted")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # what follows saves the state and must not be interrupted
    listener.close()


def _welcome(settings: Settings) -> str:
    return (
        f"local SageMaker on {settings.endpoint_url}/_local/ (state: {settings.state}). With the AWS CLI: "
        f"AWS_ENDPOINT_URL={settings.endpoint_url} AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local "
        f"AWS_DEFAULT_REGION=us-east-1 aws sagemaker list-training-jobs"
    )


def _raise_file_limit() -> None:
    # each object being read is an open file, and so are a container's pipes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else hard
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS refuses more than its maximum; the current limit will do
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextlib.contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Two servers on one state directory would run every job twice."""
    settings.state.mkdir(parents=True, exist_ok=True)
    with (settings.state / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise OSError(
                f"{settings.state} is in use by another local SageMaker (process {file.read().strip() or 'unknown'}): "
                "stop that one, or name another --state."
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
