"""An environment to deploy to: ``environments/<name>.yaml``, and what its stacks on AWS say. No secrets in either."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import yaml
from botocore.exceptions import ClientError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from include.ops import Json

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

FOLDER = Path(__file__).parent / "environments"


class TargetError(ValueError):
    """There is no such environment, or its file or stacks are invalid; the message says what to do."""


class Target(BaseModel):
    """``infrastructure``: parameters of the templates in include/ops/infra. ``ml_environment``: keys of the Airflow
    Variable (include/platform/environment.py) that this environment sets beside those that follow from its stacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,24}$")]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    infrastructure: dict[str, str] = {}
    ml_environment: Json = {}

    @model_validator(mode="after")
    def _what_is_used_is_made(self) -> Self:
        made, used = self.infrastructure.get("RolePerModel") == "yes", bool(self.ml_environment.get("role_per_model"))
        if made != used:
            raise ValueError(
                "infrastructure.RolePerModel makes a role for each model and ml_environment.role_per_model uses it: "
                f"set both or neither (found {made} and {used})"
            )
        tracked = str(self.ml_environment.get("mlflow_tracking_uri", ""))
        if tracked.startswith("arn:") and self.infrastructure.get("Mlflow") != "yes":
            raise ValueError('jobs reach a managed MLflow server by a VPC endpoint: set infrastructure.Mlflow to "yes"')
        return self

    @property
    def parameters(self) -> dict[str, str]:
        return {"Name": self.name, **self.infrastructure}

    def require_filled_in(self) -> None:
        """Raises TargetError if shipped placeholders were not replaced: alarms would be mailed to nobody."""
        mail = self.infrastructure.get("AlertEmail", "")
        if not mail or re.search(r"@(.+\.)?example\.(com|org|net)$", mail):
            raise TargetError(
                f"infrastructure.AlertEmail of {self.name} is '{mail}', a placeholder. Enter the address that "
                "receives failures and alarms (include/ops/mwaa/environments)."
            )


def target_names(folder: Path = FOLDER) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_target(name: str, folder: Path = FOLDER) -> Target:
    """Raises TargetError, which names the file, the key, what was found and what is allowed."""
    file = folder / f"{name}.yaml"
    if not file.is_file():
        raise TargetError(f"There is no environment '{name}'. Known: {', '.join(target_names(folder))} ({folder}).")
    try:
        return Target.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}, found {problem['input']!r}"
            for problem in error.errors()
        )
        raise TargetError(f"{file}: {problems}") from error
    except yaml.YAMLError as error:
        raise TargetError(f"{file} is not valid YAML: {error}") from error


def outputs_of(cloudformation: CloudFormationClient, target: Target) -> dict[str, str]:
    """Outputs of the environment's stacks, by their names in the templates.

    Raises:
        TargetError: a stack does not exist.
    """
    outputs: dict[str, str] = {}
    for template in ("storage", "network", "access"):
        stack = f"{target.name}-{template}"
        try:
            found = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            raise TargetError(f"The stack {stack} does not exist: 'make infra ENV=...' creates it.") from error
        outputs |= {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return outputs
