"""The plan of a day: what scoring it reads, with which version, and whether it has been done.

Daily runs, backfills, their previews and the search for late data all use it. Pure, except that clients ask S3 and the
Model Registry.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from include.models.config import ModelConfig
from include.models.config.files import REPLAY, day_folder, stored_names
from include.platform.code_bundle import read_parts
from include.platform.code_parts import Parts
from include.platform.errors import PermanentError
from include.platform.raw_files import RawFile, list_raw_data
from include.platform.storage import daily_partition, daily_prefix, day_of, scoring_parts
from include.registry.history import History, current, in_production_at, read_history
from include.registry.versions import RegisteredVersion, VersionError, find_version, require_artifact
from include.score.published import PublishedError, ScoresManifest, lost_scores, publication_of, read_published

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient

log = logging.getLogger(__name__)

CHAMPION_AT, CURRENT = "champion_at", "current"
BATCH = "score_batch"  # the task whose jobs score a backfill
RUNS_AT_ONCE = 16  # days of a model that are scored, or monitored, concurrently


class PlanError(PermanentError):
    """A day cannot be scored; the message says which, why, and what to do."""


class DayPlan(BaseModel):
    """What scoring a day reads, the version to score it with, and the reason for that version.

    ``parts`` are those of ``platform.scoring_parts``; ``replaces`` names the current publication; the ``challenger``
    also scores the day, without effect on what is published. Two plans have an equal ``digest`` if and only if they
    would publish the same.
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    day: str
    inputs: list[RawFile]
    version: RegisteredVersion
    reason: str
    code_hash: str
    image_uri: str
    parts: dict[str, str]
    replaces: str | None = None
    challenger: RegisteredVersion | None = None

    @property
    def made_of(self) -> dict[str, str]:
        """Everything that the scores depend on, as digests."""
        return {"data": inputs_digest(self.inputs), "model": self.version.model_package_arn, **self.parts}

    @property
    def digest(self) -> str:
        return _digest(sorted(self.made_of.items()))

    def why_due(self, published: ScoresManifest | None) -> str | None:
        """Why the day must be scored, in a few words; None if its scores are up to date."""
        if published is None:
            return "not scored yet"
        before = {"data": inputs_digest(published["inputs"]), "model": published["model_package_arn"]}
        # scores from before parts were recorded come from other code
        known = published.get("made_of", {**self.parts, **before, "code": ""})
        changed = [part for part, digest in self.made_of.items() if known.get(part) != digest]
        return ", ".join("late data" if part == "data" else f"changed {part}" for part in changed) or None


def inputs_digest(files: Iterable[RawFile]) -> str:
    return _digest([[file["key"], file["etag"]] for file in files])


def look_back(model: ModelConfig, day: str) -> list[str]:
    """The earlier days that the windows of the day's features need, oldest first."""
    days = -(-model.daily_scoring.look_back_hours // 24)
    return [(date.fromisoformat(day) - timedelta(days=back)).isoformat() for back in range(days, 0, -1)]


def days_between(first: str, last: str) -> list[str]:
    """Every day from first to last, inclusive."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]


def list_partitions(s3: S3Client, bucket: str, model: str) -> dict[str, list[RawFile]]:
    """The raw files of every day's partition, by day in order.

    Raises:
        botocore.exceptions.ClientError: the bucket does not exist or is not readable.
    """
    partitions: dict[str, list[RawFile]] = {}
    for file in list_raw_data(s3, bucket, daily_prefix(model)):
        if (day := day_of(file["key"])) is not None:
            partitions.setdefault(day, []).append(file)
    return partitions


def list_partitions_of(s3: S3Client, bucket: str, model: ModelConfig, day: str) -> dict[str, list[RawFile]]:
    """What ``day_inputs`` needs for one day, however long the history: the partitions that scoring it reads, and
    whether there is an earlier one."""
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=daily_prefix(model.name) + day_folder(""), MaxKeys=1)
    beginning = [found for item in listed.get("Contents", []) if (found := day_of(item["Key"])) is not None]
    read = {
        each: list_raw_data(s3, bucket, daily_partition(model.name, each)) for each in [*look_back(model, day), day]
    }
    return {each: [] for each in beginning} | {each: files for each, files in read.items() if files}


def day_inputs(model: ModelConfig, day: str, partitions: Mapping[str, list[RawFile]]) -> list[RawFile]:
    """Exactly the files that scoring the day reads: its partition's, and earlier days' of windowed tables.

    Raises:
        PlanError: a file is missing. Days before the very first partition are not required.
    """
    beginning = min(partitions, default=day)
    files = []
    for each in look_back(model, day):
        if each >= beginning:
            files += _files_of(model, each, model.windowed_tables, partitions.get(each, []), needed_by=day)
    return files + _files_of(model, day, model.daily_scoring.tables, partitions.get(day, []), needed_by=day)


def _files_of(
    model: ModelConfig, day: str, tables: Iterable[str], there: list[RawFile], *, needed_by: str
) -> list[RawFile]:
    prefix = daily_partition(model.name, day)
    found, missing = [], []
    for name in tables:
        plain = model.data.tables[name].file
        names = {prefix + folder + stored for folder in ("", f"{REPLAY}/") for stored in stored_names(plain)}
        mine = [file for file in there if file["key"] in names]
        if not any(f"/{REPLAY}/" not in file["key"] for file in mine):
            missing.append(plain)
        found += mine
    if missing:
        why = "" if day == needed_by else f", which the windows of {needed_by} reach into"
        raise PlanError(
            f"{needed_by} cannot be scored: {prefix} lacks {', '.join(missing)} (plain, .gz, .zst or .parquet){why}. "
            "Put the day's files there and clear this task. For a day without events, deliver files with "
            "only a header."
        )
    return found


def days_to_sweep(model: ModelConfig, day: str, now: datetime) -> list[str]:
    """The ``sweep_days`` up to a day, or up to the last one that no run waits for any more."""
    scoring = model.daily_scoring
    last = min(date.fromisoformat(day), (now - timedelta(days=1, hours=scoring.wait_hours)).date())
    return [(last - timedelta(days=back)).isoformat() for back in range(scoring.sweep_days - 1, -1, -1)]


def end_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC)


def choose_version(history: History, day: str, model_version: str) -> tuple[int, str]:
    """Number of the version to score a day with, and why.

    Args:
        model_version: ``champion_at``, ``current`` or a number.

    Raises:
        PlanError: nothing was ever in production, or is now; or ``model_version`` is invalid.
    """
    if model_version.isdecimal() and int(model_version) > 0:
        return int(model_version), "chosen by number"
    if model_version == CURRENT:
        if (now := current(history)) is None:
            raise PlanError("no version is in production now: promote one (make promote, or the Dag deploy_<model>).")
        return now.version, "in production when the run was planned"
    if model_version != CHAMPION_AT:
        raise PlanError(
            f"model_version is '{model_version}'; allowed are {CHAMPION_AT}, {CURRENT} or a version number."
        )
    if not history.entries:
        raise PlanError(
            "no version was ever in production, so there is none to score with: promote one (make promote, or the Dag "
            "deploy_<model>), or name a version number."
        )
    return _champion_at(history, day)


def _champion_at(history: History, day: str) -> tuple[int, str]:
    moment = end_of(day)
    first = history.entries[0]
    if entry := in_production_at(history, moment):
        return entry.version, f"in production at the end of {day}"
    if moment < first.since:
        return first.version, f"the first ever in production, since {first.since.date()}; there was none on {day}"
    last = [entry for entry in history.entries if entry.since <= moment][-1]
    return last.version, f"the last in production before {day}, on which there was none"


@dataclass(frozen=True)
class Preview:
    """Days that would be scored, with reasons and plans; days that would be left alone; and days that cannot be scored,
    with reasons.

    ``seconds``: the average instance seconds per day of earlier batches; None if there were none.
    """

    changed: dict[str, str]
    unchanged: list[str]
    impossible: dict[str, str]
    seconds: float | None = None
    plans: Mapping[str, DayPlan] = field(default_factory=dict)


def seconds_a_day(manifests: Iterable[ScoresManifest]) -> float | None:
    """Mean billable instance seconds of days scored in batches."""
    batched = (job for manifest in manifests for job in manifest["jobs"] if job["task"] == BATCH)
    found = [float(job["billable_seconds"]) for job in batched if job["billable_seconds"] is not None]
    return sum(found) / len(found) if found else None


def parts_of(s3: S3Client, bucket: str, code_hash: str, model: str) -> Parts:
    """The parts of that code that the model's scores depend on."""
    return read_parts(s3, scoring_parts(bucket, code_hash), code_hash, model)


class Planner:
    """Plans days of one model; reads the history and each version only once.

    Args:
        partitions: from ``list_partitions``, or of one day from ``list_partitions_of``.
        group: the model package group.
        code_hash, image_uri: of the job code and image that would run.
        parts: the parts of that code that the model's scores depend on.
    """

    def __init__(
        self,
        model: ModelConfig,
        *,
        s3: S3Client,
        sagemaker: SageMakerClient,
        bucket: str,
        partitions: Mapping[str, list[RawFile]],
        group: str,
        code_hash: str,
        image_uri: str,
        parts: dict[str, str],
    ) -> None:
        self._model, self._s3, self._sagemaker, self._bucket, self._group = model, s3, sagemaker, bucket, group
        self._code_hash, self._image_uri, self._parts = code_hash, image_uri, parts
        self._partitions = partitions
        self._history = read_history(s3, bucket, model.name)
        self._versions: dict[int, RegisteredVersion] = {}
        self._published: dict[str, ScoresManifest | None] = {}

    def plan(self, day: str, model_version: str = CHAMPION_AT) -> DayPlan:
        """The plan of a day.

        Raises:
            PlanError: the day's data is missing, or nothing was ever in production.
            VersionError: the Model Registry does not have the version, or its artifact is missing.
        """
        inputs = day_inputs(self._model, day, self._partitions)
        number, reason = choose_version(self._history, day, model_version)
        if number not in self._versions:
            version = find_version(self._sagemaker, self._group, number)
            require_artifact(self._s3, self._group, version)
            self._versions[number] = version
        return DayPlan(
            day=day,
            inputs=inputs,
            version=self._versions[number],
            reason=reason,
            code_hash=self._code_hash,
            image_uri=self._image_uri,
            parts=self._parts,
            replaces=publication_of(self._manifest(day)),
        )

    def published(self, day: str) -> ScoresManifest | None:
        """The manifest of the day's published scores; None if there are none, it cannot be read, or one of its files is
        missing: then the day is scored again."""
        found = self._manifest(day)
        if found and (lost := lost_scores(self._s3, self._bucket, found)):
            log.warning(
                "the scores of %s are incomplete: %s is missing. The day counts as not scored", day, ", ".join(lost)
            )
            return None
        return found

    def _manifest(self, day: str) -> ScoresManifest | None:
        """The manifest as first read; None if it cannot be read."""
        if day not in self._published:
            try:
                self._published[day] = read_published(self._s3, self._bucket, self._model.name, day)
            except PublishedError as error:
                log.warning("the day counts as not scored: %s", error)
                self._published[day] = None
        return self._published[day]

    def preview(self, days: Iterable[str], model_version: str = CHAMPION_AT, *, force: bool = False) -> Preview:
        """What scoring the days would do; nothing is started."""
        changed: dict[str, str] = {}
        unchanged: list[str] = []
        impossible: dict[str, str] = {}
        manifests = []
        plans = {}
        for day in days:
            published = self.published(day)
            if published is not None:
                manifests.append(published)
            try:
                plan = self.plan(day, model_version)
            except (PlanError, VersionError) as error:
                impossible[day] = str(error)
                continue
            why = plan.why_due(published)
            if why or force:
                changed[day], plans[day] = why or "forced", plan
            else:
                unchanged.append(day)
        return Preview(changed, unchanged, impossible, seconds_a_day(manifests), plans)

    def late_days(self, days: Iterable[str]) -> dict[str, str]:
        """The days whose raw data arrived or changed after they were, or should have been, scored, with its digest.

        A new model or new code makes no day late: a backfill scores past days again.
        """
        late = {}
        for day in days:
            try:
                inputs = day_inputs(self._model, day, self._partitions)
            except PlanError:
                continue  # missing or incomplete: its own run reported it
            published = self.published(day)
            if published is None or published["inputs"] != inputs:
                late[day] = inputs_digest(inputs)
        return late


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
