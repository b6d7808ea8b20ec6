"""Statistics of a day's raw tables and predictions, and of the version's own training: written by jobs, read by
Airflow's side. Only counts and sums, so that chunks of a day, and days, add up."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import NotRequired, TypedDict

# of a column's numbers: count, sum, sum of squares, minimum, maximum, and how many rows have each of these two (which
# versions from before lack)
Sums = list[float]


def add_sums(one: Sums, other: Sums) -> Sums:
    """The sums of both."""
    if not one[0] or not other[0]:
        return one if one[0] else other
    low, high = min(one[3], other[3]), max(one[4], other[4])
    lowest = sum(sums[5] for sums in (one, other) if sums[3] == low and len(sums) > 5)
    highest = sum(sums[6] for sums in (one, other) if sums[4] == high and len(sums) > 5)
    return [one[0] + other[0], one[1] + other[1], one[2] + other[2], low, high, lowest, highest]


def deviation_of(sums: Sums) -> float:
    """The standard deviation of the numbers, of at least one."""
    return sqrt(max(0.0, sums[2] / sums[0] - (sums[1] / sums[0]) ** 2))


# rows by value, of a text column
Texts = dict[str, int]


class SegmentCounts(TypedDict):
    """The rows of one key, such as a machine; ``numbers`` by column."""

    rows: int
    numbers: dict[str, Sums]


class TableCounts(TypedDict):
    """A raw table's rows of one day.

    ``total``: including earlier rows, for a table that contains its whole history or has no time. ``hours``: rows by
    hour of the day. ``digest``: of the rows without their times, in any order. ``missing``: by column. ``values``: the
    most frequent texts. ``segments``: by the value of ``segment``, a column of the key. ``ends``: of columns of numbers
    the values of the day's first and last moment, if all rows of each have the same one, and the two differ.
    """

    rows: int
    total: int
    digest: int
    hours: list[int]
    missing: dict[str, int]
    numbers: dict[str, Sums]
    values: dict[str, Texts]
    segment: NotRequired[str | None]
    segments: NotRequired[dict[str, SegmentCounts]]
    ends: NotRequired[dict[str, list[float]]]


class SegmentColumn(TypedDict):
    """A column over the days of single segments in training: the largest share of rows without a value, the share of
    days on which it was stuck, and the ranges of its mean and deviation (low, median, high)."""

    missing: float
    still: float
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


class SegmentReference(TypedDict):
    """``present``: the segments that had rows every day."""

    present: list[str]
    numbers: dict[str, SegmentColumn]


# rows by the bin of a probability, [predicted class][class][bin]; for a regression [bin of the predicted value]
ClassAnswers = list[list[list[int]]]
ValueAnswers = list[int]


class Calibration(TypedDict):
    """The performance of predictions on the test split. For classes ``truth``, [class][bin]: the share of rows of the
    class among those whose probability for it lies in the bin. For values ``errors`` and ``squares``, by bin of the
    predicted value. ``metrics``: the split's evaluation; ``windows``: the estimated and the measured ``metric`` of each
    of its windows."""

    metric: str
    truth: NotRequired[list[list[float]]]
    errors: NotRequired[list[float]]
    squares: NotRequired[list[float]]
    metrics: dict[str, float | None]
    windows: list[tuple[float, float]]


class Window(TypedDict):
    """Some days of training together, or a block of its rows where they tell no time; as ``DayProfile`` has them.
    ``until``: the newest day, where rows tell one."""

    rows: int
    features: dict[str, list[int]]
    until: NotRequired[str]


class Reference(TypedDict):
    """``reference.json``, beside a version's evaluation: its training, as days are counted. ``days``: the raw tables by
    day, or by block of rows where they tell no time (``timed`` is false); ``windows`` of features, ``answers`` of the
    test split by window. ``design``: by feature how many times as far rows scatter as independent ones, where rows of a
    group are alike and the split keeps them together; ``answer_design``: likewise of the rows of each predicted class,
    which come together as a machine's hours before a failure do. ``answer_mean``: of what a regression predicts on the
    test split."""

    timed: bool
    days: dict[str, dict[str, TableCounts]]
    segments: dict[str, SegmentReference]
    windows: list[Window]
    design: NotRequired[dict[str, float]]
    answers: list[ClassAnswers] | list[ValueAnswers]
    answer_design: NotRequired[list[float]]
    answer_mean: NotRequired[float]
    calibration: Calibration | None


METRICS_NAMESPACE = "ModelMonitoring"  # of CloudWatch's metrics; include/ops/infra names it too
# every metric in it, by name; docs/reference/metrics.md is made of this. Those of the traffic of a model that is also
# scored daily begin with Traffic.
METRICS = {
    "Rows": "rows of the day",
    "DriftedFeatures": "features that have drifted",
    "DataFaults": "faults of the day's data",
    "LargestIndex": "the largest stability index (PSI) of a feature",
    "EstimatedPerformance": "the performance estimated from the scores alone",
    "RealisedPerformance": "the performance on the rows that have a label",
    "LabelledShare": "share of the scored rows that have a label, 0 to 1",
    "TrafficRequests": "requests of callers to the production endpoint: golden requests are left out",
    "TrafficRefused": "share of its requests that were refused, 0 to 1",
    "ProbeFailed": "1 if a probe of the production endpoint failed, else 0",
    "ProbeLatency": "median latency of a probe, in milliseconds",
    "KafkaMessages": "messages that brokers confirmed, the manifest's record among them",
    "KafkaMessagesPerSecond": "messages per second of the transaction, the commit included",
    "KafkaBytesPerSecond": "bytes per second of it",
    "KafkaErrors": "requests that failed, timed out or were sent again",
    "KafkaManifestLagSeconds": "seconds from the day's publication to its manifest record, which consumers wait for",
}

Days = Mapping[str, dict[str, TableCounts]]

GOLDEN_REQUEST = "golden-request"  # the custom attribute of requests that only ask whether an endpoint is well


class CapturedDay(TypedDict):
    """What was kept of the requests to an endpoint in a day. ``refused``: by reason; ``before``: answered before the
    version was in production; ``unread``: what could not be understood; ``probes``: golden requests, which count for
    nothing else."""

    requests: int
    refused: dict[str, int]
    before: int
    unread: int
    probes: int


class ServedDay(TypedDict):
    """What CloudWatch says of an endpoint's day, of all requests; latencies of the model in milliseconds."""

    requests: int
    refused: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None
