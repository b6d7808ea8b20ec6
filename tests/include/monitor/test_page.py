"""The report of a day: it stays small and readable whatever the model, and says where the rest is."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from include.models.config import load_model
from include.models.config.fault import Fault
from include.monitor.drift import MOST_BINS, Drift, Feature
from include.monitor.trend import trend_of
from include.monitor.verdict import Judged, Volume, page
from include.platform.stability import Bin

MODEL = load_model("electricity")
DAY = "2026-03-31"
WIDEST = "温" * 200  # three bytes a letter
DAYS = [(date.fromisoformat(DAY) - timedelta(days=back)).isoformat() for back in reversed(range(90))]
PERFORMANCE: Any = {
    "metric": "accuracy",
    "evaluated": 0.91,
    "evaluated_interval": (0.9, 0.92),
    "evaluated_since": None,
    "estimated": 0.88,
    "error": 0.01,
    "realised": 0.9,
    "interval": (0.8, 0.95),
    "labelled": 300,
    "scored": 336,
    "until": DAY,
    "sampled": False,
    "loss": None,
    "unclear": False,
}
MEASURED: Any = {"metrics": {"accuracy": 0.9}, "intervals": {"accuracy": [0.8, 0.95]}}


def feature(name: str, state: Any = "stable", bins: int = 3) -> Feature:
    return Feature(name, 0.5, 0.25, state, [Bin(f"{name} {number}", 1 / bins, 1 / bins) for number in range(bins)])


def worth(segments: int, slices: int = 1) -> Any:
    one = {"rows": 9, "enough": True, "intervals": MEASURED["intervals"]}
    some = [{"segment": f"m{n}", **one, "metrics": {"accuracy": 0.9 - n / 1000}} for n in range(segments)]
    named = {f"slice_{number}": some for number in range(slices)}
    about = {"date": DAY, "model_version": 2, "rows": 48, "labelled": 48, "baselines": {}}
    return {**about, "segments": named, **MEASURED}


def drift(features: list[Feature], classes: int = 2, days: list[str] | None = None) -> Drift:
    profile: Any = {"rows": 100, "features": {}, "predictions": {f"class {n}": 100 / classes for n in range(classes)}}
    return Drift(MODEL, 2, DAY, dict.fromkeys(days or DAYS[-7:], profile), features)


def test_a_page_of_the_largest_model_on_its_worst_day_is_smaller_than_1_mb() -> None:
    drifted = [feature(f"{number} {WIDEST}", "drifted", 52) for number in range(1000)]
    stable = [feature(f"s{number} {WIDEST}", "stable", 52) for number in range(1000)]
    machines = [f"machine-{number:04} {WIDEST}" for number in range(1000)]
    faults = [Fault(WIDEST, WIDEST, "missing", WIDEST * 9, machines, 7) for _ in range(500)]
    volumes = [Volume(f"table {n}", 1e6, (1, 2_000_000), dict.fromkeys(DAYS, 1_000_000)) for n in range(20)]
    index: Any = {
        "drift": {day: {"version": n, "metric": "accuracy", "estimated": 0.8} for n, day in enumerate(DAYS)},
        "performance": {
            day: {"version": n, "metric": "accuracy", "value": 0.8, "interval": [0.7, 0.9]}
            for n, day in enumerate(DAYS)
        },
    }
    judged = Judged(drift([*drifted, *stable], 200, DAYS), faults, None, PERFORMANCE, volumes=volumes)
    links = {f"replay/{number}/{WIDEST}.csv": "http://a/" + "x" * 300 for number in range(1000)}
    made = page(judged, trend_of(index, DAY, "accuracy", 0.9), worth(1000, slices=20), links)
    assert 100_000 < len(made.encode()) < 1_000_000
    text = " ".join(re.sub("<[^>]+>", " ", made).split())
    for said in (
        "and 970 more raw files",
        "and 980 more segments of slice_0: performance.json of the day has all",
        "and 995 more segments)",
        "and 400 more faults: drift.json beside this page has all",
        "and 1,700 more features: drift.json beside this page has the index of each",
        f"and {52 - MOST_BINS} more values, which moved less",
        "The distribution is shown of 30 features that drifted, and of 30 others, at most.",
        "Shown are 30 of 200 classes.",
    ):
        assert said in text


def test_every_feature_that_drifted_is_open_so_that_paper_has_it_too() -> None:
    made = page(Judged(drift([*(feature(f"d{number}", "drifted") for number in range(6)), feature("stable")])))
    assert (made.count("<details"), made.count(" open>")) == (7, 6)
    assert "more" not in re.findall(r"Features, most drifted first(.*)Predictions by day", made, re.DOTALL)[0]


def test_the_worst_segments_are_shown() -> None:
    made = page(Judged(drift([]), performance=PERFORMANCE), None, worth(30))
    assert "slice_0 m29" in made
    assert "slice_0 m10" in made
    assert "slice_0 m9<" not in made
    assert "and 10 more segments of slice_0" in made


def test_what_no_estimate_is_of_has_no_tile_of_one() -> None:
    made = page(Judged(drift([]), performance={**PERFORMANCE, "estimated": None, "error": None}))
    assert "accuracy evaluated" in made
    assert "accuracy estimated" not in made


def test_the_page_counts_in_english_and_says_what_its_numbers_are() -> None:
    one: Any = {"rows": 1, "features": {}, "predictions": {"0": 1}}
    late = Fault("labels", None, "late labels", "none")
    made = page(Judged(Drift(MODEL, 2, DAY, {DAY: one}, []), late=late, performance=PERFORMANCE), None, worth(1))
    for said in ("1</b> data fault<", "1</b> row of 1 day<", "<td>1 day</td>", "Labels of 48 of 48 rows. The worst"):
        assert said in made
    assert "Share of the rows for which each class was predicted." in made
