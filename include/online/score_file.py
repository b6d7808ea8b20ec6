"""Scores a file of raw rows: used by ``make score`` and by whatever receives files.

    python -m include.online.score_file <data> <out>      # the rest as ``settings`` says

``data`` is a file of the model's first table, or a folder of its tables as training has them: see ``jobs.score_file``,
which does the work with the champion's artifact. Below ``out``:

- ``scores.parquet`` (several for a large file): like published scores
- ``quarantine/<table>.csv``: rejected rows, by line, with the reason
- ``file.json``, written last: the result; ``passed`` is false if there are no scores
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import polars as pl

from include.jobs.score_file import READ_SECONDS, Places, scored_with
from include.jobs.serving.endpoint import Endpoint, runtime_client
from include.models.config import ConfigError, ModelConfig, load_model
from include.models.config.files import FILE_RESULT, PARTS
from include.models.config.results import FileResult
from include.models.errors import JobError
from include.models.quoting import quoting
from include.models.score_table import score_table
from include.online.backends import Version, champion_in, download_artifact
from include.online.settings import Settings
from include.platform.borders import model_group
from include.platform.outbox import score_names

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client


@dataclass(frozen=True)
class Champion:
    """A version to score with: its artifact, unpacked in a folder, and the endpoint that answers, if one does."""

    config: ModelConfig
    version: Version
    artifact: Path
    endpoint: Endpoint | None = None


def champion_of(settings: Settings, s3: S3Client, folder: Path) -> Champion:
    """The champion of the settings' model, downloaded into the folder.

    Raises:
        JobError: no version is in production, or the artifact is unreadable.
    """
    otherwise = Version(settings.version, settings.artifact) if settings.artifact else None
    version = champion_in(s3, settings.bucket, settings.model, otherwise)()
    if version is None:
        raise JobError(f"no version of {settings.model} is in production. Promote one, then score the file again.")
    endpoint = None
    if settings.backend == "endpoint":
        name = settings.endpoint or f"{model_group(settings.model)}-production"
        target = {"TargetVariant": settings.target_variant} if settings.target_variant else {}
        endpoint = Endpoint(runtime_client(READ_SECONDS), name, target)
    return Champion(load_model(settings.model), version, download_artifact(s3, version.source, folder), endpoint)


def score_file(champion: Champion, data: Path, out: Path) -> FileResult:
    """Scores a file or a folder of tables; returns the content of ``file.json``.

    Raises:
        JobError: the features cannot be built, or the backend did not answer.
    """
    with tempfile.TemporaryDirectory() as work, quoting(champion.config.quotes_values):
        features, scores = Path(work, "features"), Path(work, "scores")
        places = Places(features, scores, out)
        answers = "endpoint" if champion.endpoint else "artifact"
        result = scored_with(champion.config, data, champion.artifact, answers, champion.endpoint, places)
        result["answered_by"] = champion.endpoint.name if champion.endpoint else "artifact"
        if result["passed"]:
            parts = json.loads((scores / PARTS).read_text(encoding="utf-8"))["parts"]
            for part, name in zip(parts, score_names(parts), strict=True):
                shutil.move(scores / part["name"], out / name)
    (out / FILE_RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def main(argv: list[str]) -> int:
    data, out = map(Path, argv)
    shutil.rmtree(out, ignore_errors=True)  # from an earlier file of this name
    out.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory() as folder:
            champion = champion_of(Settings.from_environment(), boto3.client("s3"), Path(folder))
            result = score_file(champion, data, out)
    except (JobError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(result["summary"])
    if not result["passed"]:
        return 1
    files = sorted(out.glob("scores*.parquet"))
    print(f"{result['rows']:,} scores of version {champion.version.name}: {', '.join(map(str, files))}")
    print(score_table(pl.read_parquet(files[0], n_rows=5)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
