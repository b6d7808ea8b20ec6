"""A deploy against a local AWS, with recorded answers of MWAA and Airflow."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.ops.local_stack.settings import ROOT
from include.ops.mwaa import deploy, templates
from include.ops.mwaa.bundle import CONSTRAINTS, Bundle, build
from include.ops.mwaa.deploy import Clients, Deploy, DeployError
from include.ops.mwaa.image import image_tag
from include.ops.mwaa.rest import AirflowOnMwaa, RestError
from include.ops.mwaa.target import Target
from include.platform.environment import VARIABLE
from tests.include.local_sagemaker.conftest import Client

DAGS = ["score_a", "train_a"]
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": 1,
        "digest": "sha256:" + "0" * 64,
    },
    "layers": [],
}


@dataclass
class RecordedMwaa:
    """get_environment, update_environment and invoke_rest_api, in the shapes that boto3 gives them."""

    environment: dict[str, Any] = field(
        default_factory=lambda: {"Status": "AVAILABLE", "AirflowVersion": "3.3.1", "Name": "ml-test"}
    )
    variables: dict[str, str] = field(default_factory=dict)
    pools: dict[str, int] = field(default_factory=lambda: {"default_pool": 128})
    import_errors: list[dict[str, str]] = field(default_factory=list)
    stale: set[str] = field(default_factory=set)
    updates: list[dict[str, Any]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)  # the environment's status at each poll before it is available
    asked: list[str] = field(default_factory=list)

    def get_environment(self, Name: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        status = self.statuses.pop(0) if self.statuses else self.environment["Status"]
        return {"Environment": {**self.environment, "Status": status}}

    def update_environment(self, Name: str, **changes: Any) -> None:  # noqa: N803
        self.updates.append(changes)
        self.environment |= changes

    def invoke_rest_api(self, Name: str, Method: str, Path: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        assert len(Path) <= 64
        self.asked.append(f"{Method} {Path}")
        answer = self._answer(Method, Path, more.get("Body", {}))
        return {"RestApiStatusCode": 200, "RestApiResponse": answer}

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        parsed = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
        if path == "/importErrors":
            return {"import_errors": self.import_errors, "total_entries": len(self.import_errors)}
        if path == "/dags":
            dags = [{"dag_id": dag, "is_stale": dag in self.stale, "last_parsed_time": parsed} for dag in DAGS]
            return {"dags": dags, "total_entries": len(dags)}
        if path == "/pools" and method == "GET":
            return {
                "pools": [{"name": name, "slots": slots} for name, slots in self.pools.items()],
                "total_entries": len(self.pools),
            }
        if path.startswith("/pools"):
            self.pools[body.get("name") or path.rpartition("/")[2]] = body["slots"]
            return body
        if path == "/variables":
            self.variables[body["key"]] = body["value"]
            return body
        key = path.removeprefix("/variables/")
        if key not in self.variables:
            error = {"Error": {"Code": "RestApiClientException", "Message": "recorded"}, "RestApiStatusCode": 404}
            raise ClientError({**error, "RestApiResponse": {"detail": "not found"}}, "InvokeRestApi")  # type: ignore[arg-type]
        if method == "PATCH":
            self.variables[key] = body["value"]
        return {"key": key, "value": self.variables[key]}


@pytest.fixture(scope="module")
def target(aws: Client) -> Target:
    """An environment with its stacks and its job image."""
    found = Target(
        name="ml-test",
        region="us-east-1",
        infrastructure={"AlertEmail": "a@example.com", "S3PrefixList": "pl-6da54004"},
    )
    for template in ("storage", "network", "access"):
        templates.put(aws("cloudformation"), template, found.parameters)
    # what moto's CloudFormation leaves out of a bucket
    enabled = {"Status": "Enabled"}
    aws("s3").put_bucket_versioning(Bucket="ml-test-dags-123456789012", VersioningConfiguration=enabled)
    aws("ecr").put_image(
        repositoryName="ml-test-jobs",
        imageManifest=json.dumps(MANIFEST),
        imageManifestMediaType=MANIFEST["mediaType"],
        imageTag=image_tag(),
    )
    return found


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return build(ROOT, tmp_path / "dist")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def deployer(aws: Client, target: Target, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Deploy]:
    monkeypatch.setattr(deploy.time, "sleep", lambda _: None)

    def make(mwaa: RecordedMwaa, bundle: Bundle) -> Deploy:
        clients = Clients(aws("s3"), mwaa, aws("cloudformation"), aws("ecr"))
        return Deploy(target, bundle, DAGS, clients, {"sagemaker_training": 4}, said.append)

    return make


Make = Callable[..., Deploy]


def test_a_first_deploy_does_all_and_a_second_nothing(
    deployer: Make, bundle: Bundle, aws: Client, said: list[str]
) -> None:
    mwaa = RecordedMwaa(statuses=["AVAILABLE", "UPDATING", "UPDATING"])
    first = deployer(mwaa, bundle)
    plan = first.plan()
    assert set(plan.upload) == set(bundle.dag_files)
    assert plan.update == ("plugins", "requirements", "startup")
    assert plan.code
    assert plan.variable
    assert "restarts: 10 to 30 minutes" in "\n".join(plan.lines())
    first.apply(plan)
    assert mwaa.updates[0]["PluginsS3Path"] == f"plugins/{bundle.path('plugins').name}"
    assert mwaa.updates[0]["PluginsS3ObjectVersion"] not in ("", "None", "null")
    assert mwaa.updates[0]["WorkerReplacementStrategy"] == "GRACEFUL", "running tasks are not interrupted"
    facts = json.loads(mwaa.variables[VARIABLE])
    assert facts["code_hash"] == bundle.code_hash
    assert "@sha256:" in facts["image_uri"]
    assert facts["tags"] == {"project": "ml-test"}
    assert mwaa.pools["sagemaker_training"] == 4
    keys = {item["Key"] for item in aws("s3").list_objects_v2(Bucket="ml-test-dags-123456789012")["Contents"]}
    assert {"dags/train.py", "dags/include/train/dag.py", "dags/.airflowignore"} <= keys
    again = deployer(mwaa, bundle).plan()
    assert again.empty, again.lines()
    assert again.lines() == ["nothing to do: the environment is as this checkout"]


def test_only_what_differs_is_uploaded_and_what_is_gone_removed(deployer: Make, bundle: Bundle, aws: Client) -> None:
    mwaa = RecordedMwaa()
    deployer(mwaa, bundle).apply(deployer(mwaa, bundle).plan())
    s3, bucket = aws("s3"), "ml-test-dags-123456789012"
    s3.put_object(Bucket=bucket, Key="dags/train.py", Body=b"changed by hand")
    s3.put_object(Bucket=bucket, Key="dags/old.py", Body=b"gone from the repository")
    plan = deployer(mwaa, bundle).plan()
    assert (plan.upload, plan.remove, plan.update) == (("train.py",), ("old.py",), ())
    deployer(mwaa, bundle).apply(plan)
    assert len(mwaa.updates) == 1, "changed Dag files restart nothing"
    assert deployer(mwaa, bundle).plan().empty


def test_constraints_are_there_when_requirements_are_installed(
    deployer: Make, bundle: Bundle, aws: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip would fail without them, and MWAA start without the packages."""
    s3, bucket, key = aws("s3"), "ml-test-dags-123456789012", f"dags/{CONSTRAINTS}"
    s3.put_object(Bucket=bucket, Key=key, Body=b"of another deploy")
    seen: list[bytes] = []
    monkeypatch.setattr(
        RecordedMwaa,
        "update_environment",
        lambda *_, **__: seen.append(s3.get_object(Bucket=bucket, Key=key)["Body"].read()),
    )
    one = deployer(RecordedMwaa(), bundle)
    with pytest.raises(DeployError, match="with the previous plugins, requirements, startup"):
        one.apply(one.plan())
    assert seen == [(ROOT / CONSTRAINTS).read_bytes()]


def test_a_plan_changes_nothing(deployer: Make, bundle: Bundle) -> None:
    mwaa = RecordedMwaa()
    deployer(mwaa, bundle).plan()
    assert not mwaa.updates
    assert {asked.split()[0] for asked in mwaa.asked} == {"GET"}


def test_a_closed_gate_leaves_the_variable_as_it_was(
    deployer: Make, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "GATE_SECONDS", -1)
    error = {"filename": "train.py", "stack_trace": "Traceback ...\nImportError: no such thing"}
    mwaa = RecordedMwaa(import_errors=[error], stale={"score_a"}, variables={VARIABLE: "former"})
    one = deployer(mwaa, bundle)
    with pytest.raises(DeployError, match=r"train.py cannot be imported: ImportError: no such thing.*score_a is stale"):
        one.apply(one.plan())
    assert mwaa.variables == {VARIABLE: "former"}


def test_a_failed_update_says_why(deployer: Make, bundle: Bundle) -> None:
    mwaa = RecordedMwaa()
    one = deployer(mwaa, bundle)
    plan = one.plan()
    mwaa.environment["LastUpdate"] = {"Error": {"ErrorMessage": "requirements cannot be installed"}}
    mwaa.statuses = ["UPDATING", "UPDATE_FAILED"]
    with pytest.raises(DeployError, match="UPDATE_FAILED: requirements cannot be installed"):
        one.apply(plan)
    assert VARIABLE not in mwaa.variables


def test_another_airflow_version_is_refused(deployer: Make, bundle: Bundle) -> None:
    mwaa = RecordedMwaa()
    mwaa.environment["AirflowVersion"] = "3.2.1"
    with pytest.raises(DeployError, match=r"runs Airflow 3\.2\.1; this checkout is for 3\.3\.1"):
        deployer(mwaa, bundle).plan()


def test_an_image_that_was_not_published_is_said(
    deployer: Make, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "image_tag", lambda: "sources-other")
    with pytest.raises(DeployError, match="sources-other has not been published"):
        deployer(RecordedMwaa(), bundle).plan()


def test_job_code_is_there_whole_or_not_at_all(deployer: Make, bundle: Bundle, aws: Client) -> None:
    """One object: an interrupted upload leaves nothing."""
    mwaa = RecordedMwaa()
    deployer(mwaa, bundle).apply(deployer(mwaa, bundle).plan())
    s3, bucket = aws("s3"), "ml-test-ml-123456789012"
    s3.delete_object(Bucket=bucket, Key=f"code/{bundle.code_hash}/code.zip")
    plan = deployer(mwaa, bundle).plan()
    assert plan.lines() == ["upload the job code"]
    deployer(mwaa, bundle).apply(plan)
    assert deployer(mwaa, bundle).plan().empty


def test_an_image_that_sagemaker_would_refuse_is_said(
    deployer: Make, bundle: Bundle, aws: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a current Docker produces by default."""
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    aws("ecr").put_image(
        repositoryName="ml-test-jobs",
        imageManifest=json.dumps(index),
        imageManifestMediaType=index["mediaType"],
        imageTag="sources-index",
    )
    monkeypatch.setattr(deploy, "image_tag", lambda: "sources-index")
    with pytest.raises(DeployError, match=r"oci\.image\.index.*which SageMaker refuses.*batch-delete-image"):
        deployer(RecordedMwaa(), bundle).plan()


def test_wheels_are_shipped_where_there_is_no_internet_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deploy, "download_wheels", lambda folder: [folder / "a.whl"])
    targets = [Target(name="ml-test", region="eu-west-1", infrastructure=given) for given in ({}, {"Internet": "none"})]
    assert [deploy.wheels_for(target, tmp_path) for target in targets] == [[], [tmp_path / "a.whl"]]

    def fails(folder: Path) -> list[Path]:
        raise subprocess.CalledProcessError(1, "pip", stderr="no matching distribution")

    monkeypatch.setattr(deploy, "download_wheels", fails)
    with pytest.raises(DeployError, match=r"ml-test has no internet.*no matching distribution"):
        deploy.wheels_for(targets[1], tmp_path)


def test_rest_knows_mwaa_s_limits() -> None:
    airflow = AirflowOnMwaa(RecordedMwaa(), "ml-test")
    with pytest.raises(RestError, match="64 characters"):
        airflow.variable("x" * 64)
    with pytest.raises(RestError, match="6 MB"):
        airflow.set_pool("p", "x" * 7_000_000, new=True)  # type: ignore[arg-type]
