"""Container names and networks: a job's hosts find each other, and a foreign image serves on 8080."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.include.local_sagemaker.conftest import BUCKET, client_of
from tests.include.local_sagemaker.hosting import ARTIFACT, Hosting, archive, hosting_server
from tests.include.local_sagemaker.job_requests import finished_processing, finished_training, processing, training
from tests.include.local_sagemaker.local_server import IMAGE, ROOT, LocalSageMaker

TALK = b"""
import json, socket, sys, time
hosts = json.load(open("/opt/ml/config/resourceconfig.json"))
assert socket.gethostname() == hosts["current_host"], socket.gethostname()
mine = socket.create_server((hosts["current_host"], 7777))
for host in hosts["hosts"]:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((host, 7777), 5).sendall(hosts["current_host"].encode())
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
heard = sorted(mine.accept()[0].recv(20).decode() for _ in hosts["hosts"])
open("/opt/ml/processing/output/heard/" + hosts["current_host"], "w").write(" ".join(heard))
"""


def test_hosts_of_a_job_talk_by_their_names(client: Callable[[str], Any], s3: Any, names: Callable[[str], str]) -> None:
    """Two jobs use the same port at the same time: each finds its own hosts."""
    sagemaker, jobs = client("sagemaker"), [names("talk"), names("talk")]
    s3.put_object(Bucket=BUCKET, Key="talk/talk.py", Body=TALK)
    command = ["python", "/opt/ml/processing/input/code/talk.py"]
    for name in jobs:
        folders = {"inputs": {"code": f"s3://{BUCKET}/talk"}, "outputs": {"heard": f"s3://{BUCKET}/{name}"}}
        sagemaker.create_processing_job(**processing(name, command, instances=2, **folders))
    for name in jobs:
        assert finished_processing(sagemaker, name)["ProcessingJobStatus"] == "Completed"
        for host in ("algo-1", "algo-2"):
            heard = s3.get_object(Bucket=BUCKET, Key=f"{name}/{host}")["Body"].read()
            assert heard == b"algo-1 algo-2"


FOREIGN = b"""
import http.server, os, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"", 200 if self.path == "/ping" else 404)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        health = os.environ["AWS_ENDPOINT_URL"] + "/_local/health"
        self.answer(b"%d" % urllib.request.urlopen(health, timeout=10).status)
    def answer(self, body, status=200):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
assert "SAGEMAKER_BIND_TO_PORT" not in os.environ
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""


@pytest.fixture
def foreign(hosting: Hosting) -> str:
    """A model in an image that knows only AWS's contract: it listens on 8080."""
    hosting.client("s3").put_object(Bucket=BUCKET, Key="foreign/model.tar.gz", Body=archive(serving_program_py=FOREIGN))
    return hosting.model(f"s3://{BUCKET}/foreign/model.tar.gz")


def test_instances_of_a_foreign_image_serve_on_8080_side_by_side(hosting: Hosting, foreign: str) -> None:
    endpoint = hosting.endpoint(hosting.config(foreign, instances=3))
    assert {hosting.invoke(endpoint) for _ in range(12)} == {b"200"}  # it reached the server from inside
    hosting.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_transform_job_serves_on_8080_too(hosting: Hosting, foreign: str) -> None:
    name = hosting.name("foreign")
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": ARTIFACT}}
    hosting.sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName=foreign,
        TransformInput={"DataSource": source},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/{name}"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    hosting.sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    answer = hosting.client("s3").get_object(Bucket=BUCKET, Key=f"{name}/model.tar.gz.out")["Body"].read()
    assert answer == b"200"


def test_where_the_network_is_shared_the_reason_names_the_port(tmp_path: Path) -> None:
    server = hosting_server(tmp_path, "--network", "shared", "--endpoint-start-seconds", "3")
    server.start()
    try:
        hosting = Hosting(server)
        hosting.upload_artifact()
        shared = hosting.endpoint(hosting.config(hosting.model(MODE="echo")))
        assert hosting.invoke(shared, b"there") == b"there"
        deaf = archive(serving_program_py=b"import time; time.sleep(60)")
        hosting.client("s3").put_object(Bucket=BUCKET, Key="deaf/model.tar.gz", Body=deaf)
        config, name = hosting.config(hosting.model(f"s3://{BUCKET}/deaf/model.tar.gz")), hosting.name("deaf")
        hosting.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert "the port in SAGEMAKER_BIND_TO_PORT" in hosting.settled(name)["FailureReason"]
    finally:
        server.stop()


TOOLKIT = "sagemaker-training==5.1.4"
SCRIPT = b"""
import json, os, socket
hosts = json.loads(os.environ["SM_HOSTS"])
addresses = {socket.gethostbyname(host) for host in hosts}
with open(os.path.join(os.environ["SM_MODEL_DIR"], socket.gethostname()), "w") as file:
    file.write(f"{len(addresses)} {os.environ['SM_HP_ROUNDS']}")
"""


@pytest.mark.slow
def test_the_unchanged_training_toolkit_of_aws_runs_on_two_hosts(tmp_path: Path) -> None:
    """The image waits up to 15 minutes for all hosts' names to resolve before it starts a script."""
    uv, image = str(ROOT / ".venv" / "tools" / "bin" / "uv"), tmp_path / "image"
    subprocess.run([uv, "venv", "--quiet", "--python", str(ROOT / ".venv/jobs/bin/python"), str(image)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(image / "bin/python"), TOOLKIT], check=True)
    server = LocalSageMaker(tmp_path / "state", ("--image", f"*toolkit*={image}"))
    server.start()
    try:
        client, source = client_of(server), io.BytesIO()
        with tarfile.open(fileobj=source, mode="w:gz") as tar:
            entry = tarfile.TarInfo("train.py")
            entry.size = len(SCRIPT)
            tar.addfile(entry, io.BytesIO(SCRIPT))
        s3 = client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="source.tar.gz", Body=source.getvalue())
        asked = {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/source.tar.gz",
            "rounds": 7,
        }
        parameters = {key: json.dumps(value) for key, value in asked.items()}
        image_uri = IMAGE.replace("ml-jobs", "toolkit")
        request = training("toolkit", None, image=image_uri, instances=2, HyperParameters=parameters)
        client("sagemaker").create_training_job(**request)
        done = finished_training(client("sagemaker"), "toolkit")
        assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
        model = s3.get_object(Bucket=BUCKET, Key="models/toolkit/output/model.tar.gz")["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(model)) as tar:
            written = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]
        assert written == {"algo-1": b"2 7", "algo-2": b"2 7"}
    finally:
        server.stop()
