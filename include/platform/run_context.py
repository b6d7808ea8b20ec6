"""What every task knows when it runs: the environment's settings, and what was pinned at the start of its run."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from airflow.sdk import Context, Variable

from include.models.config import ConfigError, ModelConfig
from include.models.config.files import CHECKS
from include.platform.clients import s3_client
from include.platform.code_bundle import git_commit, model_of, upload_code
from include.platform.environment import VARIABLE, MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.objects import read_json, write_if_unchanged
from include.platform.raw_files import RawFile
from include.platform.run_folders import Run

log = logging.getLogger(__name__)


class Code(TypedDict):
    """What a run's jobs execute: the published code, which has the model.yaml that the run goes by, and the image."""

    code_hash: str
    image_uri: str
    git_commit: NotRequired[str | None]


class DataManifest(Code):
    """What a run of several jobs is pinned to: its code, and the raw data that it reads."""

    files: list[RawFile]


def code_of(environment: MlEnvironment) -> Code:
    """The code and image that are published now."""
    return Code(code_hash=environment.code_hash, image_uri=environment.image_uri, git_commit=environment.git_commit)


def current_run(context: Context) -> tuple[MlEnvironment, Run]:
    """The environment's current settings, and the run's folder."""
    environment = ml_environment()
    task_instance = context["ti"]
    return environment, Run(environment.bucket, task_instance.dag_id, task_instance.run_id)


def begin_run(context: Context) -> tuple[MlEnvironment, Run]:
    """As ``current_run``, in a run's first task. On a laptop, edits since the last run are published first."""
    environment, run = current_run(context)
    if environment.publish_from is None:
        return environment, run
    root = Path(environment.publish_from)
    version = upload_code(s3_client(environment), environment.bucket, root)
    if version != environment.code_hash:
        log.info("edited since code %s: published as %s", environment.code_hash, version)
        changed = {"code_hash": version, "git_commit": git_commit(root)}
        environment = environment.model_copy(update=changed)
        Variable.set(VARIABLE, json.dumps(json.loads(Variable.get(VARIABLE)) | changed))
    return environment, run


def begin_checks(environment: MlEnvironment, run: Run) -> None:
    """Before a validating job: it reads what the validations before found, and SageMaker refuses an empty input."""
    write_if_unchanged(s3_client(environment), f"{run.checks}/{CHECKS}", b"{}", None)


def published(environment: MlEnvironment, model: ModelConfig) -> ModelConfig:
    """The model as the environment's job code has it, which the run's jobs read: decisions about their results must use
    the same model.yaml.

    Raises:
        PermanentError: these Dags cannot use it.
    """
    try:
        found = model_of(s3_client(environment), environment.bucket, environment.code_hash, model.name)
    except ConfigError as error:
        raise PermanentError(
            f"model.yaml of {model.name} as published in code {environment.code_hash} cannot be used by these Dags: "
            f"{error} Trigger the Dag again: a new run uses the code that is published now."
        ) from error
    if found is None:
        log.warning("code %s is not in the bucket: model.yaml is that of the Dag", environment.code_hash)
        return model
    same = "as it is here" if found == model else "which differs from the one here"
    log.info("model.yaml is that of code %s, %s", environment.code_hash, same)
    return found


def triggered_by(context: Context) -> str | None:
    """The Airflow user who started the run; None if a schedule or an event did."""
    return getattr(context.get("dag_run"), "triggering_user_name", None)


def pinned_run(context: Context) -> tuple[MlEnvironment, Run, list[RawFile]]:
    """The environment with the run's pinned code and image, the run, and the raw data it reads.

    Raises:
        PermanentError: the first task did not record them.
    """
    environment, run = current_run(context)
    manifest: DataManifest = read_record(environment, run.data_manifest, by="prepare_data")
    commit = manifest.get("git_commit")
    return pin(environment, manifest["code_hash"], manifest["image_uri"], commit), run, manifest["files"]


def pin(environment: MlEnvironment, code_hash: str, image_uri: str, commit: str | None = None) -> MlEnvironment:
    """The environment with the code and image of the run's start, whatever was deployed since."""
    if environment.code_hash == code_hash:
        commit = environment.git_commit
    return environment.model_copy(update={"code_hash": code_hash, "image_uri": image_uri, "git_commit": commit})


def read_record(environment: MlEnvironment, uri: str, by: str) -> Any:
    """A JSON record that an earlier task of the run wrote.

    Args:
        by: the id of that task.

    Raises:
        PermanentError: the record is gone.
        botocore.exceptions.ClientError: S3 cannot be asked.
    """
    content = read_json(s3_client(environment), uri)
    if content is None:
        raise PermanentError(f"{uri}, which {by} writes, is gone. Clear {by}.")
    return content
