"""What SageMaker does as the execution role besides S3 and logs: pull the image, use keys and join a network.

None of it happens on this machine, so only the role's permissions can be missing; they are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from include.local_sagemaker.containers.s3_transfer import TransferError
from include.local_sagemaker.containers.sandbox import UnknownImageError
from include.local_sagemaker.core.errors import AccessDeniedException
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import ACCOUNT, Json

_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com/(?P<repository>[^:@]+)")
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
_INTERFACE = tuple(f"ec2:{verb}NetworkInterface{what}" for verb in ("Create", "Delete") for what in ("", "Permission"))
_DESCRIBED = ("NetworkInterfaces", "Vpcs", "DhcpOptions", "Subnets", "SecurityGroups")


def check_pull(region: Region, image: str) -> None:
    """Raises UnknownImageError for an image of ECR that the role may not pull.

    https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
    """
    found = _ECR.match(image)
    if found is None:
        return
    repository = f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['repository']}"
    try:
        _require(region, [("ecr:GetAuthorizationToken", "*"), *((action, repository) for action in _PULL)])
    except AccessDeniedException as error:
        raise UnknownImageError(f"the image {image} cannot be pulled: {error.message}") from error


def check_keys_and_network(region: Region, *, key: str | None, vpc: Json | None) -> None:
    """Raises TransferError if the role may not write with the output's KMS key, or join the network."""
    wanted = []
    if key:
        arn = key if key.startswith("arn:") else f"arn:aws:kms:{region.name}:{ACCOUNT}:key/{key}"
        wanted += [("kms:GenerateDataKey", arn), ("kms:Decrypt", arn)]  # the latter to assemble parts
    if vpc:
        wanted += [(action, f"arn:aws:ec2:{region.name}:{ACCOUNT}:network-interface/*") for action in _INTERFACE]
        wanted += [(f"ec2:Describe{what}", "*") for what in _DESCRIBED]
    try:
        _require(region, wanted)
    except AccessDeniedException as error:
        raise TransferError(error.message) from error


def _require(region: Region, actions: Iterable[tuple[str, str]]) -> None:
    for action, resource in actions:
        region.service.access.require(region.role, action, resource)
