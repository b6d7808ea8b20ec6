"""The small JSON files that jobs write and Airflow's tasks read, as far as they read them."""

from __future__ import annotations

from typing import NamedTuple, NotRequired, TypedDict

from .decision import DecisionOutcome
from .drift_profile import DayProfile

Metrics = dict[str, float | None]  # by name; None if a metric could not be measured


class Comparison(TypedDict):
    """The candidate and a production version on the same rows, in the champion's metric, if both have a value; above 0
    is better.

    ``worse`` is the probability that it is worse by more than the margin; ``smallest`` the smallest difference that
    these rows can detect.
    """

    candidate: float
    production: float
    difference: float
    low: float
    high: float
    worse: float
    smallest: float


class Reliability(NamedTuple):
    """Rows whose probability of a class is in one tenth: their number, mean, and share of the class."""

    rows: int
    predicted: float
    observed: float


class Rival(TypedDict):
    """A current or former production version beside the candidate, on those of the test split's ``of`` rows that it was
    not trained on. ``seen``: how many it was trained on; None if its artifact does not say.

    ``comparison`` is None if there is none; ``why_not`` has the reason.
    """

    version: int | None
    of: int
    seen: int | None
    comparison: Comparison | None
    why_not: str | None


class Chosen(TypedDict):
    """Other ``hyperparameters`` than model.yaml's (each as "this for that"), compared with those on both splits; None
    if the champion's metric has no value there."""

    hyperparameters: dict[str, str]
    validation: Comparison | None
    test: Comparison | None


class Segment(TypedDict):
    """A slice's segment of the test split. ``enough``: it has enough rows for gates."""

    segment: str
    rows: int
    enough: bool
    metrics: Metrics
    intervals: dict[str, tuple[float, float]]


class Refitted(TypedDict):
    """The model refitted on all ``rows`` after its gates passed, which is registered. ``distance``: how far its answers
    to the golden requests are from the evaluated model's; ``metrics``: on the test split, which it was trained on."""

    rows: int
    distance: float
    metrics: Metrics


class SinceChange(TypedDict):
    """The test split's ``rows`` since ``day``: a change because of which monitoring started the training.
    ``evidence``: as in ``WindowPerformance``."""

    day: str
    rows: int
    evidence: int
    metrics: Metrics
    intervals: dict[str, tuple[float, float]]


class Evaluation(TypedDict):
    """``metrics.json``: metrics on the test split, of the candidate and, if there is one, of the champion, as far as
    they could be compared.

    ``intervals``: the known 95 % intervals of the candidate's metrics. ``production``: the last versions in production,
    the champion first. ``slices``: each slice's segments, worst first; ``worst``: the segment that decides a
    slice's gate. Older evaluations have none of these. ``data``: the training and test data, in a sentence.
    ``reliability``: by class, the tenths of its probability that have rows. ``refit``: if there was one. ``chosen``:
    None with model.yaml's own hyperparameters.
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
    mlflow_page: NotRequired[str | None]  # the run's address on an MLflow server
    refit: NotRequired[Refitted | None]
    chosen: NotRequired[Chosen | None]
    since: NotRequired[SinceChange | None]
    suspects: NotRequired[list[str]]  # features that nearly determine the target on their own
    tracking: NotRequired[str | None]  # what MLflow could not record of the run, and why


class TableVerdict(TypedDict):
    """The number of rejected rows of a table."""

    rejected: int


class InputFacts(TypedDict):
    """The number of chunks that a day was split into."""

    chunks: int


class Verdict(TypedDict):
    """``validation.json``: whether the data may be used, and why, in a sentence; ``facts`` and ``tables`` of raw
    data."""

    passed: bool
    summary: str
    facts: NotRequired[InputFacts]
    tables: NotRequired[dict[str, TableVerdict]]


class DayResult(TypedDict):
    """``day.json``: whether a day's scores may be published, and why, in a sentence; their rows, the rejected rows of
    each raw table, and the seconds of each part."""

    passed: bool
    summary: str
    rows: int
    tables: dict[str, TableVerdict]
    seconds: dict[str, float]


class FileResult(TypedDict):
    """``file.json``: whether a file's scores may be used, and why, in a sentence; the rejected rows of each table, the
    sha256 of each file, and the number of shards of its rows. ``rows`` are those with a score, or those for a transform
    job to score. ``answered_by``: what predicted them."""

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
    """An entry of ``golden_requests.json``: a row, and the model's answer in training."""

    features: dict[str, int | float | str | bool | None]
    expected: object
