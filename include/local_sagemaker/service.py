"""What every operation works with: settings, the store, other AWS services and a region's view of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from include.local_sagemaker.access import ADMINISTRATOR, Access
from include.local_sagemaker.errors import ResourceInUse, ValidationException
from include.local_sagemaker.store import AlreadyExistsError, Json, Kind, Query, Store, make_arn

if TYPE_CHECKING:
    from include.local_sagemaker.jobs import JobQueue
    from include.local_sagemaker.sandbox import Sandbox

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How one server runs; the command line's options."""

    state: Path
    host: str = "127.0.0.1"  # the address that it listens on
    port: int = 4566
    images: tuple[tuple[str, Path], ...] = ()  # pattern of an image URI -> Python environment that stands for it
    path: tuple[Path, ...] = ()  # directories that an image would have on its PATH, such as one with `serve`
    min_job_seconds: float = 0.0  # no job ends sooner after its creation
    max_jobs: int = 8
    stop_grace_seconds: float = 10.0  # between SIGTERM and SIGKILL (SageMaker: 120)
    endpoint_start_seconds: float = 600.0  # a serving container must answer /ping within (SageMaker: at least 480)
    sandbox: str = "auto"
    threads: int = 32
    enforce_iam: bool = False

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment_of(self, image: str) -> Path | None:
        """The Python environment that stands for an image URI, or None when no pattern matches."""
        return next((environment for pattern, environment in self.images if fnmatchcase(image, pattern)), None)


class Component(Protocol):
    """A part of the server that has threads or processes of its own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


# (region, kind, before, after): called after a resource was created (before is {}), changed or deleted (after is {})
Listener = Callable[["Region", Kind, Json, Json], None]


@dataclass
class Service:
    """One server: everything below is safe to use from any thread."""

    settings: Settings
    store: Store
    make_client: Callable[[str, str, Mapping[str, str]], Any]
    sandbox: Sandbox
    access: Access
    listeners: list[Listener] = field(default_factory=list)
    components: dict[str, Component] = field(default_factory=dict)
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def region(self, name: str) -> Region:
        return Region(self, name)

    def client(self, name: str, region: str, role: str = "") -> Any:
        """A boto3 client of this very server that calls it in process, without a socket, as the role if one is given.

        Raises ValidationException: SageMaker cannot assume the role.
        """
        with self._lock:
            if (name, region, role) not in self._clients:
                self._clients[name, region, role] = self.make_client(name, region, self.credentials(role))
            return self._clients[name, region, role]

    def credentials(self, role: str) -> dict[str, str]:
        """What a program that runs under the role finds in its environment."""
        return self.access.credentials(role) if role else ADMINISTRATOR

    @property
    def jobs(self) -> JobQueue:
        return cast("JobQueue", self.components["jobs"])

    @staticmethod
    def now() -> float:
        return time.time()


@dataclass(frozen=True)
class Region:
    """What an operation is called with: the resources of one region."""

    service: Service
    name: str
    role: str = ""  # ARN of the role in whose name other services are called; the administrator where it is empty

    def acting_as(self, role: str) -> Region:
        return replace(self, role=role)

    @property
    def settings(self) -> Settings:
        return self.service.settings

    def client(self, name: str) -> Any:
        return self.service.client(name, self.name, self.role)

    def arn(self, kind: Kind, name: str) -> str:
        return make_arn(self.name, kind, name)

    def create(
        self,
        kind: Kind,
        name: str,
        body: Mapping[str, Any],
        *,
        parent: str = "",
        tags: Iterable[Json] = (),
        taken: str = "{title} names must be unique within an AWS account and region, and a {title} with this name"
        " already exists ({arn})",
    ) -> Json:
        """The stored document. Raises ResourceInUse with the message `taken` when the name is."""
        try:
            document = self.service.store.create(self.name, kind, name, body, parent=parent, tags=tags)
        except AlreadyExistsError as error:
            title = kind.label.replace("-", " ").capitalize()
            raise ResourceInUse(taken.format(title=title, arn=error.args[0])) from error
        self._tell(kind, {}, document)
        return document

    def find(self, kind: Kind, name: str) -> Json | None:
        return self.service.store.find(self.name, kind, name)

    def get(self, kind: Kind, name: str, absent: str) -> Json:
        """Raises ValidationException(absent), which is how SageMaker says that there is no such resource."""
        document = self.find(kind, name)
        if document is None:
            raise ValidationException(absent)
        return document

    def update(
        self,
        kind: Kind,
        name: str,
        changes: Mapping[str, Any] | Callable[[Json], Mapping[str, Any]],
        *,
        when: Collection[str] | None = None,
    ) -> Json | None:
        """Merges `changes` into the document (None removes a field), only if its status is among `when`. Returns the
        new document, or None when there was nothing to change. Tells the listeners."""
        change = self.service.store.update(self.name, kind, name, changes, when=when)
        if change is None:
            return None
        self._tell(kind, *change)
        return change[1]

    def delete(self, kind: Kind, name: str) -> Json | None:
        document = self.service.store.delete(self.name, kind, name)
        if document is not None:
            self._tell(kind, document, {})
        return document

    def list(
        self, kind: Kind, request: Json, *, descending: bool, parent: str | None = None
    ) -> tuple[list[Json], str | None]:
        """One page by the parameters that all List operations share, and the next page's token."""
        query = Query.from_request(kind, request, descending=descending, parent=parent)
        return self.service.store.page(self.name, kind, query)

    def iterate(self, kind: Kind, *, parent: str | None = None) -> Iterator[Json]:
        """Every resource of a kind (and parent) in order of creation."""
        token = None
        while True:
            page, token = self.service.store.page(self.name, kind, Query(parent=parent, limit=500, token=token))
            yield from page
            if token is None:
                return

    def _tell(self, kind: Kind, before: Json, after: Json) -> None:
        for listener in self.service.listeners:
            try:
                listener(self, kind, before, after)
            except Exception:  # what listens (events) must never fail the job that it is told about
                log.exception("telling %s about a change of %s failed", listener, (after or before).get(kind.arn))
