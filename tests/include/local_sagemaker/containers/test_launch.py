"""The launcher alone, as an ordinary user: a private /opt/ml needs no root."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.include.local_sagemaker.local_server import ROOT

LAUNCHER = ROOT / "include" / "local_sagemaker" / "containers" / "launch.py"
NOBODY = 65534
# imports everything that the launcher needs while the interpreter's files are still readable, then gives up root
AS_NOBODY = """
import __future__, ctypes, encodings.ascii, fcntl, json, os, select, signal, socket, sys, typing
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
    folder = Path(tempfile.mkdtemp())  # not tmp_path: only root may enter its parents
    root, hosts = folder / "ml", folder / "hosts"
    root.mkdir()
    hosts.write_text("127.64.0.2 algo-2\n127.0.0.1 localhost\n")
    spec = folder / "spec.json"
    command = ["/bin/sh", "-c", "id -u; echo mine > /opt/ml/file; ls /opt/ml; hostname; getent hosts algo-2"]
    environment = {"PATH": "/usr/bin:/bin"}
    document = {
        "namespaces": namespaces,
        "root": str(root),
        "hostname": "algo-1",
        "hosts": str(hosts),
        "control": None,
        "command": command,
        "environment": environment,
        "directory": "/",
    }
    spec.write_text(json.dumps(document))
    for path in (folder, root, spec, hosts):
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
    said = [str(NOBODY), "file", "algo-1", "127.64.0.2", "algo-2"]
    assert (done.returncode, done.stdout.split()) == (0, said), done.stderr
    assert (root / "file").read_text() == "mine\n"
    assert not Path("/opt/ml/file").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces need Linux")
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_an_ordinary_users_program_has_port_8080_to_itself() -> None:
    """In a separate network, to which the launcher hands out sockets."""
    folder = Path(tempfile.mkdtemp())
    root, spec = folder / "ml", folder / "spec.json"
    root.mkdir()
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    document = {
        "namespaces": "pid",
        "root": str(root),
        "hostname": "",
        "hosts": "",
        "control": theirs.fileno(),
        "command": [
            "/usr/bin/env",
            "python3",
            "-c",
            "import socket; s = socket.create_server(('127.0.0.1', 8080)); s.accept()[0].sendall(b'here')",
        ],
        "environment": {"PATH": os.environ["PATH"]},
        "directory": "/",
    }
    spec.write_text(json.dumps(document))
    for path in (folder, root, spec):
        os.chown(path, NOBODY, NOBODY)
    started = subprocess.Popen(
        [sys.executable, "-c", AS_NOBODY, str(LAUNCHER), str(spec)],
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    try:
        ours.sendall(b"g")
        deadline = time.monotonic() + 20
        while True:
            ours.sendall(b"s")
            descriptors = socket.recv_fds(ours, 1, 1)[1]
            if not descriptors:
                _, errors = started.communicate(timeout=20)
                if "PermissionError" in errors and "unshare" in errors:
                    pytest.skip("this kernel allows ordinary users no namespaces")
                pytest.fail(errors)
            with socket.socket(fileno=descriptors[0]) as inside:
                try:
                    inside.connect(("127.0.0.1", 8080))
                except ConnectionRefusedError:  # the program has just started
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                    continue
                assert inside.recv(10) == b"here"
                break
    finally:
        started.kill()
        started.communicate()
