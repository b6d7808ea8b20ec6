"""CloudWatch's alarm rules, checked against the tables in its documentation."""

import pytest

from include.local_sagemaker.aws.alarm_rules import Datum, judge, metric_math, statistic_of

# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, 3 out of 3; X breaches,
# 0 does not, - is missing; the state with missing, ignore (None: unchanged), breaching, notBreaching
THREE_OF_THREE = [
    ("0-X-X", "OK", "OK", "OK", "OK"),
    ("----0", "OK", "OK", "OK", "OK"),
    ("-----", "INSUFFICIENT_DATA", None, "ALARM", "OK"),
    ("0XX-X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("--X--", "ALARM", None, "ALARM", "OK"),
]
TWO_OF_THREE = [
    ("0-X-X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("00X0X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0---X", "OK", "OK", "ALARM", "OK"),
    ("----0", "OK", "OK", "ALARM", "OK"),
    ("---X-", "ALARM", None, "ALARM", "OK"),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def _state(points: str, needed: int, missing: str) -> str | None:
    values = [{"0": 0.0, "X": 9.0, "-": None}[point] for point in points]
    return judge(
        values,
        evaluation_periods=3,
        datapoints_to_alarm=needed,
        comparison="GreaterThanThreshold",
        threshold=5,
        missing=missing,
    ).state


@pytest.mark.parametrize(("points", "states"), [(row[0], row[1:]) for row in THREE_OF_THREE])
def test_three_of_three_datapoints(points: str, states: tuple[str | None, ...]) -> None:
    assert tuple(_state(points, 3, treatment) for treatment in TREATMENTS) == states


@pytest.mark.parametrize(("points", "states"), [(row[0], row[1:]) for row in TWO_OF_THREE])
def test_two_of_three_datapoints(points: str, states: tuple[str | None, ...]) -> None:
    assert tuple(_state(points, 2, treatment) for treatment in TREATMENTS) == states


@pytest.mark.parametrize(
    ("comparison", "value", "state"),
    [
        ("GreaterThanThreshold", 5, "OK"),
        ("GreaterThanOrEqualToThreshold", 5, "ALARM"),
        ("LessThanThreshold", 5, "OK"),
        ("LessThanOrEqualToThreshold", 5, "ALARM"),
    ],
)
def test_comparisons(comparison: str, value: float, state: str) -> None:
    verdict = judge(
        [value], evaluation_periods=1, datapoints_to_alarm=1, comparison=comparison, threshold=5, missing="missing"
    )
    assert verdict.state == state


def test_statistics_of_single_values_and_aggregates() -> None:
    data = [Datum(1, 10, 10, 10, {10: 1}), Datum(99, 99, 1, 1, {1: 99})]
    assert statistic_of("Sum", data) == 109
    assert statistic_of("SampleCount", data) == 100
    assert statistic_of("Average", data) == pytest.approx(1.09)
    assert (statistic_of("Minimum", data), statistic_of("Maximum", data)) == (1, 10)
    assert (statistic_of("p50", data), statistic_of("p99", data), statistic_of("p99.5", data)) == (1, 1, 10)


def test_percentiles_need_values() -> None:
    with pytest.raises(ValueError, match="carry no percentiles"):
        statistic_of("p90", [Datum(5, 5, 1, 1, {})])


def test_metric_math() -> None:
    series = {"errors": {0: 5.0, 60: 1.0}, "all": {0: 100.0, 60: 0.0, 120: 10.0}}
    assert metric_math("100 * errors / all", series) == {0: 5.0}  # no datapoint for a division by zero
    assert metric_math("FILL(errors, 0) + all", series) == {0: 105.0, 60: 1.0, 120: 10.0}
    assert metric_math("IF(all > 50, errors)", series) == {0: 5.0}
    with pytest.raises(ValueError, match="'nothing' is not a metric"):
        metric_math("nothing * 2", series)
    with pytest.raises(ValueError, match="not supported"):
        metric_math("ANOMALY_DETECTION_BAND(all)", series)
