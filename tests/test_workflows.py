"""The steps of the workflows that deploy, run as GitHub runs them: its shell, its environment and a machine with only
the system's programs, including a Python without packages. The Docker, AWS and GitHub command lines only record how
they were called, and answer as they would.

The steps of ``ci.yaml`` are the targets that also gate this repository.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.ops.local_stack.settings import ROOT
from include.ops.mwaa.image import image_tag
from include.ops.mwaa.target import load_target
from tests.compose.prove import copy_checkout

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
MAKEFILE = (ROOT / "Makefile").read_text()
SHELL = ("bash", "-e")  # if a step names none
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"
REGISTRY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
PROGRAMS = (
    "bash",
    "cat",
    "cut",
    "dirname",
    "env",
    "expand",
    "git",
    "grep",
    "make",
    "mkdir",
    "mktemp",
    "rm",
    "sed",
    "sh",
)
STUB = """#!/bin/bash
printf '%s ' "{name}" "$@" >>"$NOTES"; echo >>"$NOTES"
{does}
"""
# what each would answer; ECR's state is a folder
STUBS = {
    "docker": """
case $1 in
  save) echo "an image" >"$3" ;;
  run) for word; do case $word in */sbom.cdx.json) echo '{}' >"${4%:/image}/sbom.cdx.json" ;; esac; done ;;
  push) [ -z "${BREAKS_OFF-}" ] || exit 1; printf '%s' "${PUSHES-$MANIFEST}" >"$ECR/${2##*:}" ;;
esac""",
    "aws": """
tag=${6#imageTag=}
[ -z "${DENIED-}" ] || { echo "An error occurred (AccessDeniedException)" >&2; exit 254; }
[ -e "$ECR/$tag" ] || { echo "An error occurred (ImageNotFoundException) when calling DescribeImages" >&2; exit 254; }
cat "$ECR/$tag" """,
    "gh": "",
}


@dataclass(frozen=True)
class Runner:
    """One of GitHub's machines, with a checkout."""

    folder: Path
    checkout: Path

    @property
    def called(self) -> list[str]:
        notes = self.folder / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder),
            "NOTES": str(self.folder / "notes"),
            "ECR": str(self.folder / "ecr"),
            "MANIFEST": DOCKER,
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_REPOSITORY": "somebody/ml",
            "TMPDIR": str(self.folder / "tmp"),
            **environment,
        }
        return subprocess.run(
            [*SHELL, "-c", script],
            cwd=self.checkout,
            env=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    programs = tmp_path / "bin"
    for folder in (programs, tmp_path / "ecr", tmp_path / "tmp"):
        folder.mkdir()
    for name in (*PROGRAMS, "sha256sum", "true"):
        found = shutil.which(name)
        assert found, name
        (programs / name).symlink_to(found)
    for name, does in STUBS.items():
        write_program(programs / name, STUB.format(name=name, does=does) if does else STUB.format(name=name, does=":"))
    # any Python 3, with only the standard library
    write_program(programs / "python3", f'#!/bin/bash\nexec "{Path(sys.executable).resolve()}" -S "$@"\n')
    checkout = copy_checkout(tmp_path / "it's a checkout")
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    return Runner(tmp_path, checkout)


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def steps(workflow: str, job: str) -> Iterator[dict[str, Any]]:
    """The steps that run something."""
    yield from (step for step in WORKFLOWS[workflow]["jobs"][job]["steps"] if "run" in step)


def evaluated(text: str, context: Mapping[str, str]) -> str:
    """An expression missing from the context is an error."""
    return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: context[found[1]], text)


def take(runner: Runner, workflow: str, job: str, context: Mapping[str, str], *left_out: str) -> list[str]:
    """Run a job's steps; the output of each.

    Raises:
        AssertionError: a step failed.
    """
    printed = []
    for step in steps(workflow, job):
        if any(word in step["run"] for word in left_out):
            continue
        environment = {name: evaluated(value, context) for name, value in step.get("env", {}).items()}
        done = runner.run(step["run"], **environment)
        assert done.returncode == 0, f"{step['run']}:\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed


def context_of(environment: str, runner: Runner) -> dict[str, str]:
    output = (runner.folder / "output").read_text()
    return {
        "inputs.environment": environment,
        "inputs.image-sha256": output.removeprefix("sha256=").strip(),
        "needs.build.outputs.sha256": output.removeprefix("sha256=").strip(),
        "steps.ecr.outputs.registry": REGISTRY,
        "github.token": "a token",
    }


def test_the_image_is_built_without_credentials_and_published_by_another_job(runner: Runner) -> None:
    take(runner, "image", "build", {})
    built = runner.called
    assert not any(call.startswith("aws") for call in built)
    [build] = [call for call in built if call.startswith("docker build")]
    assert {"--provenance=false", "--sbom=false", "type=image,oci-mediatypes=false"} <= set(build.split())
    assert re.search(r"BASE=python:\S+@sha256:[0-9a-f]{64} ", build)
    scans = [call for call in built if call.startswith("docker run")]
    assert len(scans) == 2
    assert all(
        re.search(r"aquasec/trivy:\S+@sha256:[0-9a-f]{64} image --input /image/image.tar", call) for call in scans
    )
    assert not any("docker.sock" in call for call in built)
    assert (runner.checkout / "image" / "sbom.cdx.json").exists()
    take(runner, "image", "attest", context_of("dev", runner))
    take(runner, "deploy-environment", "deploy", context_of("dev", runner), "make deploy", "setup.sh")
    repository = f"{REGISTRY}/{load_target('dev').name}-jobs:{image_tag()}"
    assert [call for call in runner.called if call.startswith("docker push")] == [f"docker push {repository} "]
    assert any(call.startswith("gh attestation verify image/image.tar") for call in runner.called)
    (runner.folder / "notes").unlink()
    take(runner, "deploy-environment", "deploy", context_of("dev", runner), "make deploy", "setup.sh")
    assert not any(call.startswith("docker") for call in runner.called), "the second deploy of the same sources"


def test_another_image_than_the_one_that_was_built_is_not_deployed(runner: Runner) -> None:
    take(runner, "image", "build", {})
    (runner.checkout / "image" / "image.tar").write_text("another")
    check = next(iter(steps("deploy-environment", "deploy")))
    done = runner.run(check["run"], SHA256=context_of("dev", runner)["inputs.image-sha256"])
    assert done.returncode != 0
    assert "FAILED" in done.stdout


@pytest.fixture
def publish() -> str:
    return f"include/ops/mwaa/publish_image.sh {REGISTRY}/ml-dev-jobs"


def test_a_push_that_was_broken_off_is_completed_next_time(runner: Runner, publish: str) -> None:
    assert runner.run(publish, BREAKS_OFF="yes").returncode != 0
    done = runner.run(publish)
    assert done.returncode == 0, done.stderr
    assert (runner.folder / "ecr" / image_tag()).read_text() == DOCKER
    tags = {call.split()[-1].partition(":")[2] for call in runner.called if call.startswith("docker push")}
    assert tags == {image_tag()}, "one tag: a second would be locked if the first is missing"


@pytest.mark.parametrize("there_before", [True, False])
def test_an_image_that_sagemaker_would_refuse_is_said(runner: Runner, publish: str, there_before: bool) -> None:
    if there_before:
        (runner.folder / "ecr" / image_tag()).write_text(INDEX)
    done = runner.run(publish, PUSHES=INDEX)
    assert done.returncode == 1
    assert f"is {INDEX}, which SageMaker refuses" in done.stderr
    assert "aws ecr batch-delete-image --repository-name ml-dev-jobs" in done.stderr


def test_a_registry_that_may_not_be_read_is_not_taken_for_an_empty_one(runner: Runner, publish: str) -> None:
    done = runner.run(publish, DENIED="yes")
    assert done.returncode != 0
    assert "AccessDeniedException" in done.stderr
    assert not any(call.startswith("docker") for call in runner.called)


def test_an_image_of_other_sources_is_not_published(runner: Runner, publish: str) -> None:
    folder = runner.checkout / "image"
    folder.mkdir()
    (folder / "tag").write_text("sources-0")
    done = runner.run(f"{publish} image")
    assert done.returncode == 1
    assert f"the sources here are those of {image_tag()}" in done.stderr


@pytest.fixture
def with_environments(runner: Runner) -> Runner:
    """The checkout after setup.sh: environments with their packages, here those of this checkout."""
    write_program(runner.checkout / "include/ops/local_stack/setup.sh", "#!/bin/bash\n")
    for name in ("airflow", "mwaa"):
        real = ROOT / ".venv" / name / "bin" / "python"
        write_program(runner.checkout / f".venv/{name}/bin/python", f'#!/bin/bash\nexec "{real}" "$@"\n')
    dev = runner.checkout / "include/ops/mwaa/environments/dev.yaml"  # its address is a placeholder, so it is refused
    dev.write_text(dev.read_text().replace("@example.com", "@plant.test"))
    return runner


def test_the_stacks_are_looked_at_as_far_as_the_account(with_environments: Runner) -> None:
    context = {"inputs.environment": "dev", "inputs.dry_run && '1' || ''": "1"}
    *_, step = steps("deploy-infra", "infra")
    environment = {name: evaluated(value, context) for name, value in step["env"].items()}
    done = with_environments.run(step["run"], **environment, **nowhere())
    assert "error: Could not connect to the endpoint" in done.stderr, done.stderr


def test_a_deploy_runs_as_far_as_the_account(with_environments: Runner) -> None:
    step = list(steps("deploy-environment", "deploy"))[-1]
    done = with_environments.run(step["run"], ENVIRONMENT="dev", **nowhere())
    assert "error: Could not connect to the endpoint" in done.stderr, done.stderr


def nowhere() -> dict[str, str]:
    """An AWS address where nothing listens, and credentials for it."""
    keys = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return {**keys, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "LANG": os.environ.get("LANG", "C.UTF-8")}


def test_every_step_is_run_here_or_is_a_target_of_the_gate() -> None:
    ran = {("image", "build"), ("deploy-environment", "deploy"), ("deploy-infra", "infra"), ("image", "attest")}
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for name, workflow in WORKFLOWS.items():
        for job, described in workflow["jobs"].items():
            if "steps" not in described or (name, job) in ran:
                continue
            for step in steps(name, job):
                words = step["run"].split()
                assert (words[0] == "make" and words[1] in targets) or "actionlint" in step["run"], (name, job, step)


def test_what_reaches_an_environment_is_of_main_alone() -> None:
    """The rule of a GitHub environment (docs/mwaa.md) also requires it; a workflow started by hand checks it itself."""
    for name in ("deploy-dags", "publish-image", "deploy-infra"):
        jobs = WORKFLOWS[name]["jobs"]
        first = [job for job in jobs.values() if not job.get("needs") and "ci.yaml" not in job.get("uses", "")]
        assert [job["if"] for job in first] == ["github.ref == 'refs/heads/main'"], name


def test_a_deploy_may_run_where_a_private_web_server_is_reached() -> None:
    """GitHub's runners are outside the VPC: docs/mwaa.md says how to name another runner."""
    assert WORKFLOWS["deploy-environment"]["jobs"]["deploy"]["runs-on"] == "${{ vars.DEPLOY_RUNNER || 'ubuntu-24.04' }}"


def test_every_action_and_image_is_named_by_its_digest() -> None:
    used = re.findall(r"uses: (\S+)", "\n".join(path.read_text() for path in FOLDER.glob("*.yaml")))
    assert len(used) > 10
    assert [name for name in used if not name.startswith("./") and not re.search(r"@[0-9a-f]{40}$", name)] == []
    scripts = [*FOLDER.glob("*.yaml"), *(ROOT / "include/ops/mwaa").glob("*.sh")]
    images = [
        found
        for path in scripts
        for found in re.findall(r"\b(?:rhysd|aquasec|python)[/:][\w./:-]+\S*", path.read_text())
    ]
    assert len(images) >= 3
    assert [name for name in images if not re.search(r"@sha256:[0-9a-f]{64}", name)] == []


def test_credentials_come_after_all_that_is_installed() -> None:
    """Whatever a make target would install is in place before credentials are at hand."""
    targets = dict(re.findall(r"^([a-z-]+):.*\n\t@\$\(setup\)(?: --for [a-z-]+)?(.*)$", MAKEFILE, re.MULTILINE))
    signing = 0
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            lines = [json.dumps(step) for step in job.get("steps", [])]
            signed_in = next((n for n, line in enumerate(lines) if "configure-aws-credentials" in line), len(lines))
            installs = [n for n, line in enumerate(lines) if "setup.sh" in line or "build_image.sh" in line]
            assert all(n < signed_in for n in installs), name
            installed = {word for n in installs for word in re.findall(r"\w+", lines[n].partition("setup.sh")[2])}
            for target in re.findall(r"make ([a-z-]+)", " ".join(lines[signed_in:])):
                signing += 1
                assert set(targets[target].split()) <= installed, (name, target)
    assert signing >= 2
