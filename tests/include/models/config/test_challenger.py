"""A candidate's results compared with production's, as shown in the promotion packet."""

from __future__ import annotations

import pytest

from include.models.config.challenger import Beside, Change, Paired, told_of_challenger

DAYS = [f"2015-06-{day:02}" for day in range(1, 15)]
CHANGE: Change = {"key": "machineID=3", "production": "none (0.93)", "challenger": "comp1 (0.71)"}


def beside(agreed: float | None = 0.98) -> Beside:
    return {"rows": 100, "agreed": agreed, "apart": 0.02, "changes": [CHANGE]}


def paired(gain: float, measure: str = "accuracy") -> Paired:
    return {"rows": 100, "measure": measure, "production": 0.5, "challenger": 0.5 + gain}


def test_fourteen_days_with_labels() -> None:
    labelled = {day: paired(0.012 + (0.014 if number % 2 else -0.014)) for number, day in enumerate(DAYS)}
    said = told_of_challenger(dict.fromkeys(DAYS, beside()), labelled)
    # for 14 means with a standard deviation of .01453: 2.1604 standard errors
    assert said[0] == (
        "14 days beside production (2015-06-01 to 2015-06-14): 1.2 points better, 95 % 0.36 to 2 (above 0 is better), "
        "on 1,400 rows of 14 days with labels"
    )
    assert said[1] == "98.0% of 1,400 rows have the same label, predictions are 0.02 apart on average"
    assert said[2] == "Changed the most: machineID=3: none (0.93) to comp1 (0.71)"


@pytest.mark.parametrize(
    ("labelled", "words"),
    [
        ({}, "no labels yet"),
        ({DAYS[0]: paired(0.02)}, "2 points better on 100 rows of 1 day with labels: too few for an interval"),
        ({day: paired(0.3, "mse") for day in DAYS}, "mean squared error worse by 0.3, 95 % -0.3 to -0.3"),
        ({"2015-01-01": paired(0.3)}, "no labels yet"),
    ],
)
def test_what_labels_say(labelled: dict[str, Paired], words: str) -> None:
    assert words in told_of_challenger(dict.fromkeys(DAYS, beside()), labelled)[0]


def test_days_that_it_failed_on_and_values() -> None:
    failed: Beside = {"rows": 0, "agreed": None, "apart": 0.0, "changes": [], "failed": "it wants the feature volt"}
    assert told_of_challenger({}, {}) == []
    assert told_of_challenger({DAYS[0]: failed}, {}) == [
        "On 1 day it produced no scores, last 2015-06-01: it wants the feature volt"
    ]
    said = told_of_challenger({DAYS[0]: failed, DAYS[1]: beside(None)}, {})
    assert said[0] == "1 day beside production (2015-06-02): no labels yet"
    assert said[1].startswith("100 rows, predictions are 0.02 apart")
    assert said[-1].endswith("it wants the feature volt")
