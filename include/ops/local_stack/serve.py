"""``make serve``: the online service of a model on 127.0.0.1, over the local SageMaker, until it is interrupted.

Serves the champion, and a new one as soon as it is in production; otherwise the newest registered version.
Prints a working curl command once it can predict. Exit status: 0 after an interruption, 1 if it could not be served.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import httpx
from rich.console import Console

from include.models.config import ModelConfig, Table, load_model, model_names
from include.ops.local_stack import promote, stack
from include.ops.local_stack.arguments import check_model
from include.ops.local_stack.command import carry_out
from include.ops.local_stack.processes import ProcessError, wait_until
from include.ops.local_stack.promote import PromotionError
from include.ops.local_stack.seed import s3_client
from include.ops.local_stack.settings import BUCKET, ROOT, Settings
from include.platform.raw_files import list_raw_data
from include.platform.request_parts import group_name
from include.platform.storage import raw_prefix
from include.registry.history import current, read_history

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

READY_SECONDS = 120
ENOUGH = 65536  # bytes of a raw file that contain its first row


def serve(settings: Settings, model: str, port: int, console: Console) -> int:
    """All of ``make serve``; returns when it is interrupted.

    Raises:
        ProcessError, PromotionError, ArgumentsError: with a message for the user.
    """
    say = partial(console.print, highlight=False, markup=False, soft_wrap=True)
    config = load_model(check_model(model))
    stack.require_port(port, "make serve PORT=<port>")
    if not stack.answers(f"{settings.sagemaker_url}/_local/health"):
        stack.up(settings, say)
    s3 = s3_client(settings)
    command = [settings.python("jobs"), "-m", "include.online"]
    environment = {**os.environ, **settings.aws_environment(), **service_environment(settings, config, s3, console)}
    environment |= {"HOST": "127.0.0.1", "PORT": str(port)}
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            _wait(process, url)
            say(f"{model} is served at {url}: POST /predict, /predict/batch, /events; GET /ready, /metrics")
            say(curl(url, example(s3, config)))
            return process.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            process.terminate()


def service_environment(settings: Settings, config: ModelConfig, s3: S3Client, console: Console) -> dict[str, str]:
    """The service's settings for model, version and state; trains a version if there is none.

    Raises:
        PromotionError: the training registered no version.
    """
    told = {
        "MODEL": config.name,
        "BUCKET": BUCKET,
        "STATE": f"sqlite:///{settings.home}/online/state.db",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if current(read_history(s3, BUCKET, config.name)):
        return told
    package = promote.require_package(settings, config.name, group_name(config), console)
    console.print(
        f"no version of {config.name} is in production: serving version {package['ModelPackageVersion']}, the newest "
        "registered one. next: make promote",
        highlight=False,
        soft_wrap=True,
    )
    artifact = package["InferenceSpecification"]["Containers"][0]["ModelDataUrl"]
    return {**told, "ARTIFACT": artifact, "VERSION": str(package["ModelPackageVersion"])}


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    def is_ready() -> bool:
        if process.poll() is not None:
            raise ProcessError("the service ended; its reason is above")
        return stack.answers(f"{url}/ready")

    wait_until(is_ready, f"the service at {url} being ready; its log is above", READY_SECONDS)


def example(s3: S3Client, config: ModelConfig) -> dict[str, str]:
    """An example row: the first of the raw data, with the snapshots' columns for the same thing."""
    scoring = config.scoring.tables if config.scoring else list(config.data.tables)
    row: dict[str, str] = {}
    for name in scoring:
        table = config.data.tables[name]
        is_snapshot = config.data.time not in table.kinds
        if not row or is_snapshot:
            found = _first_row(s3, config.name, table)
            if all(row.get(key, value) == value for key, value in found.items()):
                row |= found
    return {name: value for name, value in row.items() if name != config.data.label and value != ""}


def _first_row(s3: S3Client, model: str, table: Table) -> dict[str, str]:
    files = list_raw_data(s3, BUCKET, raw_prefix(model))
    key = next((file["key"] for file in files if file["key"].rsplit("/", 1)[-1].startswith(table.file)), None)
    if key is None or not table.file.endswith((".csv", ".tsv", ".txt", ".data")):
        return {}
    content = s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes=0-{ENOUGH}")["Body"]
    with gzip.open(content) if key.endswith(".gz") else io.BytesIO(content.read()) as opened:
        text = opened.read(ENOUGH // 16).decode(table.encoding, "ignore").removeprefix("\ufeff")
    lines = csv.reader(text.splitlines()[table.skip_lines :], delimiter=table.delimiter)
    header = [cell.strip() for cell in next(lines, [])] if table.header else list(table.columns)
    names = {header: name for name, header in table.headers.items()}
    return {names.get(name, name): value for name, value in zip(header, next(lines, []), strict=False)}


def curl(url: str, row: Mapping[str, str]) -> str:
    """A command to paste into a shell."""
    return f"curl {url}/predict -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(row))}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help=f"one of: {', '.join(model_names())}")
    parser.add_argument("--port", type=int, default=8765)
    arguments = parser.parse_args(argv)
    console = Console()

    def work(settings: Settings) -> int:
        try:
            return serve(settings, arguments.model, arguments.port, console)
        except KeyboardInterrupt:
            return 0  # which is how a service ends

    return carry_out(work, console, PromotionError, httpx.TransportError)


if __name__ == "__main__":
    sys.exit(main())
