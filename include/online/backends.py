"""Backends that predict feature rows: the artifact in this process, or SageMaker's endpoint."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import polars as pl
from botocore.exceptions import ClientError

from include.jobs.serving.archive import unpack
from include.jobs.serving.artifact import LoadedModel, load_artifact
from include.jobs.serving.endpoint import Endpoint, UnavailableError
from include.jobs.serving.payload import BadRequestError, parse
from include.models.config import ModelConfig
from include.models.config.files import GOLDEN_REQUESTS, MODEL_ARCHIVE
from include.models.errors import JobError
from include.online.attempts import Attempts
from include.platform.storage import production_history, split_uri

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker_runtime.client import SageMakerRuntimeClient

LOOK_SECONDS = 5.0  # between two checks for another champion
JSON = "application/json"
log = logging.getLogger("online")


@dataclass(frozen=True)
class Version:
    """The version that answers: its number (or the endpoint's variant), and its source."""

    name: str
    source: str


@dataclass(frozen=True)
class Answers:
    """One answer per row, as endpoints return it, and the features' values if known."""

    answers: list[dict[str, object]]
    version: Version


class UnreadableError(JobError):
    """An artifact cannot be downloaded."""


class Backend(Protocol):
    def version(self) -> Version | None:
        """The current version; None if there is none."""

    def answer(self, features: pl.DataFrame, *, why: bool = False) -> Answers:
        """Of rows by name, with their ``reasons`` if asked. Labels are decided as the version decides them. Raises
        UnavailableError."""

    def answer_body(self, body: bytes, media_type: str, *, why: bool = False) -> Answers:
        """Of a request of features, in any of an endpoint's formats. Raises BadRequestError, UnavailableError."""

    def start(self) -> None: ...

    def close(self) -> None: ...


Champion = Callable[[], Version | None]  # its artifact's address as the source


def champion_in(s3: S3Client, bucket: str, model: str, otherwise: Version | None = None) -> Champion:
    """The version in production by the deployments' history, or ``otherwise`` if there is none."""
    place, key = split_uri(production_history(bucket, model))

    def find() -> Version | None:
        try:
            entries = json.loads(s3.get_object(Bucket=place, Key=key)["Body"].read())["entries"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise
            entries = []
        now = next((entry for entry in entries if entry["to"] is None), None)
        return Version(str(now["version"]), now["artifact"]) if now else otherwise

    return find


@dataclass(frozen=True)
class _Serving:
    version: Version
    loaded: LoadedModel

    def answers(self, rows: pl.DataFrame, *, why: bool) -> Answers:
        found = self.loaded.answers(rows)
        if why:
            found = self.loaded.explained(rows, found, asked=True)
        return Answers(found.to_dicts(), self.version)


class LocalBackend:
    """The champion's artifact in this process. A new champion is loaded beside the old one, must answer its golden
    requests as in training, and then takes over between two requests."""

    def __init__(self, config: ModelConfig, champion: Champion, s3: S3Client) -> None:
        self._config, self._champion, self._s3 = config, champion, s3
        self._serving: _Serving | None = None
        self._refused: tuple[Version, JobError] | None = None
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="champion", daemon=True)
        self.swaps = 0

    def start(self) -> None:
        self._watcher.start()

    def close(self) -> None:
        self._closing.set()
        if self._watcher.is_alive():
            self._watcher.join(30)

    def version(self) -> Version | None:
        return self._serving.version if self._serving else None

    def look(self) -> None:
        """Loads the current champion, if it has changed.

        Raises:
            JobError: its artifact is invalid, or answers differently than in training; the old one stays.
            botocore.exceptions.ClientError: S3 cannot be asked.
        """
        version = self._champion()
        if version is None or version == self.version():
            return
        if self._refused and self._refused[0] == version:
            raise self._refused[1]
        try:
            loaded = fetch(self._s3, version.source, self._config.name)
        except UnreadableError:  # perhaps only now
            raise
        except JobError as error:
            self._refused = (version, error)
            raise
        self._serving = _Serving(version, loaded)
        self.swaps += 1
        log.info("serving version %s, trained with code %s", version.name, loaded.metadata["code_hash"])

    def answer(self, features: pl.DataFrame, *, why: bool = False) -> Answers:
        serving = self._now()
        try:
            return serving.answers(features, why=why)
        except JobError as error:
            raise UnavailableError(str(error)) from error

    def answer_body(self, body: bytes, media_type: str, *, why: bool = False) -> Answers:
        serving = self._now()
        return serving.answers(parse(body, media_type, serving.loaded.columns), why=why)

    def _now(self) -> _Serving:
        if self._serving is None:
            raise UnavailableError(f"no version of {self._config.name} is loaded yet; /ready tells when one is.")
        return self._serving

    def _watch(self) -> None:
        attempts = Attempts(f"taking over the champion of {self._config.name}", LOOK_SECONDS)
        while True:
            with attempts:
                self.look()
            if self._closing.wait(LOOK_SECONDS):
                return


def fetch(s3: S3Client, artifact: str, model: str) -> LoadedModel:
    """The model of an artifact's S3 URI, checked to answer as in training.

    Raises:
        JobError: it is corrupt, of another model, or answers differently.
    """
    folder = Path(tempfile.mkdtemp(prefix="online-"))
    try:
        loaded = load_artifact(download_artifact(s3, artifact, folder))
        if loaded.metadata["model"] != model:
            raise JobError(f"{artifact} belongs to {loaded.metadata['model']}, not to {model}.")
        _check(loaded, folder / "model", artifact)
        return loaded
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def download_artifact(s3: S3Client, artifact: str, folder: Path) -> Path:
    """Downloads and unpacks an artifact; returns its folder.

    Raises:
        UnreadableError: it cannot be downloaded.
        JobError: it is corrupt.
    """
    bucket, key = split_uri(artifact)
    try:
        s3.download_file(bucket, key, str(folder / MODEL_ARCHIVE))
    except ClientError as error:
        raise UnreadableError(f"{artifact} cannot be read: {error}") from error
    return unpack(folder, folder / "model")


def _check(loaded: LoadedModel, folder: Path, artifact: str) -> None:
    golden = json.loads((folder / GOLDEN_REQUESTS).read_text(encoding="utf-8"))
    rows = parse(json.dumps([one["features"] for one in golden]).encode(), JSON, loaded.columns)
    given = json.loads(json.dumps(loaded.answers(rows).to_dicts()))
    if wrong := sum(one != expected["expected"] for one, expected in zip(given, golden, strict=True)):
        raise JobError(
            f"{artifact} answers {wrong} of its {len(golden)} golden requests differently than in training: this "
            "service runs other code or libraries than it was trained with. Serve it with its own, or via the endpoint."
        )


class EndpointBackend:
    """SageMaker's endpoint, with time-outs and retries of retryable errors."""

    def __init__(self, runtime: SageMakerRuntimeClient, endpoint: str, variant: str | None = None) -> None:
        self._endpoint = Endpoint(runtime, endpoint, {"TargetVariant": variant} if variant else {})

    def start(self) -> None:
        """There is no thread."""

    def close(self) -> None:
        """Nothing to do."""

    def version(self) -> Version | None:
        try:
            self._endpoint.invoke(b"", JSON, JSON)
        except BadRequestError:  # it exists, and has read the request
            return Version(self._endpoint.name, "endpoint")
        except UnavailableError:
            return None
        return Version(self._endpoint.name, "endpoint")

    def answer(self, features: pl.DataFrame, *, why: bool = False) -> Answers:
        return self.answer_body(json.dumps({"instances": features.to_dicts()}).encode(), JSON, why=why)

    def answer_body(self, body: bytes, media_type: str, *, why: bool = False) -> Answers:
        content, variant = self._endpoint.invoke(body, media_type, f"{JSON};explain=true" if why else JSON)
        return Answers(json.loads(content)["predictions"], Version(variant, self._endpoint.name))
