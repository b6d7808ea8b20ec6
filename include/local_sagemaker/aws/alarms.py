"""Evaluate moto's CloudWatch alarms against its metrics, and notify SNS: moto stores alarms but never evaluates them.

One thread checks every alarm each second. A periodic check, unlike a hook in moto, also notices SetAlarmState and
a PutMetricAlarm that replaces an alarm: both show as a state this watcher did not set.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import SupportsFloat

import botocore.session
import moto.cloudwatch.models as moto_cloudwatch
from moto.cloudwatch.models import (
    Alarm,
    CloudWatchBackend,
    MetricAggregatedDatum,
    MetricDatum,
    MetricDatumBase,
    MetricStat,
    Statistics,
    cloudwatch_backends,
)
from moto.sns.models import sns_backends

from include.local_sagemaker.aws.alarm_rules import (
    Datum,
    Verdict,
    judge,
    metric_math,
    period_start,
    statistic_of,
)
from include.local_sagemaker.aws.moto_services import Moto
from include.local_sagemaker.core.store import Json

log = logging.getLogger(__name__)

NEVER_EVALUATED = "Unchecked: Initial alarm creation"
LOOK_BACK_PERIODS = 2  # older periods that may stand in for missing ones
ARRIVAL_SECONDS = 1.0  # a period is complete this long after its end
Changed = Callable[[str, Alarm, str], None]  # region, alarm in its new state, old state


class HistogramDatum(MetricAggregatedDatum):
    """An aggregate that also counts its values, so that percentiles can be computed."""

    def __init__(self, namespace: str, name: str, dimensions: list[dict[str, str]], start: datetime, unit: str) -> None:
        super().__init__(namespace, name, float("inf"), float("-inf"), 0, 0, dimensions, start, unit)
        self.min: float
        self.max: float
        self.counts: dict[float, float] = {}

    def add(self, value: float) -> None:
        """Count one measured value; kept to three significant digits for percentiles, exact in the aggregates."""
        self.min, self.max = min(self.min, value), max(self.max, value)
        self.sum += value
        self.sample_count += 1
        key = float(f"{value:.3g}")
        self.counts[key] = self.counts.get(key, 0) + 1


class WithPercentiles(Statistics):
    """What ``GetMetricData`` asks of a period; moto's has no percentiles."""

    def get_statistics_for_type(self, stat: str) -> SupportsFloat | None:
        found = super().get_statistics_for_type(stat)
        return statistic_of(stat, [_read(datum) for datum in self.metric_data]) if found is None else found


moto_cloudwatch.Statistics = WithPercentiles  # type: ignore[misc]


class AlarmWatcher:
    """Keeps alarm states up to date while the server runs.

    ``on_change`` is called at every change of state (EventBridge listens there).
    """

    def __init__(self, account: str, moto: Moto, on_change: Changed, interval: float = 1.0) -> None:
        self._account = account
        self._moto = moto
        self._on_change = on_change
        self._interval = interval
        self._known: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._next: dict[tuple[str, str], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)

    def start(self) -> None:
        """Start evaluating the alarms; they keep their states across restarts."""
        for region, backend in list(cloudwatch_backends[self._account].items()):
            for alarm in backend.alarms.values():
                self._remember(region, alarm)
        self._thread.start()

    def stop(self) -> None:
        """Stop evaluating; returns when the thread has ended."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            for region, backend in list(cloudwatch_backends[self._account].items()):
                try:
                    with self._moto.change():
                        self.evaluate(region, backend)
                except Exception:  # an error in one region must not stop the others
                    log.exception("alarms of %s could not be evaluated; trying again", region)

    def evaluate(self, region: str, backend: CloudWatchBackend) -> None:
        """Bring every alarm of a region up to date (composite alarms cannot be put into moto)."""
        alarms = list(backend.alarms.values())
        self._forget_deleted(region, {alarm.name for alarm in alarms})
        for alarm in alarms:
            self._notice_changes(region, alarm)
            if self._next.get((region, alarm.name), 0) > time.monotonic():
                continue
            # often enough to see each period soon after it ends, rarely enough that long periods cost little
            self._next[region, alarm.name] = time.monotonic() + min(max(_period(alarm) / 12, self._interval), 5.0)
            try:
                verdict = _verdict(alarm, backend)
            except ValueError as error:
                verdict = Verdict("INSUFFICIENT_DATA", f"Cannot be evaluated: {error}")
            if verdict.state not in (None, alarm.state_value):
                old = alarm.state_value
                alarm.update_state(verdict.reason, "{}", verdict.state or old)
                self._moto.mark_changed("cloudwatch")
                self._remember(region, alarm)
                self._announce(region, alarm, old)

    def _notice_changes(self, region: str, alarm: Alarm) -> None:
        known = self._known.get((region, alarm.name))
        if known and known[0] == alarm.state_updated_timestamp:
            return
        before = known[1] if known else "INSUFFICIENT_DATA"
        if alarm.state_reason == NEVER_EVALUATED and alarm.state_value == "OK":  # moto creates alarms in state OK
            alarm.state_value = before
            self._moto.mark_changed("cloudwatch")
        else:  # SetAlarmState: it holds until the next evaluation, as on AWS
            self._next[region, alarm.name] = time.monotonic() + min(float(alarm.period or 10), 60.0)
            if before != alarm.state_value:
                self._announce(region, alarm, before)
        self._remember(region, alarm)

    def _remember(self, region: str, alarm: Alarm) -> None:
        self._known[region, alarm.name] = (alarm.state_updated_timestamp, alarm.state_value)

    def _forget_deleted(self, region: str, present: set[str]) -> None:
        for key in [key for key in self._known if key[0] == region and key[1] not in present]:
            del self._known[key]
            self._next.pop(key, None)

    def _announce(self, region: str, alarm: Alarm, old: str) -> None:
        log.info("alarm %s: %s -> %s. %s", alarm.name, old, alarm.state_value, alarm.state_reason)
        self._on_change(region, alarm, old)
        if not alarm.actions_enabled:
            return
        actions = {
            "ALARM": alarm.alarm_actions,
            "OK": alarm.ok_actions,
            "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
        }[alarm.state_value]
        for arn in actions:
            if ":sns:" not in arn:
                log.warning("alarm %s: action %s is not carried out: only SNS topics are", alarm.name, arn)
                continue
            try:
                _publish(self._account, region, arn, alarm, old)
                self._moto.mark_changed("sns")
            except Exception as error:  # noqa: BLE001  a topic that is gone or a subscriber that fails: the others go on
                log.error("alarm %s: topic %s could not be notified: %r", alarm.name, arn, error)  # noqa: TRY400


def _publish(account: str, region: str, topic: str, alarm: Alarm, old: str) -> None:
    subject = f'{alarm.state_value}: "{alarm.name}" in {_region_name(region)}'
    message = json.dumps(notification(account, region, alarm, old))
    sns_backends[account][topic.split(":")[3]].publish(message=message, arn=topic, subject=subject[:99])


def notification(account: str, region: str, alarm: Alarm, old: str) -> Json:
    """The message that CloudWatch sends to an SNS topic."""
    return {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": _stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": _stamp(alarm.state_updated_timestamp),
        "Region": _region_name(region),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
        "Trigger": _trigger(alarm),
    }


def _trigger(alarm: Alarm) -> Json:
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        "StatisticType": "ExtendedStatistic" if alarm.extended_statistic else "Statistic",
        "Statistic": alarm.extended_statistic or (alarm.statistic or "").upper(),
        "Unit": alarm.unit,
        "Dimensions": [{"value": d.value, "name": d.name} for d in alarm.dimensions],
        "Period": int(alarm.period or 0),
        "EvaluationPeriods": int(alarm.evaluation_periods),
        "DatapointsToAlarm": int(alarm.datapoints_to_alarm or alarm.evaluation_periods),
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": float(alarm.threshold),
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }


def _stamp(when: datetime) -> str:
    return when.replace(tzinfo=when.tzinfo or UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


@lru_cache
def _region_name(region: str) -> str:
    partitions = botocore.session.get_session().get_data("endpoints")["partitions"]
    names = {name: about["description"] for partition in partitions for name, about in partition["regions"].items()}
    return str(names.get(region, region))


def _verdict(alarm: Alarm, backend: CloudWatchBackend) -> Verdict:
    periods = int(alarm.evaluation_periods)
    period = _period(alarm)
    last = period_start(datetime.fromtimestamp(time.time() - ARRIVAL_SECONDS, UTC), period) - period
    starts = range(last - (periods + LOOK_BACK_PERIODS - 1) * period, last + 1, period)
    series = _series(alarm, backend, starts, period)
    return judge(
        [series.get(start) for start in starts],
        evaluation_periods=periods,
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or periods),
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        missing=alarm.treat_missing_data or "missing",
    )


def _period(alarm: Alarm) -> int:
    stats = [query.metric_stat for query in alarm.metric_data_queries if query.metric_stat]
    return int(alarm.period or (stats[0].period if stats else 60) or 60)


def _series(alarm: Alarm, backend: CloudWatchBackend, starts: range, period: int) -> Mapping[int, float]:
    recent = [d for d in list(backend.metric_data) if starts[0] <= period_start(d.timestamp, 1) < starts[-1] + period]
    if not alarm.metric_data_queries:
        dimensions = {d.name: d.value for d in alarm.dimensions}
        wanted = (alarm.namespace, alarm.metric_name, dimensions, alarm.unit)
        return _values(recent, wanted, alarm.extended_statistic or alarm.statistic, period)
    series: dict[str, Mapping[int, float]] = {}
    result: Mapping[int, float] = {}
    queries = sorted(alarm.metric_data_queries, key=lambda query: query.metric_stat is None)  # metrics, then math
    for query in queries:
        if query.metric_stat:
            series[query.id] = _stat_values(query.metric_stat, recent, period)
        else:
            series[query.id] = metric_math(query.expression or "", series)
        if query.return_data not in (False, "false"):
            result = series[query.id]
    return result


def _stat_values(stat: MetricStat, recent: Iterable[MetricDatumBase], period: int) -> Mapping[int, float]:
    dimensions = {d.name: d.value for d in stat.metric.dimensions}
    return _values(recent, (stat.metric.namespace, stat.metric.metric_name, dimensions, stat.unit), stat.stat, period)


def _values(
    recent: Iterable[MetricDatumBase],
    wanted: tuple[str, str, dict[str | None, str | None], str | None],
    statistic: str,
    period: int,
) -> dict[int, float]:
    namespace, name, dimensions, unit = wanted
    buckets: dict[int, list[Datum]] = {}
    for datum in recent:
        if datum.name != name or datum.namespace != namespace or (unit and datum.unit != unit):
            continue
        if {d.name: d.value for d in datum.dimensions} == dimensions:
            buckets.setdefault(period_start(datum.timestamp, period), []).append(_read(datum))
    return {start: statistic_of(statistic, data) for start, data in buckets.items()}


def _read(datum: MetricDatumBase) -> Datum:
    if isinstance(datum, MetricDatum):
        return Datum(1, datum.value, datum.value, datum.value, {datum.value: 1})
    if not isinstance(datum, MetricAggregatedDatum):
        raise TypeError(f"moto stored a {type(datum).__name__}, which is neither a value nor an aggregate")
    counts = dict(datum.counts) if isinstance(datum, HistogramDatum) else {}
    return Datum(datum.sample_count, datum.sum, datum.min, datum.max, counts)
