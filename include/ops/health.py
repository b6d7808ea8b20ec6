"""``make health [ENV=...] [JSON=1]``: what needs attention, as the console's page *Health* says it.

    python -m include.ops.health [--json] [-- ENV]

Without an environment of include/ops/mwaa/environments it asks the laptop's stack. Exit status: 0 if all
is well, 1 where something needs attention or could not be asked.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import httpx
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.settings import BUCKET, REGION, Settings, SettingsError
from include.ops.mwaa.rest import AirflowOnMwaa, RestError
from include.ops.mwaa.target import TargetError, load_target, outputs_of
from include.ops.screen import screen
from model_console.airflow_api import RefusedError
from model_console.airflow_state import ask_health, models_watched
from model_console.cloud import aws_of
from model_console.health import AREAS, Health, examine, project_of
from model_console.settings import Settings as Place
from model_console.store import Store

PATIENCE = 20.0  # seconds
WORDS = {"act": "needs attention", "note": "note", "fine": "fine"}
STYLES = {"act": "bold red", "note": "yellow", "fine": "green"}


@dataclass(frozen=True)
class Airflow:
    """Airflow's API from outside, for ``ask_health``."""

    call: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Raises RefusedError."""
        try:
            return dict(await asyncio.to_thread(self.call, path, query))
        except httpx.HTTPStatusError as error:
            raise RefusedError(error.response.status_code, str(error)) from error
        except RestError as error:
            raise RefusedError(error.status, str(error)) from error


def of_laptop(settings: Settings) -> tuple[Airflow, Place, str]:
    """The stack of this machine: Airflow, bucket and region, Airflow's address."""
    os.environ |= settings.aws_environment()
    api = AirflowApi(settings.airflow_url, settings.login, patience=PATIENCE)
    airflow = Airflow(lambda path, query: api.call("GET", path, params=dict(query)))
    return airflow, Place(BUCKET, REGION), settings.airflow_url


def of_environment(name: str) -> tuple[Airflow, Place, str]:
    """An environment on AWS. Raises TargetError, or what botocore raises."""
    target = load_target(name)
    os.environ["AIRFLOW_ENV_NAME"] = target.name  # queues are named after it
    bucket = outputs_of(boto3.client("cloudformation", region_name=target.region), target)["MlBucket"]
    mwaa = boto3.client("mwaa", region_name=target.region)
    address = mwaa.get_environment(Name=target.name)["Environment"].get("WebserverUrl", "")
    api = AirflowOnMwaa(mwaa, target.name)
    return Airflow(lambda path, query: api.get(path, **query)), Place(bucket, target.region), f"https://{address}"


def health(airflow: Airflow, place: Place) -> Health:
    """Raises RefusedError, httpx.TransportError: Airflow cannot be asked."""
    dags = asyncio.run(ask_health(airflow))
    models = models_watched(dags)
    store = Store(boto3.client("s3", region_name=place.region), place.bucket)
    indexes = store.indexes(models)
    cloud = aws_of(place, store).ask(indexes, models)
    return examine(models, indexes, dags, cloud, project=project_of(place.bucket), now=datetime.now(UTC))


def as_json(found: Health) -> str:
    """For monitors."""
    return json.dumps(
        {
            "needs_attention": found.needs_attention,
            "unknown": list(found.unknown),
            "findings": [dataclasses.asdict(finding) for finding in found.findings],
        },
        indent=1,
    )


def show(found: Health, address: str, console: Console) -> None:
    table = Table("area", "state", Column("what", overflow="fold"), Column("found", overflow="fold"))
    for finding in (one for area in AREAS for one in found.of(area)):
        level = f"[{STYLES[finding.level]}]{WORDS[finding.level]}[/]"
        table.add_row(finding.area, level, escape(finding.subject), escape(finding.says))
    console.print(table)
    for what in found.unknown:
        console.print(f"not known: {what}", style="yellow", markup=False, soft_wrap=True)
    for finding in found.findings:
        if finding.level == "act" and finding.path:
            path = finding.path if finding.path.startswith("/") else f"/models/{finding.path}"
            console.print(f"{finding.subject}: {address}{path}", markup=False, soft_wrap=True)
    console.print("something needs attention" if found.needs_attention else "all is well")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("environment", nargs="?", default="")
    asked = parser.parse_args(argv)
    logging.disable(logging.INFO)  # Airflow's own: what is printed is the answer alone
    try:
        place = of_environment(asked.environment) if asked.environment else of_laptop(Settings.from_environment())
        found = health(*place[:2])
    except (SettingsError, TargetError, RefusedError, ClientError, BotoCoreError) as error:
        sys.exit(f"error: {error}")
    except httpx.TransportError as error:
        sys.exit(f"error: Airflow does not answer ({error}). next: make up")
    if asked.json:
        print(as_json(found))
    else:
        show(found, place[2], screen())
    sys.exit(found.needs_attention)


if __name__ == "__main__":
    main()
