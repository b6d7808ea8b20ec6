"""The candidate that scores a day beside production: which one, and where its scores are kept. Only the labels' job and
the promotion packet read them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from include.models.config import ModelConfig
from include.platform.raw_files import copy_files
from include.platform.request_parts import group_name
from include.platform.run_folders import DayRun
from include.platform.storage import challenger_folder
from include.registry.versions import (
    RegisteredVersion,
    VersionError,
    find_version,
    newest_candidate,
    require_artifact,
)

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client
    from types_boto3_sagemaker.client import SageMakerClient

log = logging.getLogger(__name__)


def choose_challenger(
    model: ModelConfig, s3: S3Client, sagemaker: SageMakerClient, *, asked: int | None, scored_with: int
) -> RegisteredVersion | None:
    """The requested version; otherwise, if model.yaml says ``challenger``, the newest candidate, if any. Never the
    version that the day is scored with.

    Raises:
        VersionError: the requested version is unknown, or its artifact is missing.
    """
    group = group_name(model)
    if asked is not None:
        found: RegisteredVersion | None = find_version(sagemaker, group, asked)
    else:
        found = newest_candidate(sagemaker, group, after=scored_with) if model.challenger else None
    if found is None or found.version == scored_with:
        return None
    try:
        require_artifact(s3, group, found)
    except VersionError as error:
        if asked is not None:
            raise
        log.warning("the day is scored without its challenger: %s", error)
        return None
    return found


def keep_challenger(s3: S3Client, model: ModelConfig, run: DayRun, version: int) -> None:
    """Copies the candidate's results from the run's folder to the day's partition."""
    copy_files(s3, f"{run.challenger}/", challenger_folder(model.name, run.day, version))
