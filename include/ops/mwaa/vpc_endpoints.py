"""The template of the VPC's endpoints: AWS's services reached without leaving AWS's network, by the account's own
principals, and of S3 the account's own buckets alone. Made here, as each endpoint says the same.

    python -m include.ops.mwaa.vpc_endpoints     prints it, for linters
"""

from __future__ import annotations

import json

from include.ops import Json

# MWAA itself calls these of its own accounts, in ways that AWS does not describe: nobody is kept out here
OF_MWAA = ("airflow.api", "airflow.env")
SERVICES = (
    "sagemaker.api",
    "sagemaker.runtime",
    "logs",
    "monitoring",
    "sqs",
    "sns",
    "ecr.api",
    "ecr.dkr",
    "secretsmanager",
    "events",
    "kms",
    "sts",
    "application-autoscaling",
    # the way in: see WayIn in network.yaml
    "ssm",
    "ssmmessages",
)
PULLS = ("ecr.api", "ecr.dkr")  # MWAA's images are pulled by MWAA
OWN: Json = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}


def vpc_endpoints() -> Json:
    """The template."""
    endpoints = {_logical(service): _interface(service) for service in (*OF_MWAA, *SERVICES)}
    mlflow = _interface("experiments", "aws.sagemaker.${AWS::Region}.experiments")
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "AWS's services, reached from the VPC without leaving AWS's network.",
        "Parameters": {
            "Name": {
                "Type": "String",
                "Description": "Name of the Airflow environment; everything of it is called after it.",
                "AllowedPattern": "[a-z][a-z0-9-]{1,24}",
            },
            "Mlflow": {
                "Type": "String",
                "Default": "no",
                "AllowedValues": ["yes", "no"],
                "Description": "Whether jobs reach a managed MLflow server, which is about 15 USD a month",
            },
        },
        "Conditions": {"WithMlflow": {"Fn::Equals": [{"Ref": "Mlflow"}, "yes"]}},
        "Resources": {
            "S3Endpoint": _s3(),
            "DynamodbEndpoint": _gateway("dynamodb", [_allow("*", "*", OWN)]),  # the online service's feature state
            **endpoints,
            "MlflowEndpoint": {"Condition": "WithMlflow", **mlflow},
        },
    }


def _logical(service: str) -> str:
    return "".join(word.title() for word in service.replace("-", ".").split(".")) + "Endpoint"


def _import(name: str) -> Json:
    return {"Fn::ImportValue": {"Fn::Sub": f"${{Name}}-{name}"}}


def _interface(service: str, name: str = "") -> Json:
    properties: Json = {
        "VpcId": _import("vpc"),
        "VpcEndpointType": "Interface",
        "ServiceName": {"Fn::Sub": name or f"com.amazonaws.${{AWS::Region}}.{service}"},
        "PrivateDnsEnabled": True,
        "SubnetIds": {"Fn::Split": [",", _import("private-subnets")]},
        "SecurityGroupIds": [_import("endpoints-security-group")],
    }
    if service not in OF_MWAA:
        statements = [_allow("*", "*", OWN)]
        if service in PULLS:
            pulling = ["ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage"]
            statements.append(_allow([*pulling, "ecr:GetDownloadUrlForLayer"], "*"))
        properties["PolicyDocument"] = {"Version": "2012-10-17", "Statement": statements}
    return {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}


def _s3() -> Json:
    own_buckets: Json = {"StringEquals": {"aws:ResourceAccount": {"Ref": "AWS::AccountId"}}}
    layers = {"Fn::Sub": "arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*"}  # of ECR's images
    return _gateway("s3", [_allow("s3:*", "*", own_buckets), _allow("s3:GetObject", layers)])


def _gateway(service: str, statements: list[Json]) -> Json:
    """These cost nothing."""
    return {
        "Type": "AWS::EC2::VPCEndpoint",
        "Properties": {
            "VpcId": _import("vpc"),
            "VpcEndpointType": "Gateway",
            "ServiceName": {"Fn::Sub": f"com.amazonaws.${{AWS::Region}}.{service}"},
            "RouteTableIds": [_import("private-routes")],
            "PolicyDocument": {"Version": "2012-10-17", "Statement": statements},
        },
    }


def _allow(actions: str | list[str], resource: str | Json, condition: Json | None = None) -> Json:
    statement: Json = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


if __name__ == "__main__":
    print(json.dumps(vpc_endpoints(), indent=2))
