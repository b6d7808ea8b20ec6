"""The plan for scoring an inbox file: which version of the file, with which version of the model, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict

from include.models.config import ModelConfig, load_model, model_names
from include.models.config.files import text_bytes
from include.platform.environment import MlEnvironment
from include.platform.outbox import GONE, Outbox, Source, unreadable
from include.platform.request_parts import endpoint_name, group_name
from include.platform.run_folders import DayRun
from include.platform.storage import inbox_key
from include.registry.history import current, read_history
from include.registry.versions import RegisteredVersion, find_version, require_artifact
from sagemaker_jobs.failures import is_absent

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient

JOB, TRANSFORM, ENDPOINT = "job", "transform", "endpoint"
Mode = Literal["job", "transform", "endpoint"]


class FileRef(TypedDict):
    """A reference to a file, whose plan is in the run's folder."""

    number: int
    model: str
    file: str
    mode: str
    version: str  # eight hex digits of the object's ETag


class FilePlan(BaseModel):
    """``why``: why the file cannot be scored, before anything was read; the other fields are then meaningless."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    source: Source
    mode: Mode = "job"
    version: RegisteredVersion | None = None
    why: str | None = None
    again: bool = False
    code_hash: str
    image_uri: str


@dataclass(frozen=True)
class FileRun(DayRun):
    """The folder of one file of a run, below its model's: its jobs' role may be limited to that."""

    model: str

    @property
    def folder(self) -> str:
        return f"s3://{self.bucket}/runs/{self.dag_id}/{self.model}/{self.slug}"

    @property
    def plan(self) -> str:
        return self.output("find_files", "plan.json")

    @property
    def inputs(self) -> str:
        """SageMaker's manifest of the file, so that no other object with this prefix is read."""
        return self.output("find_files", "file.manifest")

    @property
    def day_features(self) -> str:
        return self.output("score_file", "features")


def file_run(bucket: str, dag_id: str, run_id: str, ref: FileRef) -> FileRun:
    return FileRun(bucket, dag_id, run_id, f"file-{ref['number']:03}-{ref['version']}", day="", model=ref["model"])


class FilePlanner:
    """Plans files with the current production version."""

    def __init__(self, environment: MlEnvironment, s3: S3Client, sagemaker: SageMakerClient) -> None:
        self._environment, self._s3, self._sagemaker = environment, s3, sagemaker

    def plan(self, model: str, file: str, etag: str | None, mode: Mode | None, *, again: bool) -> FilePlan | str:
        """The plan, or the reason why there is nothing to do.

        Args:
                etag: of the version to score; None: the current one.
                mode: None: chosen by the file's size.
            again: score a version again that already has scores.
        """
        if model not in model_names():
            return f"there is no model '{model}'"
        key, environment = inbox_key(model, file), self._environment
        facts = {"code_hash": environment.code_hash, "image_uri": environment.image_uri, "again": again}
        try:
            found = self._s3.head_object(Bucket=environment.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in GONE:
                return f"s3://{environment.bucket}/{key} does not exist (any more)"
            if (why := unreadable(error)) is None:
                raise
            source = Source(key=key, etag=etag or "", modified="1970-01-01T00:00:00+00:00")
            return self._unless_done(model, file, FilePlan(source=source, why=f"{key}: {why}", **facts))
        source = Source(key=key, etag=found["ETag"].strip('"'), modified=found["LastModified"].isoformat())
        if etag and etag != source["etag"]:
            return f"{key} was replaced since; its replacement has its own event"
        try:
            config = load_model(model)
            why = _impossible(found["ContentLength"], key) or self._no_endpoint(config, mode)
            version = None if why else self._champion(config)
            why = why or (None if version else f"no version of {model} is in production. Promote one, then score it.")
            size = text_bytes(key, found["ContentLength"]) / 2**20
            by_size: Mode = "job" if size <= config.daily_scoring.one_job_mb else "transform"
        except ValueError as error:  # model.yaml is invalid, or has no section scoring
            version, by_size, why = None, "job", str(error)
        plan = FilePlan(source=source, mode=mode or by_size, version=version, why=why, **facts)
        return self._unless_done(model, file, plan)

    def _unless_done(self, model: str, file: str, plan: FilePlan) -> FilePlan | str:
        standing, kept, _ = Outbox(self._environment.bucket, model, file).standing(self._s3, plan.source)
        if standing == "overtaken":
            return f"{plan.source['key']} already has scores of a newer version"
        if standing == "done before" and kept and not plan.again:
            return f"this version of {plan.source['key']} is done: {kept['summary'].splitlines()[0]}"
        return plan

    def _champion(self, config: ModelConfig) -> RegisteredVersion | None:
        entry = current(read_history(self._s3, self._environment.bucket, config.name))
        if entry is None:
            return None
        version = find_version(self._sagemaker, group_name(config), entry.version)
        require_artifact(self._s3, group_name(config), version)
        return version

    def _no_endpoint(self, config: ModelConfig, mode: Mode | None) -> str | None:
        if mode != ENDPOINT:
            return None
        try:
            self._sagemaker.describe_endpoint(EndpointName=(name := endpoint_name(config, "production")))
        except ClientError as error:
            if not is_absent(error):
                raise
            return f"endpoint {name} does not exist. Choose another mode."
        return None


def _impossible(size: int, key: str) -> str | None:
    return None if size else f"{key}: an empty file. Export or upload it again."
