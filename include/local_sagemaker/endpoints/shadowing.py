"""Shadow variants get copies of an endpoint's requests; their answers go only to metrics and data capture.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-shadow-deployment.html
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from include.local_sagemaker.endpoints.metrics import EndpointMetrics
from include.local_sagemaker.endpoints.model_server import ask
from include.local_sagemaker.endpoints.variants import Fleet

if TYPE_CHECKING:
    from include.local_sagemaker.endpoints.live_endpoints import LiveEndpoint

log = logging.getLogger(__name__)

_WORKERS = 8
_MOST_WAITING = 200  # copies; more are dropped, so that a slow shadow costs neither memory nor the production variant


class Shadowing:
    """Sends copies in its own threads, so the production answer never waits for them."""

    def __init__(self, metrics: EndpointMetrics) -> None:
        self._metrics = metrics
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="shadow")
        self._places = threading.BoundedSemaphore(_MOST_WAITING)

    def copy(self, endpoint: LiveEndpoint, fleet: Fleet, headers: Mapping[str, str], body: bytes) -> None:
        """Send the request to the fleet's shadow variants that sample it; returns immediately."""
        for variant, share in fleet.sampling.items():
            if random.random() >= share:  # noqa: S311
                continue
            if not self._places.acquire(blocking=False):
                log.warning("endpoint %s: shadow %s is too slow; a copy was dropped", endpoint.name, variant)
                continue
            self._pool.submit(self._send, endpoint, fleet, variant, headers, body)

    def stop(self) -> None:
        """Drop the waiting copies."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(
        self, endpoint: LiveEndpoint, fleet: Fleet, variant: str, headers: Mapping[str, str], body: bytes
    ) -> None:
        try:
            with fleet.server_for(fleet.variants[variant]) as server:
                began = time.perf_counter()
                answer = ask(server, headers, body)
                seconds = time.perf_counter() - began
            self._metrics.record(
                endpoint.region.name,
                endpoint.name,
                variant,
                status=answer.status or 500,
                model_seconds=seconds,
                all_seconds=seconds,
            )
            if endpoint.capture and 200 <= answer.status < 300:
                endpoint.capture.record(variant, headers, body, answer)
        except Exception:  # in a pool's thread, nobody else would report it
            log.exception("endpoint %s: the copy of a request for shadow %s failed", endpoint.name, variant)
        finally:
            self._places.release()
