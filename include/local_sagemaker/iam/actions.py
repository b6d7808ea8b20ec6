"""What a request asks IAM for: its actions, with their resources and condition keys."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote
from wsgiref.types import WSGIEnvironment

from include.local_sagemaker.core.store import ACCOUNT, Json
from include.local_sagemaker.iam.policies import Action, Context

_PREFIXES = {"monitoring": "cloudwatch"}  # IAM's name of a service, if it differs from the signing name
_SAGEMAKER_ARNS = {
    "ProcessingJob": "processing-job",
    "TrainingJob": "training-job",
    "HyperParameterTuningJob": "hyper-parameter-tuning-job",
    "TransformJob": "transform-job",
    "Model": "model",
    "EndpointConfig": "endpoint-config",
    "Endpoint": "endpoint",
    "ModelPackageGroup": "model-package-group",
}
_ROLES = ("RoleArn", "ExecutionRoleArn")
# required on both the configuration and the endpoint
_OF_CONFIGURATIONS = ("CreateEndpoint", "UpdateEndpoint")
# what follows "Resource" in this service's ARNs, by the parameter that names it
_NAMED_BY = {
    "sqs": {"QueueUrl": "{last}", "QueueName": "{}"},
    "sns": {"TopicArn": "arn", "TargetArn": "arn"},
    "cloudwatch": {"AlarmName": "alarm:{}", "AlarmNames": "alarm:{}"},
    "logs": {"logGroupName": "log-group:{}:log-stream:"},
    # AWS appends six characters to a secret's name
    "secretsmanager": {"SecretId": "secret:{}-000000"},  # pragma: allowlist secret
    "ssm": {"Name": "parameter{slash}{}", "Names": "parameter{slash}{}"},
    "kms": {"KeyId": "key/{}"},
    "ecr": {"repositoryName": "repository/{}"},
    "sts": {"RoleArn": "arn"},
    "application-autoscaling": {"ServiceNamespace": "scalable-target/any"},
}


def actions_of(environ: WSGIEnvironment, region: str, service: str, body: bytes) -> list[Action]:
    """Every action that must be allowed for this request."""
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    path = unquote(environ.get("PATH_INFO", ""))
    if target.startswith("SageMaker."):
        return list(_sagemaker_actions(target.removeprefix("SageMaker."), _json(body), region))
    if invoked := re.fullmatch(r"/endpoints/([^/]+)/invocations", path):
        return [Action("sagemaker:InvokeEndpoint", _arn("sagemaker", region, f"endpoint/{invoked[1]}"))]
    if service == "s3":
        return list(_s3_actions(environ, path, body))
    if target:
        operation, parameters = target.rpartition(".")[2], _json(body)
    elif rpc := re.fullmatch(r"/service/[^/]+/operation/([^/]+)", path):
        operation, parameters = rpc[1], _cbor(body)
    else:
        parameters = _query(environ, body)
        operation = str(parameters.get("Action", "?"))
    return list(_other_actions(_PREFIXES.get(service, service), operation, parameters, region))


def _arn(service: str, region: str, resource: str) -> str:
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def _sagemaker_actions(operation: str, request: Json, region: str) -> Iterator[Action]:
    context = dict(_tag_context(request.get("Tags") or []))
    if status := request.get("ModelApprovalStatus"):
        context["sagemaker:modelapprovalstatus"] = [str(status)]
    for resource in _sagemaker_resources(operation, request, region):
        yield Action(f"sagemaker:{operation}", resource, context)
        if request.get("Tags"):
            yield Action("sagemaker:AddTags", resource, {**context, "sagemaker:taggingaction": [operation]})
    if operation in _OF_CONFIGURATIONS and request.get("EndpointConfigName"):
        configuration = _arn("sagemaker", region, f"endpoint-config/{request['EndpointConfigName'].lower()}")
        yield Action(f"sagemaker:{operation}", configuration, context)
    roles = [request[key] for key in _ROLES if key in request]
    roles += (
        [request["TrainingJobDefinition"]["RoleArn"]] if "RoleArn" in request.get("TrainingJobDefinition", {}) else []
    )
    for role in roles:
        yield Action("iam:PassRole", role, {"iam:passedtoservice": ["sagemaker.amazonaws.com"]})


def _sagemaker_resources(operation: str, request: Json, region: str) -> list[str]:
    if "ResourceArn" in request:
        return [request["ResourceArn"]]
    if operation.startswith("List") and operation != "ListTrainingJobsForHyperParameterTuningJob":
        return ["*"]
    package = request.get("ModelPackageArn") or request.get("ModelPackageName")
    if operation.endswith("ModelPackage"):
        if package:
            return [package if package.startswith("arn:") else _arn("sagemaker", region, f"model-package/{package}")]
        return [_arn("sagemaker", region, f"model-package/{request.get('ModelPackageGroupName', '')}/new")]
    nouns = sorted(_SAGEMAKER_ARNS, key=len, reverse=True)
    noun = next((noun for noun in nouns if noun in operation and f"{noun}Name" in request), None)
    if noun is None:
        return ["*"]
    return [_arn("sagemaker", region, f"{_SAGEMAKER_ARNS[noun]}/{request[f'{noun}Name'].rpartition('/')[2].lower()}")]


def _tag_context(tags: list[Json]) -> Context:
    context = {f"aws:requesttag/{tag['Key'].lower()}": [tag["Value"]] for tag in tags}
    return {**context, "aws:tagkeys": [tag["Key"] for tag in tags]} if tags else {}


def _s3_actions(environ: WSGIEnvironment, path: str, body: bytes) -> Iterator[Action]:
    method = environ["REQUEST_METHOD"]
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    bucket, _, key = path.lstrip("/").partition("/")
    if not bucket:
        yield Action("s3:ListAllMyBuckets")
        return
    arn = f"arn:aws:s3:::{bucket}"
    if not key:
        if "delete" in query:
            for name in re.findall(rb"<Key>(.*?)</Key>", body, re.DOTALL):
                yield Action("s3:DeleteObject", f"{arn}/{name.decode()}")
            return
        yield Action(_bucket_action(method, set(query)), arn, {"s3:prefix": query.get("prefix", [""])})
        return
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        yield Action("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/').partition('?')[0]}")
    yield Action(_object_action(method, set(query)), f"{arn}/{key}")


def _bucket_action(method: str, query: set[str]) -> str:
    for name, action in (("location", "Location"), ("versioning", "Versioning"), ("policy", "Policy")):
        if name in query:
            return f"s3:{'Get' if method == 'GET' else 'Put'}Bucket{action}"
    if "uploads" in query:
        return "s3:ListBucketMultipartUploads"
    if "versions" in query:
        return "s3:ListBucketVersions"
    return {"GET": "s3:ListBucket", "HEAD": "s3:ListBucket", "DELETE": "s3:DeleteBucket"}.get(method, "s3:CreateBucket")


def _object_action(method: str, query: set[str]) -> str:
    if "tagging" in query:
        return f"s3:{method.capitalize()}ObjectTagging"
    if "uploadId" in query and method in ("GET", "DELETE"):
        return "s3:ListMultipartUploadParts" if method == "GET" else "s3:AbortMultipartUpload"
    if method in ("GET", "HEAD"):
        return "s3:GetObjectVersion" if "versionId" in query else "s3:GetObject"
    return "s3:DeleteObject" if method == "DELETE" else "s3:PutObject"


def _other_actions(service: str, operation: str, parameters: Json, region: str) -> Iterator[Action]:
    tags = parameters.get("Tags") or []
    context = dict(_tag_context(tags) if isinstance(tags, list) else {})
    if "Namespace" in parameters and operation == "PutMetricData":
        context["cloudwatch:namespace"] = [parameters["Namespace"]]
    if service == "application-autoscaling":
        context["application-autoscaling:service-namespace"] = [str(parameters.get("ServiceNamespace", ""))]
        if operation.startswith("Describe"):
            parameters = {}
    if operation in ("PutMetricData", "GetMetricData", "GetMetricStatistics", "DescribeLogGroups"):
        parameters = {}
    resources = list(_named_resources(service, parameters, region)) or ["*"]
    for resource in resources:
        yield Action(f"{service}:{operation}", resource, context)


def _named_resources(service: str, parameters: Json, region: str) -> Iterator[str]:
    for key, form in _NAMED_BY.get(service, {}).items():
        for value in _texts(parameters.get(key)):
            if form == "arn" or value.startswith("arn:"):
                yield value
            else:
                yield _arn(service, region, _placed(form, value))


def _placed(form: str, value: str) -> str:
    return form.format(value, last=value.rpartition("/")[2], slash="" if value.startswith("/") else "/")


def _texts(value: object) -> list[str]:
    return [] if value is None else [str(one) for one in (value if isinstance(value, list) else [value])]


def _json(body: bytes) -> Json:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}  # the operation reports what is wrong with it
    return document if isinstance(document, dict) else {}


def _cbor(body: bytes) -> Json:
    document = _cbor_parser()(body) if body else {}
    return document if isinstance(document, dict) else {}


@functools.cache
def _cbor_parser() -> Any:
    """botocore reads CBOR in answers; a request is written the same way."""
    import io

    from botocore.parsers import RpcV2CBORParser

    parser = RpcV2CBORParser()
    return lambda body: parser.parse_data_item(io.BufferedReader(io.BytesIO(body)))


def _query(environ: WSGIEnvironment, body: bytes) -> Json:
    """The query protocol: Action and parameters as a form; lists are ``Name.member.1`` and so on."""
    form = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    form |= parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    parameters: Json = {}
    for key, values in form.items():
        if match := re.fullmatch(r"(\w+)\.member\.\d+", key):
            parameters.setdefault(match[1], []).append(values[0])
        else:
            parameters[key] = values[0]
    return parameters
