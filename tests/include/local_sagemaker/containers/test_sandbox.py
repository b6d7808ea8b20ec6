"""What a program sees of its machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from include.local_sagemaker.containers.sandbox import Container, Sandbox
from include.local_sagemaker.core.settings import Settings
from tests.include.local_sagemaker.local_server import ROOT

SAYS_WHERE_IT_IS = "import os, sys; print(sys.prefix, os.environ['HOME'], os.environ['TMPDIR'], sep='\\n')"


def test_a_program_has_plain_paths_wherever_the_checkout_is(tmp_path: Path) -> None:
    checkout = tmp_path / "it's a, test #1 (50 %) ü"
    (checkout / "state").mkdir(parents=True)
    (checkout / "python").symlink_to(ROOT / ".venv" / "jobs")
    sandbox = Sandbox(Settings(checkout / "state", images=(("*", checkout / "python"),)))
    for number in range(2):  # the second run finds the names of the first
        root = checkout / "state" / f"job-{number}"
        root.mkdir()
        container = Container("jobs", ["python", "-c", SAYS_WHERE_IT_IS], {}, root)
        printed = bytearray()

        def read(descriptor: int, into: bytearray = printed) -> None:
            while chunk := os.read(descriptor, 4096):
                into += chunk

        process = sandbox.start(container, read, region="us-east-1", credentials={})
        assert process.wait(20) == 0, printed.decode()
        assert len(printed.splitlines()) == 3
        for path in printed.decode().splitlines():
            assert re.fullmatch(r"[\w/.-]{1,80}", path, re.ASCII), path
