"""The performance of recent days, as drawn on a page."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from xml.etree import ElementTree

from include.models.config import load_model
from include.monitor.drift import Drift
from include.monitor.trend import DAYS, LETTER, WIDTH, Day, trend_of
from include.monitor.verdict import Judged, page
from include.platform.pages import short

LAST = "2026-03-31"


def back(days: int) -> str:
    return (date.fromisoformat(LAST) - timedelta(days=days)).isoformat()


def index(days: int, missing: int = 5) -> Any:
    """Estimated every day; realised except for the last two and one more; another version for the last thirty."""
    every = [(back(number), 1 if number >= 30 else 2, number) for number in reversed(range(days))]
    worth = {
        day: {"version": version, "metric": "accuracy", "value": 0.9 - number / 1000, "interval": [0.8, 0.95]}
        for day, version, number in every
        if number not in (0, 1, missing)
    }
    drift = {day: {"version": version, "metric": "accuracy", "estimated": 0.88} for day, version, _ in every}
    return {"drift": drift, "performance": worth}


def test_lines_are_broken_where_days_are_missing_and_where_the_version_changes() -> None:
    trend = trend_of(index(90), LAST, "accuracy", 0.91)
    assert trend is not None
    assert len(trend.days) == DAYS
    assert trend.versions == [(back(59), 1), (back(29), 2)]
    assert len(trend.estimated_lines) == 2
    assert [len(line.split()) for line in trend.realised_lines] == [30, 24, 3]
    assert (trend.x(back(59)), trend.x(LAST)) == (48.0, 712.0)
    low, high = trend.span
    assert low < 0.8
    assert high > 0.95
    assert trend.y(0.95) < trend.y(0.8), "upwards"


def test_of_days_in_another_metric_or_before_there_is_nothing() -> None:
    assert trend_of(index(90), LAST, "macro_f1", None) is None
    assert trend_of({"drift": {}}, LAST, "accuracy", None) is None  # type: ignore[typeddict-item] # all that is read
    assert trend_of(index(3), back(10), "accuracy", None) is None


def test_a_day_that_labels_alone_tell_of_is_drawn_and_one_without_a_value_is_not() -> None:
    labelled = {"version": 3, "metric": "accuracy", "value": 0.8, "interval": None}
    unknown = {"version": 3, "metric": "accuracy", "value": None, "interval": None}
    found: Any = {"drift": {back(3): {"version": 3}}, "performance": {back(1): labelled, back(0): unknown}}
    trend = trend_of(found, LAST, "accuracy", None)
    assert trend is not None
    assert list(trend.days) == [Day(back(1), 3, None, 0.8, None)]
    assert (trend.bands, trend.estimated_lines) == ([], [])
    low, high = trend.span
    assert low < 0.8 < high, "one value has a margin too"
    assert trend.realised_lines == [f"{trend.x(back(1))},{trend.y(0.8)}"]
    evaluated = trend_of(found, LAST, "accuracy", 0.95)
    assert evaluated is not None
    assert evaluated.span[1] > 0.95, "the drawing shows what it is compared with"
    share = trend_of(found, LAST, "accuracy", 0.999, (0, 1))
    assert share is not None
    assert share.span[1] == 1, "no accuracy is above 1, so neither is the axis"


def test_a_band_goes_along_its_upper_ends_and_back_along_its_lower_ones() -> None:
    trend = trend_of(index(4, missing=9), LAST, "accuracy", None)
    assert trend is not None
    x, above, below = [trend.x(back(3)), trend.x(back(2))], trend.y(0.95), trend.y(0.8)
    assert trend.bands == [f"{x[0]},{above} {x[1]},{above} {x[1]},{below} {x[0]},{below}"]


def test_a_page_draws_them_without_a_script() -> None:
    trend = trend_of(index(90), LAST, "accuracy", 0.91)
    performance: Any = {
        "metric": "accuracy",
        "evaluated": 0.91,
        "estimated": 0.88,
        "error": 0.01,
        "realised": 0.898,
        "loss": None,
        "interval": (0.8, 0.95),
        "labelled": 300,
        "scored": 336,
        "until": back(2),
        "sampled": False,
    }
    measured = {"metrics": {"accuracy": 0.9}, "intervals": {"accuracy": [0.8, 0.95]}}
    monday = {"segment": "Monday", "rows": 48, "enough": True, **measured}
    worth: Any = {
        "date": back(2),
        "model_version": 2,
        "rows": 48,
        "labelled": 48,
        "segments": {"weekday": [monday]},
        "baselines": {"same_as_last": {"accuracy": 0.85}},
        **measured,
    }
    model = load_model("electricity")
    made = page(Judged(Drift(model, 2, LAST, {}, []), performance=performance), trend, worth)
    assert len(made) < 1_000_000
    assert "<script" not in made
    drawing = ElementTree.fromstring(made[made.index("<svg") : made.index("</svg>") + 6])  # noqa: S314 - our own
    classes = [each.get("class") for each in drawing.iter()]
    assert (classes.count("estimated"), classes.count("realised"), classes.count("version")) == (2, 3, 2)
    count, off = trend.estimates_off or (0, 0.0)
    told = f"0.01 off on the test split, and {short(off)} on the {count} days here with labels"
    for words in ("300 of 336", "same_as_last (baseline)", "weekday Monday", "realised up to", told):
        assert words in made
    assert "too far off" not in made
    worse = performance | {"error": 0.02}
    assert "too far off to be trusted" in page(Judged(Drift(model, 2, LAST, {}, []), performance=worse), trend, worth)


def labels(first: dict[int, int]) -> list[str]:
    """The labels of versions by how many days ago they began, and where they lie."""
    index: Any = {
        "drift": {
            back(ago): {
                "version": max(v for v, since in first.items() if ago <= since),
                "metric": "accuracy",
                "estimated": 0.9,
            }
            for ago in range(DAYS)
        }
    }
    trend = trend_of(index, LAST, "accuracy", None)
    assert trend is not None
    ends: list[float] = []
    for x, anchor, text in trend.labels:
        left = x if anchor == "start" else x - LETTER * len(text)
        right = left + LETTER * len(text)
        assert 0 <= left < right <= WIDTH, text
        assert not ends or right <= ends[-1], "they do not overlap"
        ends.append(left)
    return [text for _, _, text in trend.labels]


def test_the_newest_versions_label_is_whole_on_its_first_day() -> None:
    assert labels({1: 59, 2: 0}) == ["version 2", "version 1"]


def test_labels_that_would_collide_are_left_out_but_not_the_newest() -> None:
    assert labels({99: 59, 100: 3, 101: 1}) == ["version 101", "version 99"]
    every = labels({number: 60 - number for number in range(1, 61)})
    assert every[0] == "version 60"
    assert len(every) > 5
