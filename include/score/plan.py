"""What scoring a day would read, with which version, and whether it has been done: the plan of a day.

The same for a daily run, a backfill, its preview and the sweep for late data. Pure but for S3 and the Model Registry,
which are asked through clients.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from botocore.exceptions import ClientError

from include.models.config import ModelConfig, Scoring, Table
from include.platform.raw_files import RawFile, list_raw_data
from include.platform.storage import daily_partition, daily_prefix, day_of, scores_manifest
from include.registry.history import Entry, History, current, in_production_at, read_history

CHAMPION_AT, CURRENT = "champion_at", "current"
REPLAY = "replay/"
RUNS_AT_ONCE = 16  # days of a model that are scored, or watched, side by side


class PlanError(RuntimeError):
    """A day cannot be scored; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Version:
    """A version of the model, what it runs as, and why it was chosen."""

    number: int
    arn: str
    image: str
    artifact: str
    reason: str


@dataclass(frozen=True)
class DayPlan:
    """What scoring a day reads. ``digest`` is equal for two plans exactly if they would publish the same."""

    day: str
    inputs: list[RawFile]
    version: Version
    code_hash: str
    image_uri: str

    @property
    def digest(self) -> str:
        return _digest([inputs_digest(self.inputs), self.version.arn, self.code_hash])

    def is_done(self, published: Mapping[str, Any] | None) -> bool:
        return published is not None and published["digest"] == self.digest

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"digest": self.digest}


def inputs_digest(files: Iterable[RawFile]) -> str:
    return _digest([[file["key"], file["etag"]] for file in files])


def scoring_of(model: ModelConfig) -> Scoring:
    """Raises PlanError for a model that is not scored."""
    if model.scoring is None:
        raise PlanError(f"models/{model.name}/model.yaml has no section 'scoring': this model is not scored daily.")
    return model.scoring


def is_of_the_day(model: ModelConfig, table: Table) -> bool:
    """Whether a day's partition holds the day's rows of the table, rather than all of it as of the day."""
    return model.data.time in table.kinds and not table.history


def look_back(model: ModelConfig, day: str) -> list[str]:
    """The days before that windows of the day's features reach into, the oldest first."""
    days = -(-scoring_of(model).look_back_hours // 24)
    return [(date.fromisoformat(day) - timedelta(days=back)).isoformat() for back in range(days, 0, -1)]


def days_between(first: str, last: str) -> list[str]:
    """Every day from first to last, both among them."""
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(start + timedelta(days=number)).isoformat() for number in range((end - start).days + 1)]


def list_partitions(s3: Any, bucket: str, model: str) -> dict[str, list[RawFile]]:
    """The raw files of every day's partition, by day in order.

    Raises:
        botocore.exceptions.ClientError: the bucket is absent or may not be read.
    """
    partitions: dict[str, list[RawFile]] = {}
    for file in list_raw_data(s3, bucket, daily_prefix(model)):
        if (day := day_of(file["key"])) is not None:
            partitions.setdefault(day, []).append(file)
    return partitions


def list_partitions_of(s3: Any, bucket: str, model: ModelConfig, day: str) -> dict[str, list[RawFile]]:
    """What ``day_inputs`` asks for of one day, however long the history: the partitions that scoring it reads, and that
    there is an earlier one."""
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{daily_prefix(model.name)}date=", MaxKeys=1)
    beginning = [found for item in listed.get("Contents", []) if (found := day_of(item["Key"])) is not None]
    read = {
        each: list_raw_data(s3, bucket, daily_partition(model.name, each)) for each in [*look_back(model, day), day]
    }
    return {each: [] for each in beginning} | {each: files for each, files in read.items() if files}


def day_inputs(model: ModelConfig, day: str, partitions: Mapping[str, list[RawFile]]) -> list[RawFile]:
    """Exactly the files that scoring the day reads: its partition's, and the windowed tables' of the days before.

    Raises:
        PlanError: a file is missing. Before the first partition of all there is nothing to look back to.
    """
    scoring = scoring_of(model)
    windowed = [name for name in scoring.tables if is_of_the_day(model, model.data.tables[name])]
    beginning = min(partitions, default=day)
    files = []
    for each in look_back(model, day):
        if each >= beginning:
            files += _files_of(model, each, windowed, partitions.get(each, []), needed_by=day)
    return files + _files_of(model, day, scoring.tables, partitions.get(day, []), needed_by=day)


def _files_of(
    model: ModelConfig, day: str, tables: Iterable[str], there: list[RawFile], *, needed_by: str
) -> list[RawFile]:
    prefix = daily_partition(model.name, day)
    found, missing = [], []
    for name in tables:
        plain = model.data.tables[name].file
        names = {prefix + folder + plain + ending for folder in ("", REPLAY) for ending in ("", ".gz")}
        mine = [file for file in there if file["key"] in names]
        if not any(REPLAY not in file["key"] for file in mine):
            missing.append(plain)
        found += mine
    if missing:
        why = "" if day == needed_by else f", which the windows of {needed_by} reach into"
        raise PlanError(
            f"{needed_by} cannot be scored: {prefix} lacks {', '.join(missing)} (plain or .gz){why}. Put the day's "
            "files there and clear this task. A day on which nothing happened is delivered too: a header alone."
        )
    return found


def days_due(model: ModelConfig, now: datetime) -> list[str]:
    """The days that the sweep looks at: the last ``sweep_days`` for which no run waits any more."""
    scoring = scoring_of(model)
    last = (now - timedelta(days=1, hours=scoring.wait_hours)).date()
    return [(last - timedelta(days=back)).isoformat() for back in range(scoring.sweep_days - 1, -1, -1)]


def end_of(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day) + timedelta(days=1), time(), UTC)


def choose_entry(history: History, day: str, model_version: str) -> tuple[int, str]:
    """Number of the version to score a day with, and why.

    Args:
        model_version: ``champion_at``, ``current`` or a number.

    Raises:
        PlanError: nothing was ever in production, or is now; or ``model_version`` is none of these.
    """
    if model_version.isdecimal() and int(model_version) > 0:
        return int(model_version), "asked for by number"
    if model_version == CURRENT:
        if (now := current(history)) is None:
            raise PlanError("no version is in production now. Promote one (make promote, or the Dag deploy_<model>).")
        return now.version, "in production when the run was planned"
    if model_version != CHAMPION_AT:
        raise PlanError(
            f"model_version is '{model_version}'; allowed are {CHAMPION_AT}, {CURRENT} or a version number."
        )
    if not history.entries:
        raise PlanError(
            "no version was ever in production, so there is none to score with. Promote one (make promote, or the Dag "
            "deploy_<model>), or name a version number."
        )
    return _champion_at(history, day)


def _champion_at(history: History, day: str) -> tuple[int, str]:
    moment = end_of(day)
    first: Entry = history.entries[0]
    if entry := in_production_at(history, moment):
        return entry.version, f"in production at the end of {day}"
    if moment < first.since:
        return first.version, f"the first ever in production, since {first.since.date()}; there was none on {day}"
    last = [entry for entry in history.entries if entry.since <= moment][-1]
    return last.version, f"the last in production before {day}, on which there was none"


def describe_version(sagemaker: Any, group: str, number: int, reason: str) -> Version:
    """The version as the Model Registry has it.

    Args:
        sagemaker: a boto3 SageMaker client.

    Raises:
        PlanError: there is no such version.
        botocore.exceptions.ClientError: SageMaker cannot be asked.
    """
    try:
        arn = sagemaker.describe_model_package_group(ModelPackageGroupName=group)["ModelPackageGroupArn"]
        arn = f"{arn.replace(':model-package-group/', ':model-package/')}/{number}"
        package = sagemaker.describe_model_package(ModelPackageName=arn)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("ValidationException", "ResourceNotFound"):
            raise
        raise PlanError(f"the Model Registry has no version {number} of {group}: {error}") from error
    container = package["InferenceSpecification"]["Containers"][0]
    return Version(number, arn, container["Image"], container["ModelDataUrl"], reason)


@dataclass(frozen=True)
class Preview:
    """Days that would be scored, days that would be left alone, and those that cannot be scored with the reason.

    ``seconds`` are instance seconds that a day takes, by instance type, as days scored before took on average; empty
    where none was.
    """

    changed: list[str]
    unchanged: list[str]
    impossible: dict[str, str]
    seconds: Mapping[str, float]


def seconds_a_day(manifests: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Mean billable instance seconds of a day by instance type."""
    found = list(manifests)
    totals: dict[str, float] = {}
    for job in (job for manifest in found for job in manifest["jobs"]):
        totals[job["instance_type"]] = totals.get(job["instance_type"], 0.0) + (job["billable_seconds"] or 0)
    return {name: total / len(found) for name, total in totals.items()}


class Planner:
    """Plans days of one model, asking for each thing once: history, versions.

    Args:
        s3, sagemaker: boto3 clients.
        partitions: from ``list_partitions``, or of one day from ``list_partitions_of``.
        group: the model package group.
        code_hash, image_uri: of the job code and image that would run.
    """

    def __init__(
        self,
        model: ModelConfig,
        *,
        s3: Any,
        sagemaker: Any,
        bucket: str,
        partitions: Mapping[str, list[RawFile]],
        group: str,
        code_hash: str,
        image_uri: str,
    ) -> None:
        self._model, self._s3, self._sagemaker, self._bucket, self._group = model, s3, sagemaker, bucket, group
        self._code_hash, self._image_uri = code_hash, image_uri
        self._partitions = partitions
        self._history = read_history(s3, bucket, model.name)
        self._versions: dict[int, Version] = {}

    def plan(self, day: str, model_version: str = CHAMPION_AT) -> DayPlan:
        """Raises PlanError: the day's data or a version is missing."""
        inputs = day_inputs(self._model, day, self._partitions)
        number, reason = choose_entry(self._history, day, model_version)
        if number not in self._versions:
            self._versions[number] = describe_version(self._sagemaker, self._group, number, reason)
        known = self._versions[number]
        version = Version(known.number, known.arn, known.image, known.artifact, reason)
        return DayPlan(day, inputs, version, self._code_hash, self._image_uri)

    def published(self, day: str) -> dict[str, Any] | None:
        return read_published(self._s3, self._bucket, self._model.name, day)

    def preview(self, days: Iterable[str], model_version: str = CHAMPION_AT, *, force: bool = False) -> Preview:
        """What scoring the days would come to; nothing is started."""
        changed: list[str] = []
        unchanged: list[str] = []
        impossible: dict[str, str] = {}
        manifests = []
        for day in days:
            published = self.published(day)
            if published is not None:
                manifests.append(published)
            try:
                done = self.plan(day, model_version).is_done(published)
            except PlanError as error:
                impossible[day] = str(error)
            else:
                (unchanged if done and not force else changed).append(day)
        return Preview(changed, unchanged, impossible, seconds_a_day(manifests))

    def late_days(self, days: Iterable[str]) -> dict[str, str]:
        """The days whose raw data came or changed after they were scored or should have been, with its digest.

        A new model or new code makes no day late: a backfill scores past days anew.
        """
        late = {}
        for day in days:
            try:
                inputs = day_inputs(self._model, day, self._partitions)
            except PlanError:
                continue  # not there, or not whole: its own run said so
            published = self.published(day)
            if published is None or published["inputs"] != inputs:
                late[day] = inputs_digest(inputs)
        return late


def read_published(s3: Any, bucket: str, model: str, day: str) -> dict[str, Any] | None:
    """The manifest of a day's published scores; None where there are none."""
    try:
        text = s3.get_object(Bucket=bucket, Key=scores_manifest(model, day))["Body"].read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            return None
        raise
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
