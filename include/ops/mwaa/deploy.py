"""``make deploy ENV=...``: brings an MWAA environment to the state of this checkout. Running it again changes nothing.

It first shows the differences as a plan (``DRY_RUN=1`` stops there). Then, in this order:

1. job code is uploaded to ``code/<hash>/``, without affecting running jobs;
2. if plugins, requirements (after constraints.txt) or the startup script changed, the environment is updated, which
restarts it (10 to 30 minutes);
3. changed files of the Dag folder are uploaded, include/ before the Dag files, and deleted ones are removed;
4. the gate: no import errors, every Dag of this checkout parsed again and none of them stale;
5. pools and the Variable ``ml_environment`` are set, so that new runs use the new code and image.

If the gate fails, the Variable keeps its value: runs go on with the previous job code. To go back, deploy the previous
commit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from include.ops import Json
from include.ops.mwaa import AIRFLOW_VERSION
from include.ops.mwaa.bundle import CONSTRAINTS, Bundle, build, download_wheels
from include.ops.mwaa.check import parse_dags
from include.ops.mwaa.home import MwaaHome
from include.ops.mwaa.image import image_tag
from include.ops.mwaa.proof import BrokenPromiseError
from include.ops.mwaa.rest import AirflowOnMwaa, RestError
from include.ops.mwaa.target import Target, TargetError, load_target, outputs_of, target_names
from include.platform.code_bundle import git_commit, is_there, upload_code
from include.platform.environment import VARIABLE, MlEnvironmentError, parse_ml_environment
from sagemaker_jobs.account import account, pool_of

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_ecr import ECRClient
    from types_boto3_mwaa import MWAAClient
    from types_boto3_s3 import S3Client

DOCKER_MANIFEST = (
    "application/vnd.docker.distribution.manifest.v2+json"  # the kind of image that SageMaker certainly accepts
)
DEPLOYED = "deployed.json"  # in the Dags bucket: digest and ETag of every file that a deploy uploaded
GATE_SECONDS = 900  # MWAA finds new files within 300 s
UPDATE_SECONDS = 3600
# artifact -> how MWAA's API names its path and its version
ENVIRONMENT_ARTIFACTS = {
    "plugins": ("PluginsS3Path", "PluginsS3ObjectVersion"),
    "requirements": ("RequirementsS3Path", "RequirementsS3ObjectVersion"),
    "startup": ("StartupScriptS3Path", "StartupScriptS3ObjectVersion"),
}
Say = Callable[[str], None]


class DeployError(RuntimeError):
    """The deploy stopped; the message says where, why, and what to do."""


@dataclass(frozen=True)
class Clients:
    """boto3 clients of the target's account and region."""

    s3: S3Client
    mwaa: MWAAClient
    cloudformation: CloudFormationClient
    ecr: ECRClient

    @classmethod
    def of(cls, target: Target) -> Clients:
        session = boto3.session.Session(region_name=target.region)
        return cls(
            s3=session.client("s3"),
            mwaa=session.client("mwaa"),
            cloudformation=session.client("cloudformation"),
            ecr=session.client("ecr"),
        )


@dataclass(frozen=True)
class Plan:
    """What differs between the environment and this checkout."""

    upload: tuple[str, ...]  # files of the Dag folder
    remove: tuple[str, ...]
    update: tuple[str, ...]  # of "plugins", "requirements", "startup"
    code: bool
    variable: bool
    pools: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.upload or self.remove or self.update or self.code or self.variable or self.pools)

    def lines(self) -> list[str]:
        if self.empty:
            return ["nothing to do: the environment is as this checkout"]
        said = ["upload the job code"] if self.code else []
        if self.update:
            said.append(f"update the environment: {', '.join(self.update)} changed. It restarts: 10 to 30 minutes")
        said += [f"upload dags/{name}" for name in self.upload] + [f"remove dags/{name}" for name in self.remove]
        said += [f"set the pool {name} to {slots} slots" for name, slots in self.pools.items()]
        return said + ([f"set the Variable {VARIABLE}"] if self.variable else [])


class Deploy:
    """One deploy of a bundle to a target."""

    def __init__(
        self, target: Target, bundle: Bundle, dag_ids: list[str], clients: Clients, pools: Mapping[str, int], say: Say
    ) -> None:
        self._target, self._bundle, self._dag_ids = target, bundle, dag_ids
        self._clients, self._pools, self._say = clients, pools, say
        self._outputs = outputs_of(clients.cloudformation, target)
        self._airflow = AirflowOnMwaa(clients.mwaa, target.name)

    def plan(self) -> Plan:
        """Determines what to do; changes nothing.

        Raises:
            DeployError: the environment has another version, or the job image has not been published.
        """
        environment = self._environment()
        if environment["AirflowVersion"] != AIRFLOW_VERSION:
            raise DeployError(
                f"{self._target.name} runs Airflow {environment['AirflowVersion']}; this checkout is for "
                f"{AIRFLOW_VERSION}. Update the environment's template first ('make infra')."
            )
        upload, remove = self._changed_dag_files()
        artifacts = ENVIRONMENT_ARTIFACTS.items()
        pools = self._airflow.pools()
        return Plan(
            upload=tuple(upload),
            remove=tuple(remove),
            update=tuple(kind for kind, (path, _) in artifacts if environment.get(path) != self._key(kind)),
            code=not is_there(self._clients.s3, self._outputs["MlBucket"], self._bundle.code_hash),
            variable=self._airflow.variable(VARIABLE) != self._variable(),
            pools={name: slots for name, slots in self._pools.items() if pools.get(name) != slots},
        )

    def apply(self, plan: Plan) -> None:
        """Carries out the plan.

        Raises:
            DeployError: the environment could not be updated, or the gate failed.
        """
        if plan.code:
            upload_code(self._clients.s3, self._outputs["MlBucket"], self._bundle.path("code"))
            self._say(f"job code {self._bundle.code_hash} is there")
        if plan.update:
            if CONSTRAINTS in plan.upload:
                self._put_dag_files([CONSTRAINTS], [])
            self._update_environment(plan.update)
        began = datetime.now(UTC)
        if plan.upload or plan.remove:
            self._put_dag_files(plan.upload, plan.remove)
            self._say(f"{len(plan.upload)} files uploaded, {len(plan.remove)} removed")
        self._wait_at_the_gate(plan, began)
        known = self._airflow.pools()
        for name, slots in plan.pools.items():
            self._airflow.set_pool(name, slots, new=name not in known)
        if plan.variable:
            self._airflow.set_variable(VARIABLE, self._variable())
            self._say(f"the Variable {VARIABLE} is set: new runs use job code {self._bundle.code_hash}")

    def _environment(self) -> Json:
        return {**self._clients.mwaa.get_environment(Name=self._target.name)["Environment"]}

    def _key(self, kind: str) -> str:
        return f"{kind}/{self._bundle.path(kind).name}"

    def _is_there(self, bucket: str, prefix: str) -> bool:
        return "Contents" in self._clients.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)

    def _variable(self) -> str:
        """The Variable's text, validated as in Dags."""
        outputs = self._outputs
        facts = {
            "bucket": outputs["MlBucket"],
            "role_arn": outputs["JobsRole"],
            "image_uri": self._image_uri(),
            "region": self._target.region,
            "code_hash": self._bundle.code_hash,
            "git_commit": git_commit(),
            "sns_topic_arn": outputs["Alerts"],
            "kms_key_id": outputs["Key"],
            "subnets": outputs["PrivateSubnets"].split(","),
            "security_group_ids": [outputs["JobsSecurityGroup"]],
            **self._target.ml_environment,
            "tags": {"project": self._target.name, **self._target.ml_environment.get("tags", {})},
        }
        text = json.dumps(facts, sort_keys=True)
        try:
            parse_ml_environment(text)
        except MlEnvironmentError as error:
            raise DeployError(f"environments/{self._target.name}: {error}") from error
        return text

    def _image_uri(self) -> str:
        """The job image of these sources, by its digest: a tag could be moved to another image."""
        repository, tag = self._outputs["JobImages"], image_tag()
        name = repository.partition("/")[2]
        try:
            found = self._clients.ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
        except self._clients.ecr.exceptions.ImageNotFoundException as error:
            raise DeployError(
                f"The job image {repository}:{tag} has not been published. The workflow publish-image does it, or "
                f"'include/ops/mwaa/publish_image.sh {repository}'."
            ) from error
        details = found["imageDetails"][0]
        if (kind := details.get("imageManifestMediaType")) != DOCKER_MANIFEST:
            raise DeployError(
                f"The job image {repository}:{tag} is {kind}, which SageMaker refuses. Remove it ('aws ecr "
                f"batch-delete-image --repository-name {name} --image-ids imageTag={tag}') and publish it again by "
                "include/ops/mwaa/publish_image.sh, which builds an image that SageMaker accepts."
            )
        return f"{repository}@{details['imageDigest']}"

    def _changed_dag_files(self) -> tuple[list[str], list[str]]:
        """Files to upload and to remove. A file changed by hand is replaced, as its ETag differs."""
        there, deployed = self._dag_objects(), self._deployed()
        wanted = self._bundle.dag_files
        upload = [
            name
            for name, digest in wanted.items()
            if name not in there or deployed.get(name) != {"sha256": digest, "etag": there[name]}
        ]
        return upload, sorted(there.keys() - wanted.keys())

    def _dag_objects(self) -> dict[str, str]:
        """ETag of every object below dags/, by its path there."""
        pages = self._clients.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._outputs["DagsBucket"], Prefix="dags/"
        )
        objects = [item for page in pages for item in page.get("Contents", [])]
        return {item["Key"].removeprefix("dags/"): item["ETag"] for item in objects if not item["Key"].endswith("/")}

    def _deployed(self) -> dict[str, dict[str, str]]:
        try:
            found = self._clients.s3.get_object(Bucket=self._outputs["DagsBucket"], Key=DEPLOYED)
        except self._clients.s3.exceptions.NoSuchKey:
            return {}
        return dict(json.loads(found["Body"].read()))

    def _put_dag_files(self, upload: Iterable[str], remove: Collection[str]) -> None:
        s3, bucket = self._clients.s3, self._outputs["DagsBucket"]
        deployed = {name: facts for name, facts in self._deployed().items() if name not in remove}
        # imported modules go before Dag files, or a sync in between would find them missing
        for name in sorted(upload, key=lambda name: (not name.startswith("include/"), name)):
            body = (self._bundle.path("dags") / name).read_bytes()
            etag = s3.put_object(Bucket=bucket, Key=f"dags/{name}", Body=body)["ETag"]
            deployed[name] = {"sha256": self._bundle.dag_files[name], "etag": etag}
        for name in remove:
            s3.delete_object(Bucket=bucket, Key=f"dags/{name}")
        s3.put_object(Bucket=bucket, Key=DEPLOYED, Body=json.dumps(deployed, indent=1, sort_keys=True).encode())

    def _update_environment(self, kinds: tuple[str, ...]) -> None:
        request: Json = {"WorkerReplacementStrategy": "GRACEFUL"}  # the default would stop running tasks
        for kind in kinds:
            path, version = ENVIRONMENT_ARTIFACTS[kind]
            request[path] = self._key(kind)
            request[version] = self._put_once(self._key(kind), self._bundle.path(kind))
        self._clients.mwaa.update_environment(Name=self._target.name, **request)
        self._say(f"{self._target.name} is being updated ({', '.join(kinds)})")
        deadline = time.monotonic() + UPDATE_SECONDS
        while (environment := self._environment())["Status"] != "AVAILABLE":
            if environment["Status"] in ("UPDATE_FAILED", "UNAVAILABLE", "DELETED") or time.monotonic() > deadline:
                reason = environment.get("LastUpdate", {}).get("Error", {}).get("ErrorMessage", "no reason given")
                raise DeployError(
                    f"{self._target.name} is {environment['Status']}: {reason}. The environment's log groups in "
                    "CloudWatch have details; MWAA returns to the previous plugins and requirements on its own."
                )
            time.sleep(30)
        wrong = [kind for kind in kinds if environment.get(ENVIRONMENT_ARTIFACTS[kind][0]) != self._key(kind)]
        if wrong:
            raise DeployError(f"{self._target.name} is available again, but with the previous {', '.join(wrong)}.")

    def _put_once(self, key: str, file: Path) -> str:
        """The version of the object; an existing object is not written again."""
        s3, bucket = self._clients.s3, self._outputs["DagsBucket"]
        if self._is_there(bucket, key):
            return str(s3.head_object(Bucket=bucket, Key=key)["VersionId"])
        return str(s3.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())["VersionId"])

    def _wait_at_the_gate(self, plan: Plan, began: datetime) -> None:
        changed = bool(plan.upload or plan.remove or plan.update)
        deadline = time.monotonic() + GATE_SECONDS
        while problems := self._problems(began if changed else None):
            if time.monotonic() > deadline:
                raise DeployError(
                    f"The Dags are uploaded, but {self._target.name} is not in the expected state after "
                    f"{GATE_SECONDS // 60} minutes: {'; '.join(problems)}. The Variable was not changed. Deploy the "
                    "previous commit, or fix this one and deploy again."
                )
            self._say(f"waiting: {problems[0]}")
            time.sleep(15)
        self._say(f"the gate is open: no import errors, {len(self._dag_ids)} Dags parsed")

    def _problems(self, began: datetime | None) -> list[str]:
        errors = self._airflow.import_errors()
        problems = [f"{file} cannot be imported: {trace.strip().splitlines()[-1]}" for file, trace in errors.items()]
        dags = self._airflow.dags()
        for dag_id in self._dag_ids:
            dag = dags.get(dag_id)
            if dag is None or dag["is_stale"]:
                problems.append(f"{dag_id} is {'not there' if dag is None else 'stale'}")
            elif began and datetime.fromisoformat(dag["last_parsed_time"]) < began:
                problems.append(f"{dag_id} has not been parsed since the upload")
        return problems


def checked_dag_ids(bundle: Bundle, folder: Path) -> list[str]:
    """The Dags of the bundle, parsed here as MWAA would.

    Raises:
        DeployError: they do not parse; nothing has been uploaded.
    """
    home = MwaaHome(folder, airflow_port=8080, sagemaker_port=4566, bundle=bundle)
    home.unpack()
    try:
        return parse_dags(home)
    except BrokenPromiseError as error:
        raise DeployError(f"The bundle would not run on MWAA, so nothing was uploaded: {error}") from error


def wheels_for(target: Target, folder: Path) -> list[Path]:
    """Wheels to ship with the plugins, if the environment cannot reach PyPI; otherwise none.

    Raises:
        DeployError: they are not available from here either.
    """
    if target.infrastructure.get("Internet") != "none":
        return []
    try:
        return download_wheels(folder)
    except subprocess.CalledProcessError as error:
        raise DeployError(f"{target.name} has no internet, and pip here finds no wheels: {error.stderr}") from error


def _deploy(target: Target, folder: Path, *, dry_run: bool) -> None:
    wheels = wheels_for(target, folder / "wheels")
    bundle = build(folder=folder / "dist", wheels=wheels)
    dag_ids = checked_dag_ids(bundle, folder / "check")
    pools = {pool_of(kind): slots for kind, slots in account().pools.items()}
    deploy = Deploy(target, bundle, dag_ids, Clients.of(target), pools, lambda line: print(line, flush=True))
    plan = deploy.plan()
    print("\n".join([f"plan for {target.name} in {target.region}:", *(f"  {line}" for line in plan.lines())]))
    if not dry_run:
        deploy.apply(plan)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("environment", help=f"one of: {', '.join(target_names())}")
    parser.add_argument("--dry-run", action="store_true", help="only show the plan")
    arguments = parser.parse_args(argv)
    try:
        target = load_target(arguments.environment)
        # not dist/, which another target may be rebuilding
        with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
            _deploy(target, Path(folder), dry_run=arguments.dry_run)
    except (TargetError, DeployError, RestError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
