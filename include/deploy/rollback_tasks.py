"""What the tasks of ``rollback`` do, each for the model that its run was started for."""

from __future__ import annotations

import json
import logging
from typing import Any

from airflow.sdk import Asset, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.deploy import tasks
from include.deploy.rollback_claim import claim_rollback
from include.deploy.tasks import Deployed, s3
from include.models.config import ConfigError, ModelConfig, load_model
from include.platform.environment import ml_environment
from include.platform.request_parts import Request
from include.registry.history import Entry, previous, read_history
from include.registry.packages import PackageError

log = logging.getLogger(__name__)


def model_of_run(context: Context) -> ModelConfig:
    """The model that the form names.

    Raises:
        AirflowFailException: its model.yaml cannot be used.
    """
    try:
        return load_model(context["params"]["model"])
    except ConfigError as error:
        raise AirflowFailException(str(error)) from error


def resolve_previous(context: Context) -> dict[str, Any]:
    """What production goes back to: the version of the form when it was last in production, or the one before now's.

    Raises:
        RollbackUnderwayError: another run takes this model back already.
        PackageError: there is no such version.
    """
    model, environment, asked = model_of_run(context), ml_environment(), context["params"]["version"]
    client = s3(environment)
    claim_rollback(client, environment.bucket, model.name, context["ti"])
    history = read_history(client, environment.bucket, model.name)
    served = [entry for entry in history.entries if entry.version == asked]
    found = previous(history) if asked is None else (served[-1] if served else None)
    if found is None:
        known = ", ".join(str(version) for version in sorted({entry.version for entry in history.entries})) or "none"
        wanted = "version before the one" if asked is None else f"version {asked}"
        raise PackageError(
            f"{model.name}: there is no {wanted} in production to go back to; in production were: {known}"
        )
    log.info("%s: going back to version %d with %s", model.name, found.version, found.endpoint_config)
    return dict(json.loads(found.model_dump_json(by_alias=True)))


def deploy_production(context: Context, *, entry: dict[str, Any]) -> Request:
    """Production with what it had.

    Raises:
        RollbackUnderwayError: this run had ended and was cleared, and another one took its place since.
    """
    model, environment = model_of_run(context), ml_environment()
    claim_rollback(s3(environment), environment.bucket, model.name, context["ti"])
    return tasks.entry_endpoint(model, Entry.model_validate(entry))


def test_production(context: Context, entry: dict[str, Any], deployed: Deployed) -> Any:
    return tasks.tested_champion(model_of_run(context), entry, deployed)


def record_promotion(context: Context, entry: dict[str, Any], deployed: Deployed, productions: Any) -> dict[str, Any]:
    """Put the version into production's history, and tell Airflow so.

    Args:
        productions: the AssetAlias that stands for every model's production.
    """
    model = model_of_run(context)
    package = tasks.package_in_production(entry)
    recorded = tasks.record(model, package, deployed, context)
    context["outlet_events"][productions].add(Asset(f"{model.name}_production"), extra=recorded)
    return recorded


def prune_stale(context: Context) -> dict[str, list[str]]:
    return tasks.prune_stale(model_of_run(context))


def move_champion_alias(context: Context, *, recorded: dict[str, Any]) -> Request:
    """As after a deployment.

    Raises:
        AirflowSkipException: the model's versions, or the environment's runs, are not tracked.
    """
    model = model_of_run(context)
    if not model.tracking.model_versions:
        raise AirflowSkipException(f"{model.name} has no tracking.model_versions: there is no alias to move")
    return tasks.champion_alias(model, context, recorded=recorded)
