"""``make costs [ENV=...] [MONTH=2026-11]``: what jobs and endpoints of a month have cost, by model, Dag and kind.

    python -m include.ops.costs [--month 2026-11] [-- ENV]

Without an environment of include/ops/mwaa/environments it asks the laptop's stack. The console's page
*Costs* shows the same.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.table import Column, Table

from include.models.config import model_names
from include.ops.local_stack.settings import BUCKET, REGION, Settings, SettingsError
from include.ops.mwaa.target import TargetError, load_target, outputs_of
from include.ops.screen import screen
from model_console.bills import Bill, of_month
from model_console.cloud import aws_of
from model_console.costs import Line, by_model, endpoints_of, months, roll_up, sum_of
from model_console.overview import today
from model_console.settings import Settings as Place
from model_console.store import Store

NOT_MEASURED = (
    "CloudWatch could not be asked how endpoints were used: instances that autoscaling added are missing, and what "
    "is paid by use has no price"
)


def place_of(environment: str) -> Place:
    """Bucket and region of an environment, or of this machine's stack. Raises SettingsError, TargetError, or what
    botocore raises."""
    if not environment:
        os.environ |= Settings.from_environment().aws_environment()
        return Place(BUCKET, REGION)
    target = load_target(environment)
    outputs = outputs_of(boto3.client("cloudformation", region_name=target.region), target)
    return Place(outputs["MlBucket"], target.region)


def show(lines: Sequence[Line], month: str, console: Console) -> None:
    if not lines:
        console.print(f"nothing of {month} is recorded")
        return
    table = Table(
        *(Column(name, overflow="fold") for name in ("model", "Dag", "kind")),
        *(Column(name, justify="right") for name in ("jobs", "instance-hours", "USD")),
    )
    for line in lines:
        usd = "no price" if line.usd is None else f"{line.usd:.4f}"
        table.add_row(line.model, line.dag_id, line.kind, str(line.jobs or "–"), f"{line.hours:.2f}", usd)
    console.print(table)
    total = sum_of(lines)
    price = "at a price that is not known for all of them (account.yaml)" if total is None else f"{total:.2f} USD"
    console.print(f"{month}: {price}", soft_wrap=True)


def show_bill(lines: Sequence[Line], bill: Bill, console: Console) -> None:
    """What AWS bills, beside it."""
    if bill.why_not:
        console.print(f"Cost Explorer did not answer: {bill.why_not}", style="yellow", soft_wrap=True)
        return
    for model, usd in by_model(lines).items():
        reckoned = "no price" if usd is None else f"{usd:.2f} USD"
        console.print(f"{model}: {reckoned}; AWS bills {bill.usd.get(model, 0.0):.2f} USD so far", soft_wrap=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--month", default=months(today())[0], help="such as 2026-11; default: this month")
    parser.add_argument("environment", nargs="?", default="")
    asked = parser.parse_args(argv)
    if not re.fullmatch(r"\d{4}-\d{2}", asked.month):
        parser.error(f"'{asked.month}' is not a month such as 2026-11")
    logging.disable(logging.INFO)  # botocore's own: what is printed is the answer alone
    try:
        place = place_of(asked.environment)
        store = Store(boto3.client("s3", region_name=place.region), place.bucket)
        models = sorted(model_names())
        indexes = store.indexes(models)
        usage = aws_of(place, store).usage(indexes, asked.month)
        served = endpoints_of(indexes, asked.month, place.region, datetime.now(UTC), usage)
        lines, console = roll_up(store.costs(models, asked.month), served), screen()
        show(lines, asked.month, console)
        if usage is None:
            console.print(NOT_MEASURED, style="yellow", soft_wrap=True)
        if asked.environment:
            show_bill(lines, of_month(asked.month), console)
    except (SettingsError, TargetError, ClientError, BotoCoreError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
