"""The state of moto's small services in SQLite: queues, topics, rules, alarms, roles, parameters, secrets and so on.

A service is one pickle, written when a request has changed it. Data that grows with use is kept in separate rows: S3
(`s3_rows`), log events and metric data (`kept_lists`).
"""

from __future__ import annotations

import io
import pickle
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle
from moto.backends import get_backend
from moto.core.common_models import BaseModel
from moto.sns.models import sns_backends

from include.local_sagemaker.aws import kept_lists
from include.local_sagemaker.core.database import Database

SCHEMA = "CREATE TABLE IF NOT EXISTS service (name TEXT PRIMARY KEY, state BLOB NOT NULL);"
SERVICES = (
    *("logs", "cloudwatch", "events", "sns", "sqs", "ssm", "secretsmanager", "iam", "sts", "ecr"),
    "applicationautoscaling",
)
_ATTEMPTS = 20


class KeptState:
    """What is written and restored. Callers prevent other changes meanwhile."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._stored: dict[str, bytes] = {}
        BaseModel.__new__ = staticmethod(_new_model)  # type: ignore[method-assign]
        kept_lists.install(database)
        self._restore()
        kept_lists.restore_streams(database)

    def save(self, services: Iterable[str]) -> None:
        """Writes the changed services, in the open transaction."""
        for service in services:
            if service == "sns":
                _forget_notifications()
            state = _dumps({account: dict(regions) for account, regions in get_backends(service).items()})
            if self._stored.get(service) != state:
                self._db.execute("INSERT OR REPLACE INTO service VALUES (?,?)", (service, state))
                self._stored[service] = state

    def forget_stored(self) -> None:
        """After a failed transaction the state on disk is unknown, so everything is written next time."""
        self._stored.clear()

    def _restore(self) -> None:
        for service, state in self._db.rows("SELECT name, state FROM service"):
            try:
                accounts = pickle.loads(state)  # noqa: S301 - our own row
            except Exception as error:  # unpickling may raise anything
                raise OSError(
                    f"the state of {service} cannot be read ({error!r}); another version of moto may have written it. "
                    "Remove the state directory to start over."
                ) from error
            for account, regions in accounts.items():
                for region, backend in regions.items():
                    get_backends(service)[account][region] = backend
            self._stored[service] = state


def get_backends(service: str) -> Any:
    return get_backend(service)  # type: ignore[call-overload] # declared for literal names only


def _new_model(cls: type[BaseModel], *_: object, **__: Any) -> BaseModel:
    """moto keeps a list of everything it ever created, for a reset that is not used here: memory would grow forever."""
    return object.__new__(cls)


def _forget_notifications() -> None:
    """moto remembers everything it published, for tests that ask for it."""
    for regions in sns_backends.values():
        for backend in regions.values():
            for topic in backend.topics.values():
                topic.sent_notifications.clear()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # moto's backends hold lambdas, which pickle alone refuses
    """Writes locks as new, free locks: nothing changes moto while it is written."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, threading.Condition):  # a request may be waiting for messages
            return threading.Condition, ()
        if isinstance(item, _LOCKS):
            return (threading.RLock if isinstance(item, _LOCKS[1]) else threading.Lock), ()
        if isinstance(item, defaultdict) and type(item) is not defaultdict:
            # the __init__ of moto's parameter store takes different arguments than defaultdict's pickling passes
            return _new_defaultdict, (type(item), item.default_factory), vars(item), None, iter(item.items())
        return super().reducer_override(item)


def _new_defaultdict(cls: type[defaultdict[Any, Any]], factory: Callable[[], Any]) -> defaultdict[Any, Any]:
    new = cls.__new__(cls)
    defaultdict.__init__(new, factory)
    return new


_LOCKS = (type(threading.Lock()), type(threading.RLock()))


def _dumps(state: object) -> bytes:
    for attempt in range(1, _ATTEMPTS + 1):
        file = io.BytesIO()
        try:
            _Pickler(file).dump(state)
        except RuntimeError:  # a ReceiveMessage, which takes no lock, changed a set or a dict at this moment
            if attempt == _ATTEMPTS:
                raise
        else:
            return file.getvalue()
    raise AssertionError("unreachable")
