"""``make infra ENV=...``: puts an environment's CloudFormation stacks in place, in the order in which they stand on
each other, and one for each model. Running it again changes what has changed; the MWAA environment itself takes 20 to
30 minutes the first time."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from include.models.config import model_names
from include.ops.mwaa import templates
from include.ops.mwaa.target import Target, TargetError, load_target, target_names


def stacks(target: Target) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Stack name, template and parameters of all that belongs to an environment."""
    for template in templates.OF_ENVIRONMENT:
        yield f"{target.name}-{template}", template, target.parameters
    for model in model_names():
        group = model.replace("_", "-")
        values = {**target.parameters, "Model": model, "Group": group}
        yield f"{target.name}-model-{group}", templates.OF_MODEL, values


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", help=f"one of: {', '.join(target_names())}")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be put in place")
    arguments = parser.parse_args(argv)
    try:
        target = load_target(arguments.environment)
        cloudformation = boto3.client("cloudformation", region_name=target.region)
        for stack, template, values in stacks(target):
            given = ", ".join(
                f"{one['ParameterKey']}={one['ParameterValue']}" for one in templates.parameters(template, values)
            )
            print(f"{stack} ({template}.yaml: {given})", flush=True)
            if not arguments.dry_run:
                print(f"  {templates.put(cloudformation, template, values, stack)}", flush=True)
    except (TargetError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
