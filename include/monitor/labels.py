"""Which scored days have labels that are not joined with their scores yet. Pure, except that a client asks
S3."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from include.models.config import ModelConfig
from include.models.config.files import CHALLENGER_ROWS, LABELLED_ROWS, PERFORMANCE, SHADOW_ROWS, is_companion
from include.models.config.labels import Labels
from include.models.config.performance import Performance
from include.platform.errors import PermanentError
from include.platform.objects import read_json
from include.platform.raw_files import RawFile, list_raw_data
from include.platform.storage import labels_partition, performance_of, performance_partition, scores_manifest
from include.score.plan import PlanError, day_inputs, days_between, inputs_digest, list_partitions
from include.score.published import ScoresManifest, publication_of, read_published

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

MOST_DAYS = 40  # per job; a processing job takes at most 100 arguments


@dataclass(frozen=True)
class Due:
    """What to join. ``days``: those with new labels, with a digest of their inputs; ``windows``: days whose own labels
    are unchanged, but not those of earlier days in the window; ``keys``: the objects to read."""

    days: Mapping[str, str] = field(default_factory=dict)
    windows: Sequence[str] = ()
    keys: Sequence[str] = ()


def labels_of(model: ModelConfig) -> Labels:
    """Raises PermanentError if the model has no labels."""
    if model.labels is None:
        raise PermanentError(f"models/{model.name}/model.yaml has no section 'labels': the truth is unknown.")
    return model.labels


def after(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def newest_complete(model: ModelConfig, day: str) -> str:
    """The newest day whose labels can be complete at a day's end."""
    return after(day, -labels_of(model).horizon_hours // 24)


def newest_expected(model: ModelConfig, day: str) -> str:
    """The newest day whose labels are late if they are missing at a day's end."""
    hours = labels_of(model).horizon_hours + model.daily_scoring.wait_hours
    return after(day, int(-hours // 24))


def first_looked_at(model: ModelConfig, day: str, *, sweep: bool) -> str:
    """The first day whose labels a run about a day looks for. A daily run sweeps; one started by an event or a backfill
    looks at the days that may just have become complete, up to the one that would be late."""
    return after(day, 1 - labels_of(model).sweep_days) if sweep else newest_expected(model, day)


class Labelled:
    """A model's days in S3; each object is read once."""

    def __init__(self, model: ModelConfig, s3: S3Client, bucket: str) -> None:
        self.model, self.s3, self.bucket = model, s3, bucket
        self._scores: dict[str, ScoresManifest | None] = {}
        self._performance: dict[str, Performance | None] = {}

    @cached_property
    def _partitions(self) -> dict[str, list[RawFile]]:
        return list_partitions(self.s3, self.bucket, self.model.name)

    def due(self, first: str, last: str) -> Due:
        """What to join of the days from first to last, and of the windows that contain them."""
        days: dict[str, str] = {}
        keys: dict[str, None] = {}
        for day in days_between(first, last):
            found = self._files_of(day)
            if found is None or len(days) == MOST_DAYS:
                continue
            files, manifest = found
            beside = self._beside(day)
            digest = _digest([*files, *beside], manifest)
            before = self.performance(day)
            if before is None or before["made_of"] != digest:
                days[day] = digest
                keys |= dict.fromkeys(file["key"] for file in [*files, *beside, *manifest["files"]])
        windows = self._windows(days, first, last)
        needed = {each for day in [*days, *windows] for each in self._window(day)}
        for day in sorted(needed):
            if self.published(day):
                keys[scores_manifest(self.model.name, day)] = None
            if before := self.performance(day):
                own_folder = performance_partition(self.model.name, day)
                names = (PERFORMANCE, LABELLED_ROWS) if before["labelled"] else (PERFORMANCE,)
                keys |= dict.fromkeys(f"{own_folder}{name}" for name in names)
        return Due(days, windows, [*keys])

    def performance(self, day: str) -> Performance | None:
        if day not in self._performance:
            self._performance[day] = read_json(self.s3, performance_of(self.bucket, self.model.name, day))
        return self._performance[day]

    def published(self, day: str) -> ScoresManifest | None:
        if day not in self._scores:
            self._scores[day] = read_published(self.s3, self.bucket, self.model.name, day)
        return self._scores[day]

    def label_files(self, day: str) -> list[RawFile]:
        """The files of a day's labels."""
        every = list_raw_data(self.s3, self.bucket, labels_partition(self.model.name, day))
        return [file for file in every if not is_companion(file["key"])]

    def _files_of(self, day: str) -> tuple[list[RawFile], ScoresManifest] | None:
        """The files with the day's labels, and its scores; None while either is missing. Those of a joined day may be
        gone again: what was known from them then is, too."""
        labels, model = labels_of(self.model), self.model
        manifest, joined = self.published(day), self.performance(day) is not None
        if manifest is None or not (manifest["rows"] or joined):
            return None
        of_people: list[RawFile] = []
        if labels.table is None:
            of_people = self.label_files(day)
            if not (of_people or labels.ask or joined):
                return None
        try:
            return of_people + day_inputs(model.labelled, after(day, labels.days_ahead), self._partitions), manifest
        except PlanError as missing:
            log.info("%s: its labels are not complete yet (%s)", day, missing)
            return None

    def _beside(self, day: str) -> list[RawFile]:
        """The predictions of candidates that also scored the day, or were the endpoint's shadow."""
        there = list_raw_data(self.s3, self.bucket, performance_partition(self.model.name, day))
        return [file for file in there if file["key"].endswith((f"/{CHALLENGER_ROWS}", f"/{SHADOW_ROWS}"))]

    def _windows(self, days: Mapping[str, str], first: str, last: str) -> list[str]:
        """Days whose window is out of date; those of days with new labels are rebuilt anyway."""
        found = []
        for day in days_between(first, after(last, len(self._window(last)) - 1)):
            own = self.performance(day)
            if own is None or day in days:
                continue
            window, version = self._window(day), own["model_version"]
            there = [each for each in window if self._counts(each, version)]
            published = [one for each in window if (one := self.published(each)) and one["model_version"] == version]
            known = own["window"]["days"], own["window"]["rows"]
            if known != (there, sum(one["rows"] for one in published)) or days.keys() & window:
                found.append(day)
        return found[:MOST_DAYS]

    def _counts(self, day: str, version: int) -> bool:
        found = self.performance(day)
        return found is not None and bool(found["labelled"]) and found["model_version"] == version

    def _window(self, day: str) -> list[str]:
        length = self.model.monitoring.window_days if self.model.monitoring else 1
        return days_between(after(day, 1 - length), day)


def _digest(files: Iterable[RawFile], manifest: ScoresManifest) -> str:
    return hashlib.sha256(f"{publication_of(manifest)} {inputs_digest(files)}".encode()).hexdigest()[:16]
