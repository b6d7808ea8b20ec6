"""The launcher on its own, as an ordinary user: a private /opt/ml needs no root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.include.local_sagemaker.local_server import ROOT

LAUNCHER = ROOT / "include" / "local_sagemaker" / "containers" / "launch.py"
NOBODY = 65534
# imports all that the launcher needs while the interpreter's files can still be read, then gives up root
AS_NOBODY = """
import __future__, ctypes, encodings.ascii, json, os, select, signal, sys, typing
code, library = compile(open(sys.argv[1]).read(), "launch.py", "exec"), ctypes.CDLL(None)
os.setgroups([]); os.setgid(NOBODY); os.setuid(NOBODY)
library.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, which setuid took away, and with it the right to /proc/self
sys.argv = ["launch.py", sys.argv[2], str(os.pipe()[0])]
exec(code, {"__name__": "__main__"})
""".replace("NOBODY", str(NOBODY))


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces need Linux")
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize("namespaces", ["pid", "mount"])
def test_an_ordinary_user_gets_a_private_opt_ml(namespaces: str) -> None:
    folder = Path(tempfile.mkdtemp())  # not tmp_path, whose parents only root may enter
    root = folder / "ml"
    root.mkdir()
    spec = folder / "spec.json"
    command = ["/bin/sh", "-c", "id -u; echo mine > /opt/ml/file; ls /opt/ml"]
    environment = {"PATH": "/usr/bin:/bin"}
    document = {
        "namespaces": namespaces,
        "root": str(root),
        "command": command,
        "environment": environment,
        "directory": "/",
    }
    spec.write_text(json.dumps(document))
    for path in (folder, root, spec):
        os.chown(path, NOBODY, NOBODY)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(LAUNCHER), str(spec)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if "PermissionError" in done.stderr and "unshare" in done.stderr:
        pytest.skip("this kernel allows ordinary users no namespaces (user.max_user_namespaces, a seccomp profile)")
    assert (done.returncode, done.stdout.split()) == (0, [str(NOBODY), "file"]), done.stderr
    assert (root / "file").read_text() == "mine\n"
    assert not Path("/opt/ml/file").exists()
