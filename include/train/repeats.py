"""Whether a training would repeat the last one: its ingredients, and the record of the last complete one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from include.models.config import ModelConfig
from include.platform.code_bundle import read_parts
from include.platform.environment import MlEnvironment
from include.platform.objects import read_json, write_text
from include.platform.raw_files import RawFile, manifest_digest, raw_megabytes
from include.platform.run_folders import Run
from include.platform.storage import last_training, training_parts
from include.platform.training_parts import SEVERAL_MACHINES
from include.train.form import given_hyperparameters
from include.train.requests import chosen_hyperparameters

if TYPE_CHECKING:
    from pydantic import JsonValue
    from types_boto3_s3.client import S3Client

    Ingredients = Mapping[str, JsonValue]


class LastTraining(TypedDict):
    """``production/<model>/training.json``: of the last training that registered a version or missed its gates."""

    digest: str
    made_of: Ingredients
    dag_id: str
    run_id: str
    outcome: str
    ended_at: str


def ingredients(
    model: ModelConfig, params: Mapping[str, Any], s3: S3Client, environment: MlEnvironment, files: list[RawFile]
) -> Ingredients:
    """Everything that a training's result depends on, by name."""
    code_hash = environment.code_hash
    parts = read_parts(s3, training_parts(environment.bucket, code_hash), code_hash, model.name)
    given = given_hyperparameters(model, params)
    if not shared_by_machines(model, files):
        parts.pop(SEVERAL_MACHINES, None)
    return {
        "raw data": manifest_digest(files),
        "data window": [params["data_from"], params["data_to"]],
        **({"held out": held_out} if (held_out := _held_out(model, params)) else {}),
        **parts,
        "image": environment.image_uri,
        "hyperparameters": {**chosen_hyperparameters(model, given)},
        "tuning": params["tune"] and _tuning(model, given),
        "instance type": params["instance_type"],
    }


def _held_out(model: ModelConfig, params: Mapping[str, Any]) -> list[float]:
    """What is held out, if it differs from model.yaml's ``split``."""
    if not params["must_learn"] or model.monitoring is None:
        return []
    return model.monitoring.retrain.held_out


def _tuning(model: ModelConfig, given: Mapping[str, Any]) -> list[str]:
    """How hyperparameters are searched, with the fixed ones."""
    return [model.training.model_dump_json(include={"tuning"}), *sorted(given)]


def shared_by_machines(model: ModelConfig, files: list[RawFile]) -> bool:
    """Whether the raw data is so large that several machines prepare it."""
    limit = model.processing.one_job_mb
    return bool(limit) and raw_megabytes(files) > limit


def digest_of(made_of: Ingredients) -> str:
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def what_changed(last: LastTraining, made_of: Ingredients) -> str:
    """What differs from the last training, in words."""
    changed = [name for name, value in made_of.items() if json.dumps(value) != json.dumps(last["made_of"].get(name))]
    return f"changed since run {last['run_id']}: {', '.join(changed)}"


def read_last(s3: S3Client, environment: MlEnvironment, model: ModelConfig) -> LastTraining | None:
    """The record of the last complete training; None if there is none."""
    last: LastTraining | None = read_json(s3, last_training(environment.bucket, model.name))
    return last


def write_last(
    s3: S3Client, environment: MlEnvironment, model: ModelConfig, run: Run, made_of: Ingredients, outcome: str
) -> None:
    last = LastTraining(
        digest=digest_of(made_of),
        made_of=made_of,
        dag_id=run.dag_id,
        run_id=run.run_id,
        outcome=outcome,
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_text(s3, last_training(environment.bucket, model.name), json.dumps(last, indent=1))
