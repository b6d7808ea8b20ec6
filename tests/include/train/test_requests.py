"""Every request validated against botocore's model of the API: types and required fields, lengths, patterns, enums."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import botocore.loaders
import pytest
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

from include.deploy import requests as deploy_requests
from include.models.config import INSTANCE_TYPE, Kafka, KafkaSink, ModelConfig, Sinks, load_model
from include.models.config.files import LINKS
from include.models.quoting import VARIABLE
from include.platform.environment import MlEnvironment
from include.platform.request_parts import Request, RequestError
from include.platform.run_folders import Run
from include.registry import requests as registry
from include.registry.requests import hosted_model
from include.registry.versions import Version
from include.score import sinks
from include.train import requests
from include.train.requests import LONGEST_VARIABLE

MODEL = load_model("predictive_maintenance")
SENDER: ModelConfig = MODEL.model_copy(update={"sinks": Sinks(kafka=KafkaSink(topic="scores"))})
BARE = {
    "bucket": "my-ml-bucket",
    "role_arn": "arn:aws:iam::123456789012:role/ml-jobs",
    "image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml-jobs:1",
    "region": "eu-west-1",
    "code_hash": "0123456789ab",
}
FULL = BARE | {
    "mlflow_tracking_uri": "arn:aws:sagemaker:eu-west-1:123456789012:mlflow-tracking-server/ml",
    "kms_key_id": "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "subnets": ("subnet-1",),
    "security_group_ids": ("sg-1",),
    "spot_training": True,
    "instance_types": {"processing": "ml.m5.2xlarge", "training": "ml.c5.2xlarge"},
    "tags": {"cost-center": "42"},
}
ENVIRONMENTS = [MlEnvironment.model_validate(BARE), MlEnvironment.model_validate(FULL)]
RUN = Run("my-ml-bucket", "train_predictive_maintenance", "manual__2026-11-21T08:20:15.123456+00:00")
PACKAGE = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/predictive-maintenance/3"
KAFKA = Kafka(bootstrap_servers="b-1:9096,b-2:9096", security_protocol="SASL_SSL", secret_id="AmazonMSK_scores")


def with_kafka(environment: MlEnvironment) -> MlEnvironment:
    return environment.model_copy(update={"kafka": KAFKA})


ARTIFACT = "s3://my-ml-bucket/out/job-1/output/model.tar.gz"
VERSION = Version(version=3, model_package_arn="arn", artifact=ARTIFACT)

Build = Callable[[MlEnvironment], Request]
BUILDERS: dict[str, tuple[str, Build]] = {
    "prepare_data": (
        "CreateProcessingJob",
        lambda e: requests.prepare_data(MODEL, e, RUN, data_from="2015-01-01", data_to=None),
    ),
    "cut_data": ("CreateProcessingJob", lambda e: requests.cut_data(MODEL, e, RUN)),
    "prepare_shards": ("CreateProcessingJob", lambda e: requests.prepare_shards(MODEL, e, RUN, data_to="2015-03-01")),
    "merge_shards": ("CreateProcessingJob", lambda e: requests.merge_shards(MODEL, e, RUN, data_to="2015-03-01")),
    "evaluate_model": (
        "CreateProcessingJob",
        lambda e: requests.evaluate_model(MODEL, e, RUN, artifact=ARTIFACT, production=[VERSION]),
    ),
    "track_model_version": (
        "CreateProcessingJob",
        lambda e: requests.track_model_version(MODEL, e, RUN, mlflow_run_id="f" * 32, model_package_arn=PACKAGE),
    ),
    "move_champion_alias": (
        "CreateProcessingJob",
        lambda e: deploy_requests.move_champion_alias(MODEL, e, RUN, model_package_arn=PACKAGE),
    ),
    "check_sink": ("CreateProcessingJob", lambda e: sinks.check_sink(SENDER, with_kafka(e), RUN, "kafka")),
    "send_scores": (
        "CreateProcessingJob",
        lambda e: sinks.send_scores(
            SENDER, with_kafka(e), RUN, "kafka", scores="s3://my-ml-bucket/scores/m/date=2015-08-01/"
        ),
    ),
    "train_model": (
        "CreateTrainingJob",
        lambda e: requests.train_model(
            MODEL, e, RUN, hyperparameters={"num_leaves": 15}, instance_type="ml.m5.4xlarge"
        ),
    ),
    "tune_model": ("CreateHyperParameterTuningJob", lambda e: requests.tune_model(MODEL, e, RUN)),
    "hosted_model": ("CreateModel", lambda e: registry.hosted_model(MODEL, e, image="image:1", artifact=ARTIFACT)),
    "model_package_group": ("CreateModelPackageGroup", lambda e: registry.model_package_group(MODEL, e)),
    "model_package": (
        "CreateModelPackage",
        lambda e: registry.model_package(
            MODEL,
            e,
            RUN,
            artifact=ARTIFACT,
            lineage={"run_id": RUN.run_id},
            evaluation={"metrics": {"f1": 0.9}, "champion": None},
        ),
    ),
}
NAMES = {
    "CreateProcessingJob": "ProcessingJobName",
    "CreateTrainingJob": "TrainingJobName",
    "CreateHyperParameterTuningJob": "HyperParameterTuningJobName",
}


@pytest.fixture(scope="session")
def api() -> ServiceModel:
    return ServiceModel(botocore.loaders.Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def problems(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """What botocore's validator leaves to the server: lengths, ranges, patterns and enums."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            yield from problems(shape.members[name], inner, f"{path}.{name}")
    elif shape.type_name == "list":
        for index, inner in enumerate(value):
            yield from problems(shape.member, inner, f"{path}[{index}]")
    elif shape.type_name == "map":
        for name, inner in value.items():
            yield from problems(shape.key, name, f"{path} key")
            yield from problems(shape.value, inner, f"{path}.{name}")
    size = len(value) if isinstance(value, str | list | dict) else value
    if not shape.metadata.get("min", size) <= size <= shape.metadata.get("max", size):
        yield f"{path}: {value!r} is outside {shape.metadata}"
    if isinstance(value, str):
        yield from text_problems(shape, value, path)


def text_problems(shape: Shape, value: str, path: str) -> Iterator[str]:
    if (pattern := shape.metadata.get("pattern")) and not re.fullmatch(in_python(pattern), value):
        yield f"{path}: {value!r} does not match {pattern}"
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"


def in_python(pattern: str) -> str:
    """Java's classes of characters, of which the API's model has a few, in Python's spelling."""
    classes = {"L": r"\w", "M": r"\w", "N": r"\w", "Z": r"\s", "S": r"$+<=>^`|~", "P": r"!-/:-@\[-`{-}"}
    pattern = re.sub(r"\\p\{([A-Z])\}", lambda found: classes[found[1]], pattern)
    pattern = pattern.replace(r"\p{Print}", "[ -~]")
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", "\U00010000-\U0010ffff")  # surrogate pairs
    return re.sub(r"\$\{\d+,\d+\}$", "", pattern)  # a repeated ending, in the API model's own pattern


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=["bare", "everything set"])
@pytest.mark.parametrize("builder", BUILDERS)
def test_is_what_the_api_takes(api: ServiceModel, builder: str, environment: MlEnvironment) -> None:
    operation, build = BUILDERS[builder]
    request = build(environment)
    if operation in NAMES:
        assert NAMES[operation] not in request, "names are the operators' to choose"
        request = {**request, NAMES[operation]: "a-name"}
    shape = api.operation_model(operation).input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    assert list(problems(shape, request)) == []


def test_the_checker_finds_what_is_wrong(api: ServiceModel) -> None:
    request = {**requests.prepare_data(MODEL, ENVIRONMENTS[0], RUN), "ProcessingJobName": "under_scored"}
    request["ProcessingResources"]["ClusterConfig"] |= {"InstanceType": "ml.none", "VolumeSizeInGB": 0}
    found = list(problems(api.operation_model("CreateProcessingJob").input_shape, request))
    assert len(found) == 3


@pytest.mark.parametrize("builder", [name for name in BUILDERS if name != "model_package"])
def test_everything_is_tagged(builder: str) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in BUILDERS[builder][1](ENVIRONMENTS[1])["Tags"]}
    assert tags["model"] == "predictive_maintenance"
    assert tags["owner"] == MODEL.owner
    assert tags["cost-center"] == "42"


def test_each_output_and_input_is_a_flag_of_the_program() -> None:
    request = requests.evaluate_model(MODEL, ENVIRONMENTS[0], RUN, artifact=ARTIFACT)
    arguments = request["AppSpecification"]["ContainerArguments"]
    flags = dict(zip(arguments[::2], arguments[1::2], strict=True))
    folders = {each["InputName"]: each["S3Input"]["LocalPath"] for each in request["ProcessingInputs"]}
    code = folders.pop("code")
    command = ["python", f"{code}/code.zip", "include.jobs.evaluate_model"]
    assert request["AppSpecification"]["ContainerEntrypoint"] == command
    outputs = request["ProcessingOutputConfig"]["Outputs"]
    folders |= {each["OutputName"]: each["S3Output"]["LocalPath"] for each in outputs}
    assert flags == {"--model": "predictive_maintenance"} | {f"--{name}": folder for name, folder in folders.items()}
    assert "--champion" not in flags


def test_a_data_window_reaches_the_program() -> None:
    request = requests.prepare_data(MODEL, ENVIRONMENTS[0], RUN, data_from="2015-02-01", data_to="2015-03-01")
    assert request["AppSpecification"]["ContainerArguments"][-4:] == [
        "--data-from",
        "2015-02-01",
        "--data-to",
        "2015-03-02",  # the last day is in the window, and the job's end is not
    ]


def test_overrides_take_precedence_over_the_model_and_the_environment() -> None:
    request = requests.train_model(
        MODEL, ENVIRONMENTS[1], RUN, hyperparameters={"num_leaves": 15}, instance_type="ml.m5.4xlarge"
    )
    assert request["HyperParameters"]["num_leaves"] == "15"
    assert request["HyperParameters"]["model"] == "predictive_maintenance"
    assert all(isinstance(value, str) for value in request["HyperParameters"].values())
    assert request["ResourceConfig"]["InstanceType"] == "ml.m5.4xlarge"
    assert requests.train_model(MODEL, ENVIRONMENTS[1], RUN)["ResourceConfig"]["InstanceType"] == "ml.c5.2xlarge"
    assert requests.train_model(MODEL, ENVIRONMENTS[0], RUN)["ResourceConfig"]["InstanceType"] == "ml.m5.large"


def test_instances_are_kept_warm_where_model_yaml_says_so_but_no_spot_instances() -> None:
    training = MODEL.training.model_copy(update={"keep_alive_minutes": 10})
    warm: ModelConfig = MODEL.model_copy(update={"training": training})
    bare, spot = ENVIRONMENTS
    kept = "KeepAlivePeriodInSeconds"
    assert requests.train_model(warm, bare, RUN)["ResourceConfig"][kept] == 600
    assert requests.tune_model(warm, bare, RUN)["TrainingJobDefinition"]["ResourceConfig"][kept] == 600
    assert kept not in requests.train_model(warm, spot, RUN)["ResourceConfig"]
    assert kept not in requests.train_model(MODEL, bare, RUN)["ResourceConfig"]


def test_machines_share_the_chunks_and_nothing_else() -> None:
    processing = MODEL.processing.model_copy(update={"instance_count": 3})
    shared: ModelConfig = MODEL.model_copy(update={"processing": processing})
    shards = requests.prepare_shards(shared, ENVIRONMENTS[0], RUN)
    assert shards["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 3
    inputs = {each["InputName"]: each["S3Input"]["S3DataDistributionType"] for each in shards["ProcessingInputs"]}
    assert inputs == {"code": "FullyReplicated", "chunks": "ShardedByS3Key"}
    for request in (
        requests.cut_data(shared, ENVIRONMENTS[0], RUN),
        requests.merge_shards(shared, ENVIRONMENTS[0], RUN),
        requests.prepare_data(shared, ENVIRONMENTS[0], RUN),
        requests.evaluate_model(shared, ENVIRONMENTS[0], RUN, artifact=ARTIFACT),
    ):
        assert request["ProcessingResources"]["ClusterConfig"]["InstanceCount"] == 1


def test_an_environment_may_isolate_what_runs_a_model_and_encrypt_what_instances_tell_each_other() -> None:
    strict = MlEnvironment.model_validate({**BARE, "network_isolation": True, "encrypt_traffic": True})
    asked = [requests.train_model(MODEL, one, RUN) for one in (ENVIRONMENTS[0], strict)]
    hosted = [hosted_model(MODEL, one, image="i", artifact=ARTIFACT) for one in (ENVIRONMENTS[0], strict)]
    assert [one.get("EnableNetworkIsolation") for one in (*asked, *hosted)] == [None, True, None, True]
    assert [one.get("EnableInterContainerTrafficEncryption") for one in asked] == [None, True]
    network = requests.prepare_data(MODEL, strict, RUN)["NetworkConfig"]
    assert network == {"EnableInterContainerTrafficEncryption": True}  # not isolated: it may reach sinks and MLflow


@pytest.mark.parametrize(
    ("said", "quotes"),
    [
        ({}, True),
        ({"personal_data": True}, False),
        ({"quote_values": False}, False),
        ({"personal_data": True, "quote_values": True}, True),
    ],
)
def test_a_job_is_told_whether_it_may_quote_values(said: dict[str, bool], quotes: bool) -> None:
    model = MODEL.model_copy(update=said)
    for request in (
        requests.prepare_data(model, ENVIRONMENTS[0], RUN),
        requests.train_model(model, ENVIRONMENTS[0], RUN),
    ):
        assert request["Environment"].get(VARIABLE) == (None if quotes else "no")


def test_what_an_environment_names_is_used_and_nothing_else() -> None:
    bare, full = (requests.train_model(MODEL, one, RUN) for one in ENVIRONMENTS)
    assert full["OutputDataConfig"]["KmsKeyId"] == FULL["kms_key_id"]
    assert full["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert full["EnableManagedSpotTraining"] is True
    assert full["CheckpointConfig"]
    for name in ("VpcConfig", "EnableManagedSpotTraining", "CheckpointConfig"):
        assert name not in bare
    assert "KmsKeyId" not in bare["OutputDataConfig"]
    assert "MaxWaitTimeInSeconds" not in bare["StoppingCondition"]


def test_what_a_training_of_monitoring_has_to_learn_reaches_the_program() -> None:
    def arguments(model: ModelConfig, must_learn: str | None) -> list[str]:
        request = requests.prepare_data(model, ENVIRONMENTS[0], RUN, must_learn=must_learn)
        found: list[str] = request["AppSpecification"]["ContainerArguments"]
        return found

    assert arguments(MODEL, "2015-10-01")[-2:] == ["--must-learn", "2015-10-01"]
    assert "--held-out" in arguments(MODEL, "2015-10-01")
    assert "--held-out" not in arguments(MODEL, None)
    assert "--must-learn" not in arguments(MODEL.model_copy(update={"monitoring": None}), "2015-10-01")


def test_an_evaluation_gets_what_there_is_and_addresses_that_fit() -> None:
    links = dict.fromkeys(LINKS, "https://a")
    long = next(iter(links))
    links[long] = "https://" + "a" * LONGEST_VARIABLE

    def evaluated(model: ModelConfig, **more: Any) -> Request:
        return requests.evaluate_model(model, ENVIRONMENTS[0], RUN, artifact=ARTIFACT, **more)

    request = evaluated(MODEL, production=[VERSION], links=links)
    assert request["AppSpecification"]["ContainerArguments"][-2:] == ["--versions", "3"]
    assert {LINKS[name] for name in links if name != long} <= request["Environment"].keys()
    assert LINKS[long] not in request["Environment"], "SageMaker would refuse the job"
    links[long] = links[long][:LONGEST_VARIABLE]
    assert LINKS[long] in evaluated(MODEL, links=links)["Environment"]
    assert "--versions" not in evaluated(MODEL)["AppSpecification"]["ContainerArguments"]
    since = evaluated(MODEL, must_learn="2026-01-05")
    assert since["AppSpecification"]["ContainerArguments"][-2:] == ["--since", "2026-01-05"]
    dateless = evaluated(load_model("abalone_age"), must_learn="2026-01-05")
    assert "--since" not in dateless["AppSpecification"]["ContainerArguments"], "its rows tell no time"

    def outputs(model: ModelConfig) -> set[str]:
        return {one["OutputName"] for one in evaluated(model)["ProcessingOutputConfig"]["Outputs"]}

    refit = load_model("machine_downtime")  # split.refit
    assert (outputs(refit), outputs(MODEL)) == ({"evaluation", "refit"}, {"evaluation"})


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(1, 9, "Integer"), (0.1, 0.9, "Continuous"), (0, 0.5, "Continuous"), (0.5, 3, "Continuous")],
)
def test_a_range_is_of_whole_numbers_if_both_ends_are(low: float, high: float, kind: str) -> None:
    tuning = requests.require_tuning(MODEL)
    bounds = tuning.ranges["num_leaves"].model_copy(update={"min": low, "max": high})
    model = MODEL.model_copy(
        update={
            "training": MODEL.training.model_copy(
                update={"tuning": tuning.model_copy(update={"ranges": {"num_leaves": bounds}})}
            )
        }
    )
    ranges = requests.tune_model(model, ENVIRONMENTS[0], RUN)["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert {name: [one["Name"] for one in found] for name, found in ranges.items()} == {
        f"{kind}ParameterRanges": ["num_leaves"]
    }


def test_spot_waits_longer_than_it_runs() -> None:
    condition = requests.train_model(MODEL, ENVIRONMENTS[1], RUN)["StoppingCondition"]
    assert condition["MaxWaitTimeInSeconds"] > condition["MaxRuntimeInSeconds"] == 3600


@pytest.mark.parametrize(("strategy", "stopping"), [("Random", "Auto"), ("Hyperband", "Off")])
def test_hopeless_children_are_stopped_early(strategy: str, stopping: str) -> None:
    tuning = requests.require_tuning(MODEL).model_copy(update={"strategy": strategy})
    model = MODEL.model_copy(update={"training": MODEL.training.model_copy(update={"tuning": tuning})})
    config = requests.tune_model(model, ENVIRONMENTS[0], RUN)["HyperParameterTuningJobConfig"]
    assert config["TrainingJobEarlyStoppingType"] == stopping


def test_a_given_hyperparameter_is_not_tuned() -> None:
    request = requests.tune_model(MODEL, ENVIRONMENTS[0], RUN, hyperparameters={"num_leaves": 15})
    ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"]
    names = {each["Name"] for kind in ranges.values() for each in kind}
    fixed = request["TrainingJobDefinition"]["StaticHyperParameters"]
    assert fixed["num_leaves"] == "15"
    assert "num_leaves" not in names
    assert names.isdisjoint(fixed)
    assert names | set(fixed) == set(MODEL.training.hyperparameters) | {"model"}


def test_named_values_are_chosen_from_as_they_are() -> None:
    model = load_model("machine_downtime")
    request = requests.tune_model(model, ENVIRONMENTS[0], RUN)
    ranges = request["HyperParameterTuningJobConfig"]["ParameterRanges"]
    named = [{"Name": "algorithm", "Values": ["random_forest", "lightgbm"]}]
    assert ranges["CategoricalParameterRanges"] == named
    assert "algorithm" not in request["TrainingJobDefinition"]["StaticHyperParameters"]
    numbers = [*ranges["IntegerParameterRanges"], *ranges["ContinuousParameterRanges"]]
    assert model.training.tuning
    assert {one["Name"] for one in [*named, *numbers]} == model.training.tuning.ranges.keys()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"learning_rat": 0.1}, "Did you mean 'learning_rate'"),
        ({"zzz": 1}, "Known: num_boost_round"),
        ({"num_leaves": [1]}, r"num_leaves is \[1\]; allowed is a whole number from 2 to 131072"),
        ({"num_leaves": 31.5}, "allowed is a whole number from 2"),
        ({"learning_rate": "0,05"}, r"is '0,05'; allowed is a number above 0 up to 10. Written as a number: 0.05"),
        ({"bagging_fraction": 80}, "is 80; allowed is a number above 0 up to 1"),
        ({"class_balance": True}, "is True; allowed is a number from 0 to 1"),
    ],
)
def test_wrong_hyperparameters_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        requests.train_model(MODEL, ENVIRONMENTS[0], RUN, hyperparameters=given)


def test_tuning_needs_ranges() -> None:
    untuned = MODEL.training.model_copy(update={"tuning": None})
    untunable: ModelConfig = MODEL.model_copy(update={"training": untuned})
    with pytest.raises(RequestError, match=r"model.yaml has no training.tuning"):
        requests.tune_model(untunable, ENVIRONMENTS[0], RUN)


def test_nothing_left_to_tune_is_refused() -> None:
    assert MODEL.training.tuning
    given = {name: bounds.min for name, bounds in MODEL.training.tuning.ranges.items()}
    with pytest.raises(RequestError, match="nothing is left to tune"):
        requests.tune_model(MODEL, ENVIRONMENTS[0], RUN, hyperparameters=given)


def test_a_job_that_sends_knows_where_the_brokers_are_and_no_secret() -> None:
    environment = with_kafka(MlEnvironment.model_validate(BARE))
    variables = sinks.send_scores(SENDER, environment, RUN, "kafka", scores="s3://my-ml-bucket/scores/")["Environment"]
    assert {name: value for name, value in variables.items() if name.startswith("KAFKA")} == {
        "KAFKA_BOOTSTRAP_SERVERS": "b-1:9096,b-2:9096",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SECRET_ID": "AmazonMSK_scores",
    }
    with pytest.raises(RequestError, match="ml_environment has no kafka"):
        sinks.check_sink(SENDER, MlEnvironment.model_validate(BARE), RUN, "kafka")


@pytest.mark.parametrize("shape", ["Training", "Processing", "Transform", "ProductionVariant"])
def test_every_instance_type_of_sagemaker_may_be_named(api: ServiceModel, shape: str) -> None:
    known = api.shape_for(f"{shape}InstanceType").enum
    assert known
    assert [name for name in known if not re.search(INSTANCE_TYPE, name)] == []
