"""What every operation works with: the store, other AWS services and a region's view of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from include.local_sagemaker.core.access import ADMINISTRATOR, Access
from include.local_sagemaker.core.errors import ResourceInUse, ValidationException
from include.local_sagemaker.core.settings import Settings
from include.local_sagemaker.core.store import AlreadyExistsError, Json, Kind, Query, Store, make_arn

if TYPE_CHECKING:
    from include.local_sagemaker.containers.sandbox import Sandbox

log = logging.getLogger(__name__)


class Component(Protocol):
    """A part of the server with its own threads or processes."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


# (region, kind, before, after): called when a resource was created (before is {}), changed or deleted (after is {}),
# within the transaction of that change
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
        """A boto3 client that calls this server in process, without a socket, as the role if one is given.

        Raises ValidationException: SageMaker cannot assume the role.
        """
        with self._lock:
            if (name, region, role) not in self._clients:
                self._clients[name, region, role] = self.make_client(name, region, self.credentials(role))
            return self._clients[name, region, role]

    def credentials(self, role: str) -> dict[str, str]:
        """What a program that runs under the role finds in its environment."""
        return self.access.credentials(role) if role else ADMINISTRATOR

    @staticmethod
    def now() -> float:
        return time.time()


@dataclass(frozen=True)
class Region:
    """An operation's view of one region's resources."""

    service: Service
    name: str
    role: str = ""  # ARN of the role that calls other services; empty means the administrator

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
        body: Mapping[str, object],
        *,
        parent: str = "",
        tags: Iterable[Json] = (),
        taken: str = "{title} names must be unique within an AWS account and region, and a {title} with this name"
        " already exists ({arn})",
    ) -> Json:
        """The stored document. Raises ResourceInUse with the message `taken` when the name is."""
        try:
            with self.service.store.transaction():
                document = self.service.store.create(self.name, kind, name, body, parent=parent, tags=tags)
                self._tell(kind, {}, document)
        except AlreadyExistsError as error:
            title = kind.label.replace("-", " ").capitalize()
            raise ResourceInUse(taken.format(title=title, arn=error.args[0])) from error
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
        changes: Mapping[str, object] | Callable[[Json], Mapping[str, object]],
        *,
        when: Collection[str] | None = None,
    ) -> Json | None:
        """Merges `changes` into the document (None removes a field), only if its status is among `when`. Returns the
        new document, or None when there was nothing to change. Tells the listeners."""
        with self.service.store.transaction():
            change = self.service.store.update(self.name, kind, name, changes, when=when)
            if change is None:
                return None
            self._tell(kind, *change)
        return change[1]

    def delete(self, kind: Kind, name: str) -> Json | None:
        with self.service.store.transaction():
            document = self.service.store.delete(self.name, kind, name)
            if document is not None:
                self._tell(kind, document, {})
        return document

    def list(self, kind: Kind, request: Json, *, parent: str | None = None) -> tuple[list[Json], str | None]:
        """One page by the parameters that all List operations share, and the next page's token."""
        query = Query.from_request(kind, request, parent=parent)
        return self.service.store.page(self.name, kind, query)

    def iterate(self, kind: Kind, *, parent: str | None = None) -> Iterator[Json]:
        """Every resource of a kind (and parent) in order of creation."""
        token = None
        while True:
            page, token = self.service.store.page(
                self.name, kind, Query(parent=parent, limit=500, token=token, descending=False)
            )
            yield from page
            if token is None:
                return

    def _tell(self, kind: Kind, before: Json, after: Json) -> None:
        for listener in self.service.listeners:
            try:
                listener(self, kind, before, after)
            except Exception:  # a listener (events) must never fail the job that it is notified about
                log.exception("telling %s about a change of %s failed", listener, (after or before).get(kind.arn))
