"""The metrics that an endpoint publishes to CloudWatch, in namespace AWS/SageMaker per endpoint and variant.

They go straight into moto's store, summed up in slots of a few seconds, so alarms see them immediately and a busy
endpoint does not fill the memory. A slot is written when it begins and when the next one does: if the server dies, the
counts of a few seconds are lost. AWS's metrics are late and may be incomplete too.
"""

import threading
import time
from datetime import UTC, datetime
from typing import cast

from moto.cloudwatch.models import cloudwatch_backends

from include.local_sagemaker.aws.alarm_rules import period_start
from include.local_sagemaker.aws.alarms import HistogramDatum
from include.local_sagemaker.aws.kept_lists import MetricRows
from include.local_sagemaker.aws.moto_services import Moto
from include.local_sagemaker.core.store import ACCOUNT

SLOT_SECONDS = 5
KEPT_SECONDS = 6 * 3600
_COUNTS = ("Invocations", "Invocation4XXErrors", "Invocation5XXErrors", "InvocationModelErrors")


class EndpointMetrics:
    """Thread-safe; one per server."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str, str, str], tuple[int, HistogramDatum]] = {}

    def record(
        self, region: str, endpoint: str, variant: str, *, status: int, model_seconds: float, all_seconds: float
    ) -> None:
        """Count one invocation: the status given to the client, the model's own time and the whole time in seconds."""
        counts = dict.fromkeys(_COUNTS, 0.0) | {"Invocations": 1.0}
        counts["Invocation4XXErrors"] = float(400 <= status < 500)
        counts["Invocation5XXErrors"] = counts["InvocationModelErrors"] = float(status >= 500)
        overhead = max(all_seconds - model_seconds, 0.0)
        latencies = {"ModelLatency": model_seconds * 1e6, "OverheadLatency": overhead * 1e6}
        with self._lock:
            for name, value in counts.items():
                self._datum(region, endpoint, variant, name, "None").add(value)
            for name, value in latencies.items():
                self._datum(region, endpoint, variant, name, "Microseconds").add(value)

    def _datum(self, region: str, endpoint: str, variant: str, name: str, unit: str) -> HistogramDatum:
        slot = int(time.time()) // SLOT_SECONDS * SLOT_SECONDS
        key = (region, endpoint, variant, name)
        present = self._open.get(key)
        if present and present[0] == slot:
            return present[1]
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        start = datetime.fromtimestamp(slot, UTC).replace(tzinfo=None)  # moto's times have no time zone
        datum = HistogramDatum("AWS/SageMaker", name, dimensions, start, unit)
        with self._moto.change():
            stored = cast("MetricRows", cloudwatch_backends[ACCOUNT][region].metric_data)
            if present:
                stored.save(present[1])
            stored.append(datum)
            if name == "Invocations":
                _forget_old(stored, slot - KEPT_SECONDS)
        self._open[key] = (slot, datum)
        return datum


def _forget_old(stored: MetricRows, before: int) -> None:
    """Drop endpoint metrics that are too old, from the front, where the oldest are."""
    while stored and isinstance(stored[0], HistogramDatum) and period_start(stored[0].timestamp, 1) < before:
        stored.drop_first()
