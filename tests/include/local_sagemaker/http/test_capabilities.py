"""Each member of a request is executed, known to have no effect, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting
from tests.include.local_sagemaker.job_requests import processing, training
from tests.include.local_sagemaker.local_server import IMAGE, ROLE

Json = dict[str, Any]


def _merged(request: Json, path: str, value: Any) -> Json:
    """The request with one more member; in a list, the first item gets it."""
    name, _, rest = path.partition(".")
    below = request.get(name)
    if not rest:
        return {**request, name: value}
    inner = _merged(below[0] if isinstance(below, list) else below or {}, rest, value)
    return {**request, name: [inner] if isinstance(below, list) else inner}


TRAINING: list[tuple[str, Any]] = [
    ("TensorBoardOutputConfig", {"S3OutputPath": "s3://ml-local/tb"}),
    (
        "DebugRuleConfigurations",
        [{"RuleConfigurationName": "r", "RuleEvaluatorImage": IMAGE}],
    ),
    (
        "MlflowConfig",
        {"MlflowResourceArn": f"arn:aws:sagemaker:us-east-1:123456789012:mlflow-tracking-server/{'m' * 4}"},
    ),
    ("ResourceConfig.TrainingPlanArn", "arn:aws:sagemaker:us-east-1:123456789012:training-plan/plan"),
    ("AlgorithmSpecification.TrainingInputMode", "Pipe"),
    ("InputDataConfig.InputMode", "Pipe"),
    ("InputDataConfig.CompressionType", "Gzip"),
    ("InputDataConfig.RecordWrapperType", "RecordIO"),
    ("InputDataConfig.DataSource.S3DataSource.S3DataType", "AugmentedManifestFile"),
    ("InputDataConfig.DataSource.S3DataSource.AttributeNames", ["a"]),
    ("InputDataConfig.DataSource.S3DataSource.InstanceGroupNames", ["a"]),
    (
        "InputDataConfig.DataSource.FileSystemDataSource",
        {
            "FileSystemId": "fs-0123456789a",
            "FileSystemAccessMode": "ro",
            "FileSystemType": "EFS",
            "DirectoryPath": "/data",
        },
    ),
]


@pytest.mark.parametrize(("path", "value"), TRAINING, ids=[path for path, _ in TRAINING])
def test_training(sagemaker: Any, names: Callable[[str], str], path: str, value: Any) -> None:
    request = _merged(training(names("no"), ["true"], channels={"data": "s3://ml-local/x"}), path, value)
    with pytest.raises(ClientError, match=rf"does not support.* {path}"):
        sagemaker.create_training_job(**request)


PROCESSING: list[tuple[str, Any]] = [
    ("ProcessingInputs.S3Input.S3InputMode", "Pipe"),
    ("ProcessingInputs.S3Input.S3CompressionType", "Gzip"),
    (
        "ProcessingInputs.DatasetDefinition",
        {
            "AthenaDatasetDefinition": {
                "Catalog": "c",
                "Database": "d",
                "QueryString": "q",
                "OutputS3Uri": "s3://ml-local/q",
                "OutputFormat": "PARQUET",
            }
        },
    ),
    ("ProcessingOutputConfig.Outputs.FeatureStoreOutput", {"FeatureGroupName": "features"}),
]


@pytest.mark.parametrize(("path", "value"), PROCESSING, ids=[path for path, _ in PROCESSING])
def test_processing(sagemaker: Any, names: Callable[[str], str], path: str, value: Any) -> None:
    folders = {"inputs": {"data": "s3://ml-local/x"}, "outputs": {"out": "s3://ml-local/y"}}
    with pytest.raises(ClientError, match=rf"does not support.* {path}"):
        sagemaker.create_processing_job(**_merged(processing(names("no"), ["true"], **folders), path, value))


CONTAINER: list[tuple[str, Any]] = [
    ("PrimaryContainer.Mode", "MultiModel"),
    ("PrimaryContainer.MultiModelConfig", {"ModelCacheSetting": "Enabled"}),
    ("InferenceExecutionConfig", {"Mode": "Direct"}),
    (
        "PrimaryContainer.AdditionalModelDataSources",
        [
            {
                "ChannelName": "draft",
                "S3DataSource": {"S3Uri": "s3://b/k/", "S3DataType": "S3Prefix", "CompressionType": "None"},
            }
        ],
    ),
]


@pytest.mark.parametrize(("path", "value"), CONTAINER, ids=[path for path, _ in CONTAINER])
def test_models(sagemaker: Any, names: Callable[[str], str], path: str, value: Any) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": ARTIFACT}
    request = {"ModelName": names("no"), "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    with pytest.raises(ClientError, match=rf"does not support.* {path}"):
        sagemaker.create_model(**_merged(request, path, value))


ENDPOINT_CONFIG: list[tuple[str, Any]] = [
    ("AsyncInferenceConfig", {"OutputConfig": {"S3OutputPath": "s3://ml-local/async"}}),
    ("ExplainerConfig", {"ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {"ShapBaseline": "1"}}}}),
    ("ProductionVariants.AcceleratorType", "ml.eia2.medium"),
    ("ProductionVariants.ManagedInstanceScaling", {"Status": "ENABLED", "MinInstanceCount": 1, "MaxInstanceCount": 2}),
    ("VpcConfig", {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}),
    ("EnableNetworkIsolation", True),
]


@pytest.mark.parametrize(("path", "value"), ENDPOINT_CONFIG, ids=[path for path, _ in ENDPOINT_CONFIG])
def test_endpoint_configurations(sagemaker: Any, names: Callable[[str], str], path: str, value: Any) -> None:
    variant = {"VariantName": "A", "ModelName": "none", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    request = {"EndpointConfigName": names("no"), "ProductionVariants": [variant]}
    with pytest.raises(ClientError, match=rf"does not support.* {path}"):
        sagemaker.create_endpoint_config(**_merged(request, path, value))


@pytest.mark.parametrize(
    "member",
    [
        {"TargetModel": "a.tar.gz"},
        {"TargetContainerHostname": "a"},
        {"EnableExplanations": "`true`"},
        {"SessionId": "a"},
        {"InferenceComponentName": "a"},
    ],
    ids=str,
)
def test_invocations(hosting: Hosting, member: dict[str, str]) -> None:
    with pytest.raises(ClientError, match=rf"does not support {next(iter(member))}"):
        hosting.invoke("any", **member)


@pytest.mark.parametrize("header", [{"CustomAttributes": "a" * 1025}, {"TargetVariant": "a b"}, {"InferenceId": " "}])
def test_headers_have_the_constraints_of_the_model(hosting: Hosting, header: dict[str, str]) -> None:
    with pytest.raises(ClientError, match=r"ValidationError.*failed to satisfy constraint"):
        hosting.invoke("any", **header)


def test_what_asks_for_nothing_is_not_a_reason(sagemaker: Any, names: Callable[[str], str]) -> None:
    sagemaker.create_training_job(**training(names("empty"), ["true"], DebugRuleConfigurations=[]))


def test_the_table_names_members_that_there_are() -> None:
    """According to the server's botocore, which may differ from that of these tests."""
    import subprocess

    from tests.include.local_sagemaker.local_server import ROOT

    program = """
from include.local_sagemaker import server
from include.local_sagemaker.http import api_model, capabilities, routing
def exists(shape, names):
    shape = shape.member if shape.type_name == "list" else shape
    if not names or names == ["*"]:
        return True
    return shape.type_name == "structure" and names[0] in shape.members and exists(shape.members[names[0]], names[1:])
for operation, line in capabilities._TABLE.items():
    shape = api_model.operation_model(operation).input_shape
    values = {value.partition("=")[0] for value in capabilities._refused_values(operation)}
    for path in capabilities._paths(line.executed) | capabilities._paths(line.without_effect) | values:
        assert exists(shape, path.split(".")), (operation, path)
    known = dict(capabilities.members(operation))
    assert set(known.values()) <= {"executed", "refused", "without effect"}
for operation in routing.operation_names():
    assert operation in capabilities._TABLE or not operation.startswith(("Create", "Update")), operation
def compiled(shape, seen):
    if shape.name in seen:
        return
    seen.add(shape.name)
    if "pattern" in shape.metadata:
        api_model._compile(shape.metadata["pattern"])
    inner = {"structure": lambda: shape.members.values(), "list": lambda: [shape.member],
             "map": lambda: [shape.key, shape.value]}.get(shape.type_name, list)()
    for member in inner:
        compiled(member, seen)
seen = set()
for service in ("sagemaker", "sagemaker-runtime"):
    model = api_model._service(service)
    for name in model.operation_names:
        compiled(model.operation_model(name).input_shape, seen) if model.operation_model(name).input_shape else None
print(len(seen))
"""
    python = ROOT / ".venv" / "local_sagemaker" / "bin" / "python"
    done = subprocess.run([str(python), "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1000  # shapes whose pattern is understood
