"""What the small JSON files hold that jobs write and tasks of Airflow read, as far as they read them."""

from __future__ import annotations

from typing import NamedTuple, NotRequired, TypedDict

from .decision import DecisionOutcome
from .drift_profile import DayProfile

Metrics = dict[str, float | None]  # by name; None where a metric could not be measured


class Comparison(TypedDict):
    """The candidate beside a version of production on the same rows, in the champion's metric, of which both have a
    value; above 0 is better.

    ``worse`` is the probability that it is worse by more than the margin; ``smallest`` the least difference that these
    rows can tell from none.
    """

    candidate: float
    production: float
    difference: float
    low: float
    high: float
    worse: float
    smallest: float


class Reliability(NamedTuple):
    """Rows whose probability of a class is in one tenth: how many, the mean, and the share that are of the class."""

    rows: int
    predicted: float
    observed: float


class Rival(TypedDict):
    """A version that is in production, or was, beside the candidate: on those of the test split's ``of`` rows that it
    has not learned from. ``seen`` is how many it has; None where its artifact does not say.

    ``comparison`` is None if there is none; ``why_not`` says why.
    """

    version: int | None
    of: int
    seen: int | None
    comparison: Comparison | None
    why_not: str | None


class Segment(TypedDict):
    """A slice's segment of the test split. ``enough``: it has the rows that gates judge by."""

    segment: str
    rows: int
    enough: bool
    metrics: Metrics
    intervals: dict[str, tuple[float, float]]


class Refitted(TypedDict):
    """The model fitted again on all ``rows`` after its gates held, which is what is registered. ``distance``: how far
    it answers the golden requests from the evaluated one; ``metrics``: on the test split, which it has learned from."""

    rows: int
    distance: float
    metrics: Metrics


class Evaluation(TypedDict):
    """``metrics.json``: metrics of the test split, of the candidate and, if there is one, of the champion, as far as
    they could be compared.

    ``intervals``: where each of the candidate's lies with 95 % probability; those that are known. ``production``: the
    last versions in production, the champion first. ``slices``: each slice's segments, the worst first; ``worst``: the
    segment that a gate of a slice is held by. Older evaluations have none of these. ``data``: what was learned
    from and tested on, in a sentence. ``reliability``: of each class, by tenths of its probability that have rows.
    ``refit``: where there was one.
    """

    metrics: Metrics
    champion: Metrics | None
    intervals: NotRequired[dict[str, tuple[float, float]]]
    production: NotRequired[list[Rival]]
    slices: NotRequired[dict[str, list[Segment]]]
    worst: NotRequired[dict[str, str]]
    decision: NotRequired[DecisionOutcome | None]
    data: NotRequired[str]
    reliability: NotRequired[dict[str, list[Reliability]]]
    mlflow_run_id: NotRequired[str | None]
    refit: NotRequired[Refitted | None]
    suspects: NotRequired[list[str]]  # features that nearly tell the target on their own
    tracking: NotRequired[str | None]  # what of the run MLflow did not take, and why


class TableVerdict(TypedDict):
    """How many rows of a table were set aside."""

    rejected: int


class InputFacts(TypedDict):
    """Into how many chunks a day was cut."""

    chunks: int


class Verdict(TypedDict):
    """``validation.json``: whether the data may be used, in a sentence why; ``facts`` and ``tables`` of raw data."""

    passed: bool
    summary: str
    facts: NotRequired[InputFacts]
    tables: NotRequired[dict[str, TableVerdict]]


class DayResult(TypedDict):
    """``day.json``: whether a day's scores may be published, in a sentence why; their rows, how many rows of each raw
    table were set aside, and how many seconds each part took."""

    passed: bool
    summary: str
    rows: int
    tables: dict[str, TableVerdict]
    seconds: dict[str, float]


class FileResult(TypedDict):
    """``file.json``: whether a file's scores may be used, in a sentence why; how many rows of each table were set
    aside, the sha256 of each file, and into how many shards its rows were cut. ``rows`` are those with a score, or that
    a transform job is to score. ``answered_by``: what said so."""

    passed: bool
    summary: str
    rows: int
    tables: dict[str, TableVerdict]
    files: dict[str, str]
    shards: int
    answered_by: str


class Part(TypedDict):
    """A file of scores."""

    name: str
    rows: int
    bytes: int
    sha256: str


class Parts(TypedDict):
    """``parts.json``: a day's checked scores. Code from before there were profiles wrote none. ``rows``: name and
    SHA-256 of the file with the rows that the console shows."""

    parts: list[Part]
    profile: NotRequired[DayProfile]
    rows: NotRequired[dict[str, str] | None]


class Golden(TypedDict):
    """An entry of ``golden_requests.json``: a row, and the answer that the model gave in training."""

    features: dict[str, int | float | str | bool | None]
    expected: object
