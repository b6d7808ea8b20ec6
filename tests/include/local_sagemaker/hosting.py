"""Models and endpoints for tests: a local SageMaker with containers that `serve` their model.tar.gz."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.include.local_sagemaker.conftest import BUCKET, Client, client_of
from tests.include.local_sagemaker.local_server import IMAGE, ROLE, LocalSageMaker

Json = dict[str, Any]
ARTIFACT = f"s3://{BUCKET}/serving/model.tar.gz"
_BUSY = {"Creating", "Updating", "RollingBack", "SystemUpdating"}
_PROGRAMS = {
    "serve": "exec python /opt/ml/model/serving_program.py",
    # training jobs of a tuning job name no command: the image's `train` runs
    "train": 'exec python -c "$TRAIN"',
}


def hosting_server(folder: Path, *options: str) -> LocalSageMaker:
    """Not started; --path has `serve` and `train`."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for name, command in _PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{command}\n")
        (programs / name).chmod(0o755)
    more = ("--path", str(programs), "--endpoint-start-seconds", "15", "--stop-grace-seconds", "2", *options)
    return LocalSageMaker(folder / "state", more)


def archive(**files: bytes) -> bytes:
    """A tar.gz of these files (`serving_program_py` stands for serving_program.py)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name.replace("_py", ".py"))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Hosting:
    """What tests do with models and endpoints, through boto3."""

    def __init__(self, server: LocalSageMaker) -> None:
        self.server = server
        self.url = server.url
        self.client: Client = client_of(server)
        self.sagemaker = self.client("sagemaker")
        self.runtime = self.client("sagemaker-runtime")
        self._number = 0

    def upload_artifact(self) -> None:
        """Create the bucket, and the model that all tests serve."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        program = Path(__file__).with_name("serving_program.py").read_bytes()
        s3.put_object(Bucket=BUCKET, Key="serving/model.tar.gz", Body=archive(serving_program_py=program))

    def name(self, prefix: str) -> str:
        """An unused name."""
        self._number += 1
        return f"{prefix}-{self._number}"

    def model(self, url: str = ARTIFACT, **environment: str) -> str:
        """A new model; its serving program has this environment."""
        name = self.name("model")
        container = {"Image": IMAGE, "ModelDataUrl": url, "Environment": environment}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        return name

    def uncompressed_model(self) -> str:
        """A new model with its data as objects in S3 instead of an archive."""
        program = Path(__file__).with_name("serving_program.py").read_bytes()
        self.client("s3").put_object(Bucket=BUCKET, Key="plain/model/serving_program.py", Body=program)
        source = {"S3Uri": f"s3://{BUCKET}/plain/model/", "S3DataType": "S3Prefix", "CompressionType": "None"}
        name = self.name("model")
        container = {"Image": IMAGE, "ModelDataSource": {"S3DataSource": source}}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        return name

    def config(self, *models: str, weights: Sequence[float] = (), instances: int = 1, **more: Any) -> str:
        """A new endpoint configuration; the variants are A, B, ... or AllTraffic if there is one."""
        name = self.name("config")
        variants = [
            {
                "VariantName": "AllTraffic" if len(models) == 1 else "ABCDEF"[number],
                "ModelName": model,
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": instances,
                **({"InitialVariantWeight": weights[number]} if weights else {}),
            }
            for number, model in enumerate(models)
        ]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=variants, **more)
        return name

    def endpoint(self, config: str, **more: Any) -> str:
        """A new endpoint that is in service."""
        name = self.name("endpoint")
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **more)
        described = self.settled(name)
        assert described["EndpointStatus"] == "InService", described
        return name

    def settled(self, name: str, seconds: float = 60) -> Json:
        """The endpoint's description once no change is in progress."""
        deadline = time.monotonic() + seconds
        while (found := self.sagemaker.describe_endpoint(EndpointName=name))["EndpointStatus"] in _BUSY:
            assert time.monotonic() < deadline, found
            time.sleep(0.03)
        result: Json = found
        return result

    def invoke(self, name: str, body: bytes = b"1", **more: Any) -> bytes:
        """The answer's body."""
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=body, **more)["Body"].read()
        assert isinstance(answer, bytes)
        return answer
