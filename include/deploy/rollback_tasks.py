"""The tasks of ``rollback``, each under its id and for the model that its run was started for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from airflow.sdk import Asset, AssetAlias, Context
from airflow.sdk.exceptions import AirflowSkipException

from include.deploy import tasks
from include.deploy.endpoint_checks import Report
from include.deploy.rollback_claim import claim_rollback
from include.deploy.tasks import Deployed, Json, Recorded
from include.models.config import ConfigError, ModelConfig, load_model
from include.platform.clients import s3_client
from include.platform.environment import ml_environment
from include.platform.errors import PermanentError
from include.platform.request_parts import Request
from include.registry.history import Entry, previous, read_history
from include.registry.versions import VersionError

if TYPE_CHECKING:
    from pydantic import JsonValue

log = logging.getLogger(__name__)


def model_of_run(context: Context) -> ModelConfig:
    """The model that the form names.

    Raises:
        PermanentError: its model.yaml is invalid.
    """
    try:
        return load_model(context["params"]["model"])
    except ConfigError as error:
        raise PermanentError(str(error)) from error


def resolve_previous(context: Context) -> Json:
    """What production returns to: the form's version, as it was last in production, or the previous one.

    Raises:
        RollbackUnderwayError: another run is already rolling this model back.
        VersionError: there is no such version.
    """
    model, environment, asked = model_of_run(context), ml_environment(), context["params"]["version"]
    client = s3_client(environment)
    claim_rollback(client, environment.bucket, model.name, context["ti"])
    history = read_history(client, environment.bucket, model.name)
    served = [entry for entry in history.entries if entry.version == asked]
    found = previous(history) if asked is None else (served[-1] if served else None)
    if found is None:
        known = ", ".join(str(version) for version in sorted({entry.version for entry in history.entries})) or "none"
        wanted = "version before the one" if asked is None else f"version {asked}"
        raise VersionError(
            f"{model.name}: there is no {wanted} in production to go back to; in production were: {known}"
        )
    log.info("%s: going back to version %d with %s", model.name, found.version, found.endpoint_config)
    return found.as_json()


def deploy_production(context: Context, *, entry: Json) -> Request:
    """Production with its previous configuration.

    Raises:
        RollbackUnderwayError: this run had ended and was cleared, but another run has started since.
    """
    model, environment = model_of_run(context), ml_environment()
    claim_rollback(s3_client(environment), environment.bucket, model.name, context["ti"])
    return tasks.return_to(model, Entry.model_validate(entry))


def test_production(context: Context, *, version: Json, deployed: Deployed) -> Report:
    return tasks.test_production(model_of_run(context), context, version=version, deployed=deployed)


def record_promotion(productions: AssetAlias, context: Context, *, version: Json, deployed: Deployed) -> Recorded:
    """Records the version in the production history, and notifies people and subscribers of the model's production
    Asset.

    Args:
        productions: the alias of every model's production Asset.
    """
    model = model_of_run(context)
    recorded = tasks.enter_into_history(model, context, version=version, deployed=deployed)
    context["outlet_events"][productions].add(
        Asset(f"{model.name}_production"), extra=cast("dict[str, JsonValue]", recorded)
    )
    return recorded


def prune_stale(context: Context) -> dict[str, list[str]]:
    return tasks.prune_stale(model_of_run(context), context)


def move_champion_alias(context: Context, *, recorded: Recorded) -> Request:
    """Moves MLflow's alias, as after a deployment.

    Raises:
        AirflowSkipException: the model's versions, or the environment's runs, are not tracked.
    """
    model = model_of_run(context)
    if not model.tracking.model_versions:
        raise AirflowSkipException(f"{model.name} has no tracking.model_versions: there is no alias to move")
    return tasks.move_champion_alias(model, context, recorded=recorded)
