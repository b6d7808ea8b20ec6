"""Protects a service on this machine from other sites' pages: a browser lets any page send requests to 127.0.0.1.

A request must name a host of the service, which a DNS name rebound to 127.0.0.1 does not, and its browser must not
report that another page caused it (Origin, Sec-Fetch-Site). Programs send neither of these headers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

ANY_HOST = "*"


def refusal(method: str, scheme: str, headers: Mapping[str, str], allowed_hosts: Collection[str]) -> str | None:
    """Why the request is refused: it may come from a page of another origin. None if it is allowed."""
    host = headers.get("host", "")
    if not is_allowed(host, allowed_hosts):
        return f"The Host {host[:100]!r} is not a host name of this service."
    origin = headers.get("origin")
    if origin is not None and origin not in {f"{scheme}://{host}", f"https://{host}"}:
        return f"Requests from pages of other sites are refused (Origin {origin[:100]!r})."
    site = headers.get("sec-fetch-site")
    if site in {None, "none", "same-origin"} or (
        method in {"GET", "HEAD"}
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    ):
        return None
    return f"Requests caused by another site are refused (Sec-Fetch-Site {site[:100]!r})."


def is_allowed(host: str, allowed_hosts: Collection[str]) -> bool:
    """Whether a Host header is among the names, or names this machine if none are listed."""
    name = (host.rpartition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]).lower().removesuffix(".")
    if ANY_HOST in allowed_hosts or name in allowed_hosts:
        return True
    return not allowed_hosts and is_this_machine(name)


def is_this_machine(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
