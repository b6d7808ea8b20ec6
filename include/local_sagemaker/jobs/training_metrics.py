"""The metrics that a training program prints: MetricDefinitions applied to its log."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

import regex

from include.local_sagemaker.core.store import Json
from include.local_sagemaker.jobs.job_queue import Job

log = logging.getLogger(__name__)

_NAMESPACE = "/aws/sagemaker/TrainingJobs"
_MOST_POINTS = 10_000  # to CloudWatch, per job; bounds memory for programs that print endlessly
_PATIENCE = 1.0  # seconds per line, against expressions that backtrack endlessly
_PER_REQUEST = 500


class Metrics:
    """`read` takes the log's lines; safe as long as one thread reads."""

    def __init__(self, job: Job, definitions: Iterable[Json], told: str | None = None) -> None:
        """`told`: the metric that a tuning job watches during the training job."""
        self._job = job
        self._told = told
        self._definitions = [(item["Name"], regex.compile(item["Regex"])) for item in definitions]
        self._last: dict[str, tuple[float, float]] = {}
        self._points: list[tuple[str, float, float]] = []

    def read(self, moment: float, line: str) -> None:
        for name, pattern in self._definitions:
            try:
                match = pattern.search(line, timeout=_PATIENCE)
                value = float(match[1]) if match and match[1] is not None else None
            except TimeoutError:
                log.warning("%s: metric %s: its expression took too long on a line", self._job.name, name)
                continue
            except ValueError:  # the expression matched something that is not a number, which SageMaker ignores too
                continue
            if value is not None:
                self._last[name] = (moment, value)
                if len(self._points) < _MOST_POINTS:
                    self._points.append((name, moment, value))
                    if name == self._told:
                        values = [one for metric, _, one in self._points if metric == name]
                        self._job.update({"_Objective": values})

    def final(self) -> Json:
        """FinalMetricDataList: the last value of each metric."""
        values = [
            {"MetricName": name, "Value": value, "Timestamp": moment} for name, (moment, value) in self._last.items()
        ]
        return {"FinalMetricDataList": values} if values else {}

    def publish(self) -> None:
        """All values to CloudWatch."""
        data: list[Json] = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": "TrainingJobName", "Value": self._job.name}],
                "Timestamp": datetime.fromtimestamp(moment, UTC),
                "Value": value,
            }
            for name, moment, value in self._points
            if value == value and abs(value) != float("inf")  # CloudWatch accepts neither NaN nor infinity
        ]
        client = self._job.region.client("cloudwatch")
        for start in range(0, len(data), _PER_REQUEST):
            client.put_metric_data(Namespace=_NAMESPACE, MetricData=data[start : start + _PER_REQUEST])
