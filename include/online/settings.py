"""What the service is told by its environment.

- ``MODEL``: a model's name
- ``BUCKET``: where production's history is, which says who the champion is
- ``ARTIFACT``, ``VERSION``: s3:// of a model.tar.gz to serve while nothing is in production, and what to call it
- ``BACKEND``: ``local`` (unless given: the artifact in this process) or ``endpoint``
- ``ENDPOINT``, ``TARGET_VARIANT``: of that backend; the model's production endpoint unless given
- ``STATE``: the feature state, ``sqlite:///<path>`` or ``dynamodb://<table>``; without it requests bring their history
- ``API_KEYS``: ``name:<sha256 of the key>`` with commas between; ``AUTH=iam`` where who calls was checked in front
- ``ALLOWED_HOSTS``: names that it is called by, with commas between; this machine's unless given, ``*``: any
- ``HOST``, ``PORT``: where to listen, 127.0.0.1:8765 unless given
- ``MAX_MB``, ``MAX_ROWS``, ``MAX_WAITING``: of a request 6 MB and 10,000 rows, and how many may wait at once, 256
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, cast

from include.models.errors import JobError
from include.online.guard import is_this_machine

KEY = re.compile(r"([\w.-]{1,60}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Settings:
    """See above."""

    model: str
    bucket: str
    backend: Literal["local", "endpoint"] = "local"
    artifact: str | None = None
    version: str = "given"
    endpoint: str | None = None
    target_variant: str | None = None
    state: str | None = None
    api_keys: Mapping[str, str] | None = None  # names by the sha256 of each key
    auth: str | None = None
    allowed_hosts: frozenset[str] = frozenset()
    host: str = "127.0.0.1"
    port: int = 8765
    max_bytes: int = 6 * 2**20
    max_rows: int = 10_000
    max_waiting: int = 256

    @classmethod
    def from_environment(cls, given: Mapping[str, str] | None = None) -> Self:
        """Raises JobError: something is missing or cannot be used, or everybody could call the service."""
        given = os.environ if given is None else given
        for name in ("MODEL", "BUCKET"):
            if not given.get(name):
                raise JobError(f"{name} is not set; see include/online/settings.py.")
        backend = given.get("BACKEND", "local")
        if backend not in ("local", "endpoint"):
            raise JobError(f"BACKEND is '{backend}'; allowed are local and endpoint.")
        found = cls(
            model=given["MODEL"],
            bucket=given["BUCKET"],
            backend=cast(Literal["local", "endpoint"], backend),
            artifact=given.get("ARTIFACT") or None,
            version=given.get("VERSION") or "given",
            endpoint=given.get("ENDPOINT") or None,
            target_variant=given.get("TARGET_VARIANT") or None,
            state=given.get("STATE") or None,
            api_keys=_keys(given.get("API_KEYS", "")),
            auth=given.get("AUTH") or None,
            allowed_hosts=frozenset(
                name.strip().lower() for name in given.get("ALLOWED_HOSTS", "").split(",") if name.strip()
            ),
            host=given.get("HOST", "127.0.0.1"),
            port=_number(given, "PORT", 8765, 65535),
            max_bytes=_number(given, "MAX_MB", 6, 100) * 2**20,
            max_rows=_number(given, "MAX_ROWS", 10_000, 1_000_000),
            max_waiting=_number(given, "MAX_WAITING", 256, 100_000),
        )
        if not is_this_machine(found.host) and not found.api_keys and found.auth != "iam":
            raise JobError(
                f"the service would listen on {found.host} and answer everybody. Set API_KEYS, or AUTH=iam where what "
                "is in front of it (an IAM-authorised URL, a load balancer) checks who calls."
            )
        return found


def _keys(text: str) -> dict[str, str]:
    keys = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        match = KEY.fullmatch(entry)
        if not match:
            raise JobError("API_KEYS has an entry that is not name:<64 hex digits of the key's sha256>.")
        keys[match[2]] = match[1]
    return keys


def _number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) <= most:
        raise JobError(f"{name} is '{text}'; allowed is a whole number from 1 to {most:,}.")
    return int(text)
