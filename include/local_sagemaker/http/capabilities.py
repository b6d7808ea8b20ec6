"""What this server does with each member of a request: execute it, refuse it, or accept it without effect.

Nothing is ignored silently: a member not listed here is refused by name, so members of a newer botocore are refused
until they are added. The server checks requests against this table; README's lists and the page are generated from it.

A line names members as in ``S3Input{S3Uri LocalPath}``; ``{*}`` stands for all below. A refused value is
``path=value``. An operation without a line executes every member, which holds for Describe, Delete and Stop.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from botocore.model import ListShape, Shape, StructureShape

from include.local_sagemaker.core.errors import ValidationException
from include.local_sagemaker.core.store import Json, JsonValue
from include.local_sagemaker.http import api_model

Support = Literal["executed", "refused", "without effect"]


@dataclass(frozen=True)
class _Members:
    executed: str
    without_effect: str = ""
    refused_values: str = ""


_VARIANT = "VariantName ModelName InitialInstanceCount InstanceType InitialVariantWeight"
_VARIANT += " ContainerStartupHealthCheckTimeoutInSeconds"
_VARIANT_IDLE = "VolumeSizeInGB ModelDataDownloadTimeoutInSeconds VariantInstanceProvisionTimeoutInSeconds"
_VARIANT_IDLE += " CoreDumpConfig{*} EnableSSMAccess InferenceAmiVersion RoutingConfig{RoutingStrategy}"
_DEPLOYMENT = (
    "DeploymentConfig{BlueGreenUpdatePolicy{*} AutoRollbackConfiguration{*}"
    " RollingUpdatePolicy{MaximumBatchSize{*} WaitIntervalInSeconds MaximumExecutionTimeoutInSeconds}}"
)
_DEPLOYMENT_IDLE = "DeploymentConfig{RollingUpdatePolicy{RollbackMaximumBatchSize{*}}}"
_MODEL_SOURCE = "S3DataSource{S3Uri S3DataType CompressionType}"
_CONTAINER = f"Image ModelDataUrl ModelDataSource{{{_MODEL_SOURCE}}} Environment ModelPackageName"
_CONTAINER += " InferenceSpecificationName Mode"
_CONTAINER_IDLE = "ContainerHostname ImageConfig{*} ModelDataSource{S3DataSource{ETag ManifestEtag}}"
_CHANNEL = "InputDataConfig{ChannelName ContentType InputMode RecordWrapperType CompressionType DataSource{"
_CHANNEL += "S3DataSource{S3DataType S3Uri S3DataDistributionType}}}"
_CHANNEL_VALUES = (
    "InputDataConfig.InputMode=Pipe InputDataConfig.CompressionType=Gzip InputDataConfig.RecordWrapperType=RecordIO"
    " InputDataConfig.DataSource.S3DataSource.S3DataType=AugmentedManifestFile"
    " InputDataConfig.DataSource.S3DataSource.S3DataType=Converse AlgorithmSpecification.TrainingInputMode=Pipe"
)
_NETWORK_IDLE = "VpcConfig{*} EnableNetworkIsolation EnableInterContainerTrafficEncryption"
_DEFINITION = (
    "DefinitionName TuningObjective{*} StaticHyperParameters RoleArn OutputDataConfig{*} CheckpointConfig{*}"
    " Environment AlgorithmSpecification{TrainingImage AlgorithmName TrainingInputMode MetricDefinitions{*}}"
    " ResourceConfig{InstanceType InstanceCount InstanceGroups{*} KeepAlivePeriodInSeconds}"
    " HyperParameterTuningResourceConfig{InstanceType InstanceCount InstanceConfigs{*}}"
    " StoppingCondition{MaxRuntimeInSeconds MaxWaitTimeInSeconds}"
    " HyperParameterRanges{IntegerParameterRanges{*} ContinuousParameterRanges{*} CategoricalParameterRanges{*}} "
) + _CHANNEL
_DEFINITION_IDLE = (
    "EnableManagedSpotTraining RetryStrategy{*} InputDataConfig{ShuffleConfig{*}}"
    " ResourceConfig{VolumeSizeInGB VolumeKmsKeyId}"
    " HyperParameterTuningResourceConfig{VolumeSizeInGB VolumeKmsKeyId AllocationStrategy}"
    " StoppingCondition{MaxPendingTimeInSeconds} "
) + _NETWORK_IDLE


def _below(parent: str, values: str) -> str:
    return " ".join(f"{parent}.{value}" for value in values.split())


_TABLE: dict[str, _Members] = {
    "CreateProcessingJob": _Members(
        "ProcessingJobName RoleArn AppSpecification{*} Environment StoppingCondition{*} Tags{*}"
        " ProcessingResources{ClusterConfig{InstanceCount InstanceType}}"
        " ProcessingInputs{InputName AppManaged S3Input{S3Uri LocalPath S3DataType S3InputMode S3DataDistributionType"
        " S3CompressionType}} ProcessingOutputConfig{Outputs{OutputName AppManaged S3Output{*}} KmsKeyId}",
        "ProcessingResources{ClusterConfig{VolumeSizeInGB VolumeKmsKeyId}} NetworkConfig{*} ExperimentConfig{*}",
        "ProcessingInputs.S3Input.S3InputMode=Pipe ProcessingInputs.S3Input.S3CompressionType=Gzip",
    ),
    "CreateTrainingJob": _Members(
        "TrainingJobName RoleArn HyperParameters Environment OutputDataConfig{*} CheckpointConfig{*} Tags{*}"
        " AlgorithmSpecification{TrainingImage AlgorithmName TrainingInputMode MetricDefinitions{*}"
        " ContainerEntrypoint ContainerArguments}"
        " ResourceConfig{InstanceType InstanceCount InstanceGroups{*} KeepAlivePeriodInSeconds}"
        f" StoppingCondition{{MaxRuntimeInSeconds MaxWaitTimeInSeconds}} {_CHANNEL}",
        "ResourceConfig{VolumeSizeInGB VolumeKmsKeyId} InputDataConfig{ShuffleConfig{*}}"
        " AlgorithmSpecification{EnableSageMakerMetricsTimeSeries TrainingImageConfig{*}} EnableManagedSpotTraining"
        " StoppingCondition{MaxPendingTimeInSeconds} RetryStrategy{*} ExperimentConfig{*} ProfilerConfig{*}"
        " ProfilerRuleConfigurations{*} DebugHookConfig{*} RemoteDebugConfig{*} InfraCheckConfig{*}"
        f" SessionChainingConfig{{*}} {_NETWORK_IDLE}",
        _CHANNEL_VALUES,
    ),
    "CreateTransformJob": _Members(
        "TransformJobName ModelName MaxConcurrentTransforms ModelClientConfig{*} MaxPayloadInMB BatchStrategy"
        " Environment TransformInput{*} TransformOutput{*} TransformResources{InstanceType InstanceCount}"
        " DataProcessing{*} Tags{*}",
        "TransformResources{VolumeKmsKeyId TransformAmiVersion} ExperimentConfig{*}",
        "TransformInput.DataSource.S3DataSource.S3DataType=AugmentedManifestFile"
        " TransformInput.DataSource.S3DataSource.S3DataType=Converse"
        " TransformInput.SplitType=RecordIO TransformInput.SplitType=TFRecord",
    ),
    "CreateHyperParameterTuningJob": _Members(
        "HyperParameterTuningJobName Tags{*} HyperParameterTuningJobConfig{Strategy RandomSeed ResourceLimits{*}"
        " TrainingJobEarlyStoppingType HyperParameterTuningJobObjective{*} ParameterRanges{IntegerParameterRanges{*}"
        " ContinuousParameterRanges{*} CategoricalParameterRanges{*}}"
        " TuningJobCompletionCriteria{TargetObjectiveMetricValue BestObjectiveNotImproving{*}}}"
        f" TrainingJobDefinition{{{_DEFINITION}}} TrainingJobDefinitions{{{_DEFINITION}}}",
        "HyperParameterTuningJobConfig{StrategyConfig{*}}"
        f" TrainingJobDefinition{{{_DEFINITION_IDLE}}} TrainingJobDefinitions{{{_DEFINITION_IDLE}}}",
        f"{_below('TrainingJobDefinition', _CHANNEL_VALUES)} {_below('TrainingJobDefinitions', _CHANNEL_VALUES)}",
    ),
    "CreateModel": _Members(
        f"ModelName ExecutionRoleArn Tags{{*}} PrimaryContainer{{{_CONTAINER}}} Containers{{{_CONTAINER}}}"
        " InferenceExecutionConfig{*}",
        f"VpcConfig{{*}} EnableNetworkIsolation PrimaryContainer{{{_CONTAINER_IDLE}}} Containers{{{_CONTAINER_IDLE}}}",
        "PrimaryContainer.Mode=MultiModel Containers.Mode=MultiModel InferenceExecutionConfig.Mode=Direct",
    ),
    "CreateEndpointConfig": _Members(
        f"EndpointConfigName Tags{{*}} DataCaptureConfig{{*}} ShadowProductionVariants{{{_VARIANT}}}"
        f" ProductionVariants{{{_VARIANT} ServerlessConfig{{MemorySizeInMB MaxConcurrency}}}}",
        f"KmsKeyId MetricsConfig{{*}} ShadowProductionVariants{{{_VARIANT_IDLE}}}"
        f" ProductionVariants{{{_VARIANT_IDLE} ServerlessConfig{{ProvisionedConcurrency}}}}",
    ),
    "CreateEndpoint": _Members(f"EndpointName EndpointConfigName Tags{{*}} {_DEPLOYMENT}", _DEPLOYMENT_IDLE),
    "UpdateEndpoint": _Members(
        "EndpointName EndpointConfigName RetainAllVariantProperties ExcludeRetainedVariantProperties{*}"
        f" RetainDeploymentConfig {_DEPLOYMENT}",
        _DEPLOYMENT_IDLE,
    ),
    "UpdateEndpointWeightsAndCapacities": _Members(
        "EndpointName DesiredWeightsAndCapacities{VariantName DesiredWeight DesiredInstanceCount}"
    ),
    "CreateModelPackageGroup": _Members("ModelPackageGroupName ModelPackageGroupDescription Tags{*}"),
    "CreateModelPackage": _Members(
        "ModelPackageName ModelPackageGroupName ModelPackageDescription ModelPackageRegistrationType"
        " InferenceSpecification{*} AdditionalInferenceSpecifications{*} SourceAlgorithmSpecification{*} Tags{*}"
        " ModelApprovalStatus MetadataProperties{*} ModelMetrics{*} ClientToken Domain Task SamplePayloadUrl"
        " CustomerMetadataProperties DriftCheckBaselines{*} SourceUri ModelCard{*} ModelLifeCycle{*}",
        "CertifyForMarketplace SkipModelValidation SecurityConfig{*}",
    ),
    "UpdateModelPackage": _Members(
        "ModelPackageArn ModelApprovalStatus ModelPackageRegistrationType ApprovalDescription"
        " CustomerMetadataProperties CustomerMetadataPropertiesToRemove AdditionalInferenceSpecificationsToAdd{*}"
        " InferenceSpecification{*} SourceUri ModelCard{*} ModelLifeCycle{*}",
        "ClientToken",
    ),
    "DescribeModelPackage": _Members("ModelPackageName", "IncludedData"),
    "ListModelPackageGroups": _Members(
        "CreationTimeAfter CreationTimeBefore MaxResults NameContains NextToken SortBy SortOrder"
        " CrossAccountFilterOption",
        "",
        "CrossAccountFilterOption=CrossAccount",
    ),
    "ListTrainingJobs": _Members(
        "NextToken MaxResults CreationTimeAfter CreationTimeBefore LastModifiedTimeAfter LastModifiedTimeBefore"
        " NameContains StatusEquals SortBy SortOrder"
    ),
    "Search": _Members(
        "Resource SearchExpression{*} SortBy SortOrder NextToken MaxResults CrossAccountFilterOption",
        "",
        "CrossAccountFilterOption=CrossAccount",
    ),
    "InvokeEndpoint": _Members(
        "EndpointName Body ContentType Accept CustomAttributes TargetVariant InferenceId", "PrefixAwareId"
    ),
}


def check(operation: str, request: Json) -> None:
    """Raises ValidationException that names every member of the request which is not supported here.

    Members that ask for nothing (an empty list or structure, false) are no reason to refuse a request.
    """
    root = api_model.operation_model(operation).input_shape
    if operation not in _TABLE or root is None:
        return
    refused = sorted(set(_refused(operation, root, request, "")))
    if refused:
        raise ValidationException(
            f"{operation}: the local SageMaker does not support {', '.join(refused)}, and refuses what it would"
            " otherwise ignore."
        )


def _refused(operation: str, shape: Shape, value: JsonValue, path: str) -> Iterator[str]:
    match shape, value:
        case ListShape(), list():
            for item in value:
                yield from _refused(operation, shape.member, item, path)
        case StructureShape(), dict():
            for name, item in value.items():
                below = f"{path}.{name}" if path else name
                if support(operation, below) != "refused":
                    yield from _refused(operation, shape.members[name], item, below)
                elif item not in ([], {}, False):
                    yield below
        case _ if f"{path}={value}" in _refused_values(operation):
            yield f"{path} {value}"


def support(operation: str, path: str) -> Support:
    """What is done with a member; ``path`` as in ``ProductionVariants.ServerlessConfig``, lists left out."""
    if operation not in _TABLE:
        return "executed"
    names = path.split(".")
    covering = {path, *(".".join([*names[:count], "*"]) for count in range(1, len(names)))}
    if covering & _paths(_TABLE[operation].executed):
        return "executed"
    return "without effect" if covering & _paths(_TABLE[operation].without_effect) else "refused"


def members(operation: str) -> Iterator[tuple[str, Support]]:
    """Every member of the operation's request with what is done with it; what lies below a refused or ineffective
    member, or below ``{*}``, is not listed separately. A refused value comes as ``path=value``."""
    root = api_model.operation_model(operation).input_shape
    if root is not None:
        yield from _members(operation, root, "")
    for value in sorted(_refused_values(operation)):
        yield value, "refused"


def _members(operation: str, shape: StructureShape, path: str) -> Iterator[tuple[str, Support]]:
    line = _TABLE.get(operation, _Members(""))
    named = _paths(line.executed) | _paths(line.without_effect)
    for name, member in shape.members.items():
        below = f"{path}.{name}" if path else name
        inner = member.member if isinstance(member, ListShape) else member
        deeper = any(one.startswith(f"{below}.") and one != f"{below}.*" for one in named)
        if deeper and isinstance(inner, StructureShape):
            yield from _members(operation, inner, below)
        else:
            yield below, support(operation, below)


@functools.cache
def _refused_values(operation: str) -> frozenset[str]:
    return frozenset(_TABLE[operation].refused_values.split()) if operation in _TABLE else frozenset()


@functools.cache
def _paths(line: str) -> frozenset[str]:
    """``A{B C{*}} D`` as A, A.B, A.C, A.C.*, D."""
    found: set[str] = set()
    stack: list[str] = []
    last = ""
    for word in re.findall(r"[\w*]+|[{}]", line):
        if word == "{":
            stack.append(last)
        elif word == "}":
            stack.pop()
        else:
            last = word
            found.add(".".join([*stack, word]))
    return frozenset(found)
