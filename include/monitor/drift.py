"""Whether a version still scores the kind of features that it was trained on, by the measure of
``include.platform.stability``. Pure; ``tasks.py`` gathers the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import accumulate, pairwise
from math import sqrt
from statistics import fmean
from typing import Literal

from include.models.config import DayProfile, DriftProfile, FeatureProfile, ModelConfig, Monitoring
from include.models.config.chance import largest_likely, probability
from include.models.config.fault import Fault
from include.models.config.faulty_values import FEWEST_ROWS
from include.models.config.monitoring import GREAT
from include.models.config.watching import ClassAnswers, Reference, ValueAnswers, Window
from include.models.config.wording import counted
from include.platform.errors import PermanentError
from include.platform.stability import Bin, bins_of_counts, stability_index

FALSE_WINDOWS = 0.01  # share of training-like windows in which chance may call any feature drifted
LEAST_ALLOWED = 0.01  # a negligible index, however steady a feature was
YEAR, A_YEAR = 365.25, 350  # days, and from how many between its first and last window training covers all seasons
MOST_TOLD = 5  # features that a sentence names
MOST_BINS = 20  # shown of a feature
SEASON = 21  # days before and after the same day of the year
FEWEST_OF_SEASON = 3  # windows
MISSING_MORE = 0.1  # share of the rows without a feature's value, above 1.5 times the maximum of training's windows
RARE_LESS, RARE_MORE = 0.5, 2.0  # times a class's usual rows; an index does not show changes of rare classes


class DriftError(PermanentError):
    """Drift cannot be measured; the message says why and what to do."""


@dataclass(frozen=True)
class Feature:
    """One feature's drift; it counts as drifted above the index ``allowed``. ``in_season``: the index and the bins
    compare with the same season of training, from which it is farther than from the whole year."""

    name: str
    psi: float
    allowed: float
    state: Literal["drifted", "stable", "ignored"]
    bins: Sequence[Bin]
    in_season: bool = False

    @property
    def most_moved(self) -> Bin:
        return max(self.bins, key=lambda one: abs(one.found - one.expected))

    @property
    def filled(self) -> list[Bin]:
        """The bins with rows, in training or now."""
        return [one for one in self.bins if one.expected or one.found]

    @property
    def shown(self) -> list[Bin]:
        """Of many filled bins those that moved most."""
        moved = sorted(self.filled, key=lambda one: -abs(one.found - one.expected))[:MOST_BINS]
        return [one for one in self.filled if one in moved]

    @property
    def longest(self) -> float:
        """The largest share of a bin, in training or now."""
        return max((share for one in self.bins for share in (one.expected, one.found)), default=0.0) or 1.0


@dataclass(frozen=True)
class Drift:
    """A window of scored days, compared with the training of the version that scored them.

    ``days``: the window's profiles by day, in order; ``moved``: the predictions that drifted, in words; ``usual``: the
    share of each predicted class on the test split, or the mean of the predicted values.
    """

    model: ModelConfig
    version: int
    day: str
    days: Mapping[str, DayProfile]
    features: Sequence[Feature]
    moved: Sequence[str] = ()
    usual: Mapping[str, float] = field(default_factory=dict)

    @property
    def settings(self) -> Monitoring:
        return monitoring_of(self.model)

    @property
    def rows(self) -> int:
        return sum(profile["rows"] for profile in self.days.values())

    @property
    def drifted(self) -> list[Feature]:
        return [feature for feature in self.features if feature.state == "drifted"]

    @property
    def has_drifted(self) -> bool:
        """True with enough rows if enough features, or any predictions, drifted."""
        return self.rows >= self.settings.min_rows and bool(
            len(self.drifted) >= self.settings.drifted_features or self.moved
        )

    @property
    def window(self) -> str:
        days = f"{len(self.days)} days up to {self.day}" if len(self.days) > 1 else self.day
        return f"{counted(self.rows, 'row')} of {days}, scored by version {self.version}"

    @property
    def told(self) -> str:
        """What has drifted, and how far, in words."""
        named = [
            f"{one.name} ({one.psi:.2f}{' against its season' * one.in_season}, {one.allowed:.2f} is allowed)"
            for one in self.drifted[:MOST_TOLD]
        ]
        more = [counted(len(self.drifted) - MOST_TOLD, "more feature")] if len(self.drifted) > MOST_TOLD else []
        return ", ".join([*named, *more, *self.moved])

    def predictions(self) -> list[tuple[str, int, dict[str, float]]]:
        """By day, the rows and the share of each class, or the mean."""
        return [(day, profile["rows"], _predicted(profile)) for day, profile in self.days.items()]

    @property
    def predicted_names(self) -> list[str]:
        return sorted({name for _, _, shares in self.predictions() for name in shares} | self.usual.keys())


def monitoring_of(model: ModelConfig) -> Monitoring:
    """Raises DriftError if the model is not monitored."""
    if model.monitoring is None:
        raise DriftError(f"models/{model.name}/model.yaml has no section 'monitoring': this model is not monitored.")
    return model.monitoring


def measure(
    model: ModelConfig,
    version: int,
    profile: DriftProfile,
    day: str,
    days: Mapping[str, DayProfile],
    reference: Reference | None = None,
    classes: Sequence[str] = (),
) -> Drift:
    """The drift of a window's features, the most drifted first, ignored ones last.

    Args:
        profile: of the version's training split.
        days: the window's days by date, all scored by the version.
        reference: of the version's training; without it all features share one limit.
        classes: those of the version, in its order; model.yaml's may be other ones by now.

    Raises:
        DriftError: model.yaml ignores a feature that does not exist.
    """
    settings = monitoring_of(model)
    if unknown := sorted(set(settings.ignored) - profile.keys()):
        raise DriftError(
            f"models/{model.name}/model.yaml: monitoring.ignored names {', '.join(unknown)}; the features of version "
            f"{version} are {', '.join(profile)}."
        )
    scored = [one["features"] for one in days.values() if one["rows"]]
    season = _season(reference, day)
    features = []
    for name, known in profile.items() if scored else ():
        counts = [sum(rows) for rows in zip(*(one[name] for one in scored), strict=True)]
        bins = bins_of_counts(known, counts)
        design = _design(name, known, reference, sum(counts))
        psi = stability_index(bins, sum(counts), design)
        seasonal = _beside(bins, [one["features"][name] for one in season])
        seasonal_psi = stability_index(seasonal, sum(counts), design) if seasonal else psi
        in_season = seasonal_psi > psi
        if in_season:
            psi, bins = seasonal_psi, seasonal
        beside = sum(one["rows"] for one in season) if in_season else None
        allowed = _allowed(settings, name, profile, reference, sum(counts), beside)
        state: Literal["drifted", "stable", "ignored"] = "drifted" if psi > allowed else "stable"
        state = "ignored" if name in settings.ignored else state
        features.append(Feature(name, psi, allowed, state, bins, in_season))
    most_moved = sorted(features, key=lambda one: (one.state == "ignored", one.state == "stable", -one.psi))
    names = _classes(model, reference, classes)
    return Drift(model, version, day, days, most_moved, _moved(names, reference, days), _usual(model, names, reference))


def missing_features(profile: DriftProfile, reference: Reference, day: DayProfile) -> list[Fault]:
    """The features, ignored ones too, that lack a value in far more of a day's rows than in any window of training."""
    found = []
    for name, known in profile.items() if day["rows"] >= FEWEST_ROWS else ():
        missing = day["features"][name][-1] / day["rows"]
        usual = max([known["missing"], *(one["features"][name][-1] / one["rows"] for one in reference["windows"])])
        if missing > 1.5 * usual + MISSING_MORE:
            share = f"no value in {missing:.1%} of {day['rows']:,} rows"
            told = f"{share}; in no window of training in more than {usual:.1%}"
            found.append(Fault("features", name, "missing", told))
    return found


def _season(reference: Reference | None, day: str) -> list[Window]:
    """The windows of training from about the same time of the year as a day; none without a year of training, or with
    one limit for all features.

    They have the limit of the whole year: a single year does not tell how far the same season of two years differs. So
    what drifts is farther from its season than windows of training are from the year.
    """
    dated = [one for one in reference["windows"] if "until" in one] if reference else []
    dates = [date.fromisoformat(one["until"]) for one in dated]
    if not dates or (max(dates) - min(dates)).days < A_YEAR:
        return []
    passed = [abs((date.fromisoformat(day) - one).days) % YEAR for one in dates]
    found = [one for one, days in zip(dated, passed, strict=True) if min(days, YEAR - days) <= SEASON]
    return found if len(found) >= FEWEST_OF_SEASON else []


def _beside(bins: Sequence[Bin], windows: Sequence[Sequence[int]]) -> list[Bin]:
    """The bins with the shares of some windows as the expected ones; none without windows. A bin that only the rest of
    training has rows in has half a row."""
    added = [sum(rows) for rows in zip(*windows, strict=True)]
    return [
        replace(one, expected=max(rows, 0.5 if one.expected else 0.0) / sum(added))
        for one, rows in zip(bins if windows else (), added, strict=True)
    ]


def _design(name: str, known: FeatureProfile, reference: Reference | None, rows: int) -> float:
    """How many times as far the rows of a feature scatter as independent ones, in a window shorter than training's: in
    training's groups, or else from each of its windows to the next. Its windows show how often a bin is empty in as
    many rows as they have, but not in fewer."""
    if reference is None or len(reference["windows"]) < 2:
        return 1.0
    windows = [(bins_of_counts(known, one["features"][name]), one["rows"]) for one in reference["windows"]]
    shorter = 1 - rows / fmean(many for _, many in windows)
    return max(1.0, (reference.get("design", {}).get(name) or _scatter(windows)) * shorter)


def _scatter(windows: Sequence[tuple[Sequence[Bin], int]]) -> float:
    """Chi-squared over its degrees of freedom, of each window against the next: what changes slowly does not count."""
    freedom = max(1, sum(one.expected > 0 for one in windows[0][0]) - 1)
    return fmean(
        sum((a.found - b.found) ** 2 / a.expected for a, b in zip(one, other, strict=True) if a.expected)
        / (1 / rows + 1 / more)
        / freedom
        for (one, rows), (other, more) in pairwise(windows)
    )


def _allowed(
    settings: Monitoring,
    name: str,
    profile: DriftProfile,
    reference: Reference | None,
    rows: int,
    beside: int | None = None,
) -> float:
    """The index up to which a feature has not drifted: the limit that training's own windows reach, so that differences
    between weeks or machines are no drift, plus what chance adds for this many rows, compared with ``beside`` ones (all
    of training). False alarms stay rare over all features together.

    A window of training is part of the profile that it is compared with, and a new one is not: its index is smaller.
    """
    if settings.max_psi or reference is None or len(reference["windows"]) < 2:
        return settings.max_psi or GREAT
    trained = sum(window["rows"] for window in reference["windows"])
    windows = [(bins_of_counts(profile[name], one["features"][name]), one["rows"]) for one in reference["windows"]]
    bins, design = sum(one.expected > 0 for one in windows[0][0]), reference.get("design", {}).get(name, 1.0)
    reached = [stability_index(found, count) + bins / trained for found, count in windows]
    scatter = (bins + sqrt(2 * bins) * 4) * design  # four deviations of chi-squared
    by_chance = scatter * (1 / rows + 1 / (beside or trained)) - bins / rows
    limit = max(largest_likely(reached, FALSE_WINDOWS / len(profile)), 2 * max(reached))
    usual_rows = fmean(window["rows"] for window in reference["windows"])
    return limit * max(1.0, usual_rows / rows) + LEAST_ALLOWED + by_chance  # fewer days average out fewer differences


def _classes(model: ModelConfig, reference: Reference | None, of_version: Sequence[str]) -> list[str]:
    """The classes of a version's counted answers: by its own record, or else model.yaml's if they are as many; older
    versions, of which nothing else is known, have numbers. None of a regression, whose answers are counted in bins."""
    answers = next((one for one in reference["answers"] if one), []) if reference else []
    if not answers or not isinstance(answers[0], list):
        return []
    named = [one for one in (of_version, model.data.classes or ()) if len(one) == len(answers)]
    return list(named[0]) if named else [f"class {code}" for code in range(len(answers))]


def _moved(classes: Sequence[str], reference: Reference | None, days: Mapping[str, DayProfile]) -> list[str]:
    """The classes that are predicted far more or less often than on the test split, by a test of counts, and the
    confidence in them or the predicted values, by the index of their bins."""
    windows = [one for one in (reference["answers"] if reference else []) if one]
    now = [answers for one in days.values() if (answers := one.get("answers"))]
    if len(windows) < 2 or not now:
        return []
    before, found = (
        [_rows_of(one, classes) for one in windows],
        [sum(n) for n in zip(*(_rows_of(one, classes) for one in now), strict=True)],
    )
    rows = sum(found)
    if not rows:  # days without a row are counted too
        return []
    if not classes:
        return _moved_bins("the predicted values", before, found)
    sure: list[list[int]] = [_sure(one) for one in [*windows, *now]]  # type: ignore[arg-type] # by the problem
    together = [sum(rows) for rows in zip(*sure[len(windows) :], strict=True)]
    moved = _moved_bins("the confidence", *_in_tenths(sure[: len(windows)], together))
    designs = (reference.get("answer_design") if reference else None) or [1.0] * len(classes)
    for code, name in enumerate(classes):
        usual = [round(one[code] * rows / sum(one)) for one in before if sum(one)]
        expected = fmean(usual)
        least, most = min(RARE_LESS * expected, *usual), max(RARE_MORE * expected, *usual)
        outside = not least <= found[code] <= most  # and outside what weeks of the test split had
        if outside and probability(found[code], usual, design=designs[code]) < FALSE_WINDOWS / len(classes):
            moved.append(f"'{name}' is predicted {counted(found[code], 'time')}, where {expected:,.0f} are usual")
    return moved


def _moved_bins(name: str, windows: Sequence[Sequence[int]], found: Sequence[int]) -> list[str]:
    """The index beyond what windows of the test split reach and chance adds."""
    windows = [one for one in windows if sum(one)]
    if len(windows) < 2:
        return []
    total = [sum(n) for n in zip(*windows, strict=True)]
    psi, *reached = (
        stability_index([Bin("", a / sum(total), b / sum(one)) for a, b in zip(total, one, strict=True)], sum(one))
        for one in (found, *windows)
    )
    by_chance = 4 * sqrt(2 * len(total)) * (1 / sum(found) + 1 / sum(total))  # four deviations of chi-squared
    limit = max(largest_likely(reached, FALSE_WINDOWS), 2 * max(reached))
    fewer = max(1.0, sum(total) / len(windows) / sum(found))  # fewer days average out fewer differences
    allowed = limit * fewer + LEAST_ALLOWED + by_chance
    return [f"{name} ({psi:.2f}, {allowed:.2f} is allowed)"] if psi > allowed else []


def _in_tenths(windows: Sequence[Sequence[int]], found: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Counts by bin, of each window and of the days found, in about ten bins that are equally filled by the windows."""
    total = [sum(rows) for rows in zip(*windows, strict=True)]
    tenth = [10 * (until - rows) // sum(total) for until, rows in zip(accumulate(total), total, strict=True)]

    def grouped(counts: Sequence[int]) -> list[int]:
        rows = dict.fromkeys(tenth, 0)
        for group, count in zip(tenth, counts, strict=True):
            rows[group] += count
        return [*rows.values()]

    return [grouped(one) for one in windows], grouped(found)


def _sure(answers: ClassAnswers) -> list[int]:
    """Rows by the bin of the probability of their predicted class."""
    return [sum(rows) for rows in zip(*(answers[code][code] for code in range(len(answers))), strict=True)]


def _usual(model: ModelConfig, classes: Sequence[str], reference: Reference | None) -> dict[str, float]:
    """The share of each predicted class on the test split, or the mean of a regression, which versions evaluated by
    older code have not kept."""
    if model.problem == "regression":
        mean = reference.get("answer_mean") if reference else None
        return {} if mean is None else {"mean": mean}
    windows = [one for one in (reference["answers"] if reference else []) if one]
    if not windows or not classes:
        return {}
    rows = [sum(of) for of in zip(*(_rows_of(one, classes) for one in windows), strict=True)]
    return {name: many / max(sum(rows), 1) for name, many in zip(classes, rows, strict=True)}


def _rows_of(answers: ClassAnswers | ValueAnswers, classes: Sequence[str]) -> list[int]:
    """Rows by predicted class, or by bin of the predicted value."""
    return [sum(one[0]) for one in answers] if classes else list(answers)  # type: ignore[index,arg-type] # by the problem


def _predicted(profile: DayProfile) -> dict[str, float]:
    rows, predictions = profile["rows"], profile["predictions"]
    if not rows:
        return {}
    if "sum" in predictions:
        return {"mean": predictions["sum"] / rows}
    return {name: count / rows for name, count in sorted(predictions.items())}
