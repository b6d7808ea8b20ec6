"""``.local/aws.env``: a file for shells to source, to use the local AWS; written by ``make up``.

One file for boto3, the AWS CLI and SageMaker's SDKs 2 and 3. Its credentials are a session of the jobs' role, because
the SDKs derive the execution role from their identity (``get_execution_role``).
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from botocore.exceptions import ClientError

from include.ops.local_stack.seed import aws_client
from include.ops.local_stack.settings import NAME, Settings

ROLE = f"{NAME}-jobs"
_SDK = Path(__file__).with_name("sdk")  # its sitecustomize sends the SDKs' calls of STS to the local AWS
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def write_aws_env(settings: Settings) -> Path:
    """Writes the file for a stack whose local AWS runs; it is valid until the stack's state is cleared."""
    values = {**settings.aws_environment(), **_session(settings)}
    lines = [
        "# written by make up; to be sourced by a shell",
        *(f"export {key}={shlex.quote(value)}" for key, value in values.items()),
        "unset AWS_PROFILE AWS_DEFAULT_PROFILE",
        f"export PYTHONPATH={shlex.quote(str(_SDK))}${{PYTHONPATH:+:$PYTHONPATH}}",
    ]
    file = settings.home / "aws.env"
    file.touch(mode=0o600)
    file.write_text("\n".join([*lines, ""]))
    return file


def _session(settings: Settings) -> dict[str, str]:
    iam, sts = (aws_client(settings, service) for service in ("iam", "sts"))
    try:
        role = iam.get_role(RoleName=ROLE)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]
    given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="sdk")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
