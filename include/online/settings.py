"""The service's environment variables.

- ``MODEL``: a model's name
- ``BUCKET``: with the production history, which names the champion
- ``ARTIFACT``, ``VERSION``: s3:// of a model.tar.gz to serve while nothing is in production, and its name
- ``BACKEND``: ``local`` (default: the artifact in this process) or ``endpoint``
- ``ENDPOINT``, ``TARGET_VARIANT``: for that backend; default: the model's production endpoint
- ``STATE``: the feature state, ``sqlite:///<path>`` or ``dynamodb://<table>``; without it requests must include their
history
- ``API_KEYS``: ``name:<sha256 of the key>`` separated by commas
- ``AUTH=iam``: a proxy in front checks callers' SigV4 signatures; to each request it adds its key, one of ``API_KEYS``,
as ``X-Api-Key``, and the caller's ARN as ``X-Caller-Arn``
- ``ALLOWED_HOSTS``: its host names, separated by commas; default: this machine's; ``*``: any
- ``HOST``, ``PORT``: where to listen, default 127.0.0.1:8765
- ``MAX_MB``, ``MAX_ROWS``, ``MAX_WAITING``: limits of a request, 6 MB and 10,000 rows, and of waiting requests, 256
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
    """The settings above, parsed."""

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
        """Raises JobError: something is missing or invalid, or the service would be open to everybody."""
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
        if found.auth not in (None, "iam"):
            raise JobError(f"AUTH is '{found.auth}'; allowed is iam, or nothing.")
        if found.auth == "iam" and not found.api_keys:
            raise JobError(
                "AUTH=iam needs API_KEYS with the key of the proxy that checks signatures: without it, whoever reaches "
                "the service past the proxy would be answered, under any name."
            )
        if not is_this_machine(found.host) and not found.api_keys:
            raise JobError(f"the service would listen on {found.host} and answer everybody. Set API_KEYS.")
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
