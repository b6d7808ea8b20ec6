"""What is published of a day and of those before it, gathered from S3 and judged: of scores, or of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from include.models.config import DayProfile, ModelConfig
from include.models.config.drift_profile import TrafficDay
from include.models.config.fault import Fault
from include.models.config.faults import WINDOWS, faults_of
from include.models.config.performance import Performance
from include.models.config.results import Evaluation
from include.models.config.watching import Reference
from include.monitor.drift import measure, missing_features, monitoring_of
from include.monitor.labels import Labelled, after, labels_of, newest_complete, newest_expected
from include.monitor.performance import Realised, performance_of
from include.monitor.traffic import LOOK_BACK, faults_of_traffic
from include.monitor.verdict import Judged, VerdictJson, faulty_days, since_of, volumes_of
from include.platform.clients import sagemaker_client
from include.platform.environment import MlEnvironment
from include.platform.errors import PermanentError
from include.platform.objects import read_json
from include.platform.storage import (
    captured_day,
    drift_of,
    drift_profile_of,
    metrics_of,
    of_traffic,
    reference_of,
)
from include.registry.versions import describe
from include.score.plan import days_between
from include.score.published import ScoresManifest

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

Of = Literal["scores", "traffic"]


def place_of(model: ModelConfig, of: Of) -> str:
    """Where verdicts lie, in the place of a model's name: those of an endpoint apart from those of daily scores."""
    return of_traffic(model.name) if of == "traffic" and model.scoring else model.name


@dataclass(frozen=True)
class Window:
    """The version that a day is of, and the profiles of its days up to that day; of an endpoint also ``traffic``, of
    any version."""

    version: int
    arn: str
    profiles: Mapping[str, DayProfile]
    traffic: Mapping[str, TrafficDay] = field(default_factory=dict)


def judged(
    model: ModelConfig, environment: MlEnvironment, client: S3Client, day: str, of: Of
) -> tuple[Judged, ScoresManifest | None]:
    """The verdict on the window that ends with the day, and the manifest of the day's scores; None of an endpoint.

    Raises:
        DriftError, PermanentError: what is published of the day, or of the version, lacks what is needed.
    """
    bucket, settings = environment.bucket, monitoring_of(model)
    length = max(settings.window_days, *WINDOWS, LOOK_BACK + 1 if of == "traffic" else 0)
    days, kept = days_between(after(day, 1 - length), day), Labelled(model, client, bucket)
    found = (_of_scores if of == "scores" else _of_traffic)(kept, days)
    evaluation = describe(sagemaker_client(environment), found.arn).evaluation
    training = _require_json(client, drift_profile_of(evaluation))
    reference: Reference | None = read_json(client, reference_of(evaluation))
    verdicts = _verdicts(client, bucket, place_of(model, of), days[:-1])
    earlier = {each: one for each, one in verdicts.items() if one is not None}
    before, faulty = earlier[max(earlier)] if earlier else None, faulty_days(earlier.values())
    in_window = [each for each in found.profiles if each >= after(day, 1 - settings.window_days)]
    window = {each: found.profiles[each] for each in in_window if each not in faulty}
    measured: Evaluation | None = read_json(client, metrics_of(evaluation))
    classes = [*measured.get("reliability", {})] if measured else []
    drift = measure(model, found.version, training, day, window, reference, classes)
    realised, late, of_labels = None, None, list[Fault]()
    if of == "scores":
        faults = faults_of(reference, day, found.profiles) if reference else []
        realised = _realised(kept, day, found.version)
        late, of_labels = _faults_of_labels(kept, day, reference)
    else:
        faults = faults_of_traffic(day, found.traffic, earlier)
    if reference and not faults:  # a raw table's fault, or a refusal, says more
        faults = missing_features(training, reference, found.profiles[day])
    faults = [*faults, *of_labels]
    performance = performance_of(model, reference, window, realised, measured)
    if performance and realised and performance["loss"] == "realised":
        labelled = set(realised.window["days"])
        verdicts |= _verdicts(client, bucket, model.name, sorted(labelled - verdicts.keys() - {day}))
        performance["faulty"] = sorted(labelled & faulty_days(verdicts.values()))
    traffic, volumes = found.traffic.get(day), volumes_of(reference, window)
    left_out = [each for each in in_window if each in faulty]
    one = Judged(drift, faults, late, performance, traffic=traffic, volumes=volumes, left_out=left_out)
    manifest = kept.published(day) if of == "scores" else None
    return replace(one, since=since_of(one.verdict, day, found.version, before)), manifest


def _of_scores(kept: Labelled, days: list[str]) -> Window:
    found, day = {each: kept.published(each) for each in days}, days[-1]
    last = found[day]
    if last is None or not last.get("profile"):
        why = "come from code without profiles" if last else "are missing"
        raise PermanentError(
            f"the scores of {day} {why}. Score the day again (score_{kept.model.name} with day {day} and force), then "
            "clear this task."
        )
    profiles: dict[str, DayProfile] = {
        each: _require_json(kept.s3, f"s3://{kept.bucket}/{published['profile']}")
        for each, published in found.items()
        if published and published["model_version"] == last["model_version"] and published.get("profile")
    }
    return Window(last["model_version"], last["model_package_arn"], profiles)


def _of_traffic(kept: Labelled, days: list[str]) -> Window:
    every: dict[str, TrafficDay | None] = {
        each: read_json(kept.s3, captured_day(kept.bucket, kept.model.name, each)) for each in days
    }
    found = {each: one for each, one in every.items() if one is not None}
    last = found.get(days[-1])
    if last is None:
        raise PermanentError(f"the requests of {days[-1]} are not counted. Clear publish_captures, which does that.")
    profiles = {day: one["profile"] for day, one in found.items() if one["model_version"] == last["model_version"]}
    return Window(last["model_version"], last["model_package_arn"], profiles, traffic=found)


def _verdicts(client: S3Client, bucket: str, place: str, days: list[str]) -> dict[str, VerdictJson | None]:
    return {each: read_json(client, drift_of(bucket, place, each)) for each in days}


def _realised(kept: Labelled, day: str, version: int) -> Realised | None:
    """The version's newest days with labels, as far as they say something about the day."""
    model = kept.model
    if model.labels is None:
        return None
    newest, length = newest_complete(model, day), monitoring_of(model).window_days
    for back in range(length):
        until = after(newest, -back)
        found = kept.performance(until)
        if found and found["model_version"] == version and found["window"]["labelled"]:
            return Realised(until, found["window"], overlaps=until > after(day, -length))
    return None


def _faults_of_labels(kept: Labelled, day: str, reference: Reference | None) -> tuple[Fault | None, list[Fault]]:
    """A fault if labels are late or unusable, and those of the raw table that they are built from, as far as scoring
    does not read it: without its rows nothing seems to go wrong, however bad the predictions are."""
    model = kept.model
    if model.labels is None:
        return None, []
    newest = newest_complete(model, day)
    first = min(after(newest, 1 - WINDOWS[-1]), newest_expected(model, day))
    found = {each: one for each in days_between(first, newest) if (one := kept.performance(each))}
    counted: dict[str, DayProfile] = {
        each: {"rows": 0, "features": {}, "predictions": {}, "tables": tables}
        for each, one in found.items()
        if (tables := one.get("tables"))
    }
    faults = faults_of(reference, max(counted), counted) if reference and counted else []
    return _late(kept, day, found), faults


def _late(kept: Labelled, day: str, found: Mapping[str, Performance]) -> Fault | None:
    """A fault if the labels of one of the days that were ``found`` cannot be used, or if the newest day that should
    have labels has none. People who are asked to label may take longer."""
    labels = labels_of(kept.model)
    for each in sorted(found, reverse=True):
        if why := found[each].get("unusable"):
            return Fault(labels.table or "labels", None, "late labels", f"those of {each} cannot be used: {why}")
    expected = newest_expected(kept.model, day)
    scores = kept.published(expected)
    if labels.ask or scores is None or not scores["rows"]:
        return None
    if (one := found.get(expected)) is not None and one["labelled"]:
        return None
    what = f"no label of {expected} has arrived"
    if kept.label_files(expected):
        what = f"the labels of {expected} are there, but not joined with its scores: look at join_labels' log"
        if one is not None:
            what = f"none of the labels of {expected} is of a scored row: compare the keys of both"
    return Fault(labels.table or "labels", None, "late labels", what)


def _require_json(client: S3Client, uri: str) -> Any:
    if (content := read_json(client, uri)) is None:
        raise PermanentError(f"{uri} is gone. Restore an earlier version of the object, then clear this task.")
    return content
