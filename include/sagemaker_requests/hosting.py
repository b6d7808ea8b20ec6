"""SageMaker Models: what endpoints and transform jobs serve from."""

from __future__ import annotations

from include.config import MlEnvironment
from include.models.config import ModelConfig
from include.sagemaker_requests.common import Request, group_name, tag_list, vpc


def hosted_model(model: ModelConfig, environment: MlEnvironment, *, image: str, artifact: str) -> Request:
    """A Model of one version; the operator completes ``ModelName`` by a digest of the rest.

    Image and artifact are named rather than the model package, which SageMaker would refuse for a version whose
    approval was taken back since: its days can be scored again all the same.

    Args:
        image: the image that the version was registered with.
        artifact: S3 URI of its model.tar.gz.
    """
    request: Request = {
        "ModelName": group_name(model),
        "PrimaryContainer": {"Image": image, "ModelDataUrl": artifact},
        "ExecutionRoleArn": environment.role_arn,
        "Tags": tag_list({**environment.tags, "model": model.name, "owner": model.owner}),
    }
    return {**request, "VpcConfig": vpc(environment)} if environment.subnets else request
