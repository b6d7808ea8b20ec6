"""Every command in the docs is understood by its program, and executed by a test unless there is a reason why not.

New commands are found automatically. They fail here until ``PROOFS`` names the test that executes them, or says why
none can.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.model import OperationModel

from include.ops.local_stack import arguments
from include.ops.local_stack.settings import ROOT
from include.ops.mwaa.aws_check import AwsCheck
from include.ops.mwaa.target import load_target
from include.ops.mwaa.vpc_endpoints import vpc_endpoints
from tests.test_makefile import FOR_EVERY_TARGET, MAKEFILE, TARGETS

PROGRAMS = ("make", "aws", "gh", "copier", "docker", "python", "curl", "source", "git")
FENCE = re.compile(r"\s*```(\w*)")
SPAN = re.compile(r"`([^`]+)`")
AWS = "needs an account; its operation and its parameters are validated against AWS's model of the API"
ACCOUNT, ENGINE, HOURS = (
    "needs an AWS account",
    "needs Docker: CI runs it",
    "takes an hour or more: run before a release",
)

HERE = "tests/test_docs.py"
TO_BE_WRITTEN = {"include/jobs/sinks/queue.py", "include/models/late_books/model.yaml"}  # by readers of a how-to

# the beginning of a command -> the test that executes it, or the reason why none does
PROOFS: dict[str, str] = {
    "make run": "tests/e2e/test_train_run.py::test_a_run_on_good_data_registers_a_model",
    "make promote": "tests/e2e/test_deploy_run.py::promoted",
    "make backfill": "tests/e2e/test_score_run.py::test_a_backfill_scores_every_day_once",
    "make new-model": "tests/e2e/test_new_model.py::test_a_model_from_a_file_runs_without_another_edit",
    "make up": "make run starts the same stack in tests/e2e; tests/test_makefile.py calls it with stubs",
    "make mlflow": "starts a server of another project: tests/include/ops/local_stack/test_status.py has its command",
    "make down": "tests/e2e/conftest.py::running",
    "make status": "tests/include/ops/local_stack/test_status.py",
    "make health": "tests/include/ops/test_health.py",
    "make costs": "asks a running stack or MWAA: tests/include/platform/test_costs.py has what it reads",
    "make serve": "never ends: tests/include/online/ has the service, tests/test_makefile.py its arguments",
    "make score": "starts a stack: tests/include/online/test_score_file.py has what it runs",
    "make scores": "starts a stack: tests/include/client/ has what it reads",
    "make kafka-test": "needs brokers; without them its tests run on noida-db if that is installed",
    "make notebooks": "tests/e2e/test_score_run.py::test_the_notebook_that_explores_a_model_runs",
    "make screenshots": "needs a stack with a scored model; tests/e2e/test_browser.py looks at the same pages",
    "make bundle": "tests/include/ops/mwaa/test_bundle.py",
    "make infra": "tests/include/ops/mwaa/test_infra.py::test_nothing_is_changed_without_a_yes",
    "make destroy": "tests/include/ops/mwaa/test_destroy.py",
    "make deploy": "tests/include/ops/mwaa/test_deploy.py::test_a_first_deploy_does_all_and_a_second_nothing",
    "make aws-check": "tests/include/ops/mwaa/test_aws_check.py::test_every_promise_holds_and_nothing_is_left",
    "make help": f"{HERE}::test_cheap_commands_are_executed",
    "make docs": "tests/include/ops/test_reference.py",
    "make lint": "the gate runs it",
    "make test": "the gate runs it",
    "make check": "tests/test_template.py::test_a_repository_is_made_changed_and_updated",
    "make audit": "CI runs it: it asks a vulnerability database; tests/test_audit.py has its rules",
    "make pins": "asks the package index for newer versions, so its outcome is never the same",
    "make bench": HOURS,
    "make faults": HOURS,
    "make backfill-faults": HOURS,
    "make sabotage": HOURS,
    "make replay": HOURS,
    "make iam-test": "CI runs it: a whole stack under enforced IAM",
    "make oracle": "CI runs it: an environment of two gigabytes",
    "make bundle-test": "CI runs it: a whole stack under MWAA's configuration",
    "make compose-up": ENGINE,
    "make compose-down": ENGINE,
    "make compose-test": ENGINE,
    "include/ops/local_stack/compose.sh": ENGINE,
    "docker": ENGINE,
    "aws cloudformation deploy": f"{ACCOUNT}; tests/include/ops/mwaa/test_infra.py deploys the template",
    "aws": AWS,
    "gh api": "needs GitHub",
    "copier": "tests/test_template.py::test_a_repository_is_made_changed_and_updated",
    "include/ops/mwaa/publish_image.sh": "tests/test_workflows.py::test_an_image_of_other_sources_is_not_published",
    ".venv/local_sagemaker/bin/python -m include.local_sagemaker": f"{HERE}::test_cheap_commands_are_executed",
    ".venv/airflow/bin/python -m pytest": "tests/run.py",
    ".venv/jobs/bin/python -m pytest": "tests/run.py",
    ".venv/airflow/bin/python -m include.ops.rebuild_index": "tests/include/ops/test_rebuild_index.py",
    ".venv/dev/bin/pre-commit install": "writes into the checkout's .git",
}
CHEAP = (  # executed as written in the docs, with --help for those that would keep running
    ("make help",),
    (".venv/local_sagemaker/bin/python -m include.local_sagemaker", "--help"),
    (".venv/airflow/bin/python -m include.ops.rebuild_index", "--help"),
)


@dataclass(frozen=True)
class Command:
    """One command of the docs, on one line, without anything before its program."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def documents() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.splitlines()]


def commands() -> Iterator[Command]:
    for document in documents():
        yield from commands_of(document.read_text(encoding="utf-8"), str(document.relative_to(ROOT)))


def commands_of(text: str, name: str) -> Iterator[Command]:
    """Commands in code blocks (with no language or a shell's; continued lines are joined) and in inline code."""
    language, waiting = None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence := FENCE.match(line):
            language = fence[1] if language is None else None
        elif language is None:
            spans = map(without_variables, SPAN.findall(line))
            yield from (Command(f"{name}:{number}", span) for span in spans if is_command(span, inline=True))
        elif language in ("", "sh", "bash", "shell", "console"):
            waiting = f"{waiting} {line.strip()}".strip()
            if not waiting.endswith("\\") and waiting.count("'") % 2 == 0:
                if is_command(waiting):
                    yield Command(f"{name}:{number}", without_variables(waiting))
                waiting = ""
            waiting = waiting.removesuffix("\\").strip()


def without_variables(line: str) -> str:
    return re.sub(r"^(?:[A-Z_]+=\S+\s+)+", "", line)


def is_command(line: str, *, inline: bool = False) -> bool:
    program, _, rest = without_variables(line).partition(" ")
    if inline and not rest:  # a program's name alone, or a path
        return False
    return program in PROGRAMS or (
        program.startswith((".venv/", "include/", "tests/")) and "." in program and not rest.startswith("#")
    )


ALL = list(commands())


def proof_of(command: Command) -> str | None:
    begins = [known for known in PROOFS if f"{command.text} ".startswith(f"{known} ")]
    return max(begins, key=len, default=None)


@pytest.mark.parametrize("command", ALL, ids=str)
def test_every_command_is_executed_or_says_why_not(command: Command) -> None:
    known = proof_of(command)
    assert known, f"{command}: PROOFS has no test that executes it, and no reason"


def test_the_proofs_are_there_and_each_is_of_a_command() -> None:
    assert set(map(proof_of, ALL)) >= set(PROOFS)
    for proof in PROOFS.values():
        if proof.startswith("tests/"):
            path, _, test = proof.partition("::")
            assert f"def {test}(" in (ROOT / path).read_text() if test else (ROOT / path).is_file(), proof


def test_commands_are_found_wherever_they_are() -> None:
    text = "Do `make up`, not `make`.\n```\nmake run \\\n  MODEL=a   # once\nA=b .venv/jobs/bin/python -m x\n```\n"
    text += "```yaml\nmake: it\n```\n"
    assert [one.text for one in commands_of(text, "t")] == [
        "make up",
        "make run MODEL=a   # once",
        ".venv/jobs/bin/python -m x",
    ]


MAKES = [command for command in ALL if command.text.startswith("make ")]


def alternatives(words: list[str]) -> Iterator[dict[str, str]]:
    """The arguments of make: those in brackets are optional, ``a|b`` stands for either."""
    pairs = [word.strip("[]").partition("=") for word in words if "=" in word]
    choices = [[(name, value) for value in given.split("|")] for name, _, given in pairs]
    yield from map(dict, itertools.product(*choices))


@pytest.mark.parametrize("command", MAKES, ids=str)
def test_make_knows_the_target_and_takes_what_it_is_given(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = re.sub(r"\.\.\.|<[^>]+>", "", command.text.partition("&&")[0])
    _, target, *words = shlex.split(text, comments=True)
    assert target in TARGETS
    recipe = MAKEFILE.partition(f"\n{target}:")[2].partition("\n.PHONY")[0]
    for given in alternatives(words):
        for name in given:
            assert name in FOR_EVERY_TARGET or re.search(rf"\b{name}\b", recipe), f"make {target} does not know {name}"
        check = arguments.CHECKS.get(target)
        values = {name: value for name, value in given.items() if value not in ("", "name", "usd")}
        needed = {"run": set(), "promote": set(), "health": set(), "new-model": {"NAME", "KIND", "DATA"}}
        if check and values.keys() >= needed.get(target, {"nothing"} - given.keys()):
            prepare(tmp_path, values, monkeypatch)
            check({"MODEL": "predictive_maintenance", **values})


def prepare(folder: Path, values: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that a command names, and the tutorial's model, unless the command creates it."""
    models = folder / "models"
    for known in (ROOT / "include" / "models").glob("*/model.yaml"):
        (models / known.parent.name).mkdir(parents=True, exist_ok=True)
        (models / known.parent.name / "model.yaml").write_text(known.read_text())
    made = models / "late_books"
    made.mkdir(exist_ok=True)
    (made / "model.yaml").write_text("file: loans.csv\n")
    if values.get("NAME") == made.name:
        (made / "model.yaml").unlink()
        made.rmdir()
    monkeypatch.setattr(arguments, "MODELS", models)
    monkeypatch.setattr(arguments, "check_model", lambda name: _known(name, models))
    if data := values.get("DATA"):
        path = folder / data
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.touch()
        else:
            path.mkdir()
            (path / "PdM_telemetry.csv").touch()
    monkeypatch.chdir(folder)


check_model = arguments.check_model


def _known(name: str, models: Path) -> str:
    return check_model(name, models)


AWS_COMMANDS = [
    one for one in ALL if one.text.startswith("aws ") and not one.text.startswith("aws cloudformation deploy")
]
GLOBAL = {"cli_binary_format", "query", "output", "region"}


def operation_of(service: str, name: str) -> OperationModel:
    model: Any = botocore.session.get_session().get_service_model(service)
    (operation,) = [each for each in model.operation_names if botocore.xform_name(each, "-") == name]
    found: OperationModel = model.operation_model(operation)
    return found


@pytest.mark.parametrize("command", AWS_COMMANDS, ids=str)
def test_aws_knows_the_operation_and_its_parameters(command: Command) -> None:
    _, service, name, *words = shlex.split(command.text)
    operation = operation_of(service, name)
    members = {botocore.xform_name(each) for each in operation.input_shape.members}
    given = {word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")}
    assert given <= members | GLOBAL
    assert {botocore.xform_name(each) for each in operation.input_shape.required_members} <= given


def test_what_the_docs_name_is_there() -> None:
    for document in documents():
        text = document.read_text(encoding="utf-8")
        for name in re.findall(
            r"`((?:tests|include|plugins|dags|docs)/[\w./-]+\.(?:py|yaml|sh|md|json|in|txt))`", text
        ):
            assert (ROOT / name).is_file() or name in TO_BE_WRITTEN, f"{document.name}: {name}"


def test_mwaa_md_counts_and_quotes_what_is_there() -> None:
    text = (ROOT / "docs" / "mwaa.md").read_text(encoding="utf-8")
    interfaces = [
        one for one in vpc_endpoints()["Resources"].values() if one["Properties"]["VpcEndpointType"] == "Interface"
    ]
    always = [one for one in interfaces if "Condition" not in one]
    assert f"{len(always)} interface endpoints" in text
    assert len(AwsCheck(load_target("dev"), lambda service: None, {}).steps()) == 9
    assert "nine checks" in text
    dags = [path.read_text(encoding="utf-8") for path in (ROOT / "dags").glob("*.py")]
    for_all = [one for one in dags if re.search(r"^\w+_dag\(", one, re.MULTILINE)]
    assert (len(for_all), "six for all" in text) == (6, True)
    folder = ROOT / "include" / "ops" / "infra"
    templates = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.yaml"))
    alarms = re.findall(r"alarm `\.\.\.-([\w-]+)`", text)
    assert alarms
    for alarm in alarms:
        assert re.search(rf"AlarmName: .*-{alarm}$", templates, re.MULTILINE), alarm
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "plugins" / "sagemaker_jobs").glob("*.py"))
    code += (ROOT / "include" / "ops" / "mwaa" / "deploy.py").read_text(encoding="utf-8")
    for message in ("The account's quota is reached", "has not been published", "stale"):
        assert message in text
        assert message in code


@pytest.mark.parametrize("begins", CHEAP, ids=" ".join)
def test_cheap_commands_are_executed(begins: tuple[str, ...]) -> None:
    text, *more = begins
    assert any(one.text.startswith(text) for one in ALL)
    done = subprocess.run(
        [*shlex.split(text), *more], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": ".:plugins"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout
