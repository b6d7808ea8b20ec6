"""Runs programs as SageMaker runs containers: an image's environment, a private /opt/ml, and no surviving processes."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from include.local_sagemaker.containers.network import Network
from include.local_sagemaker.core.settings import Settings

log = logging.getLogger(__name__)

OPT_ML = "/opt/ml"
_LAUNCHER = Path(__file__).with_name("launch.py")


class UnknownImageError(Exception):
    """No Python environment is configured for the image URI; `args[0]` is for the person who runs the server."""


@dataclass(frozen=True)
class Container:
    """What to run: `command` is entry point and arguments, `root` is the directory that becomes /opt/ml.

    It has `hostname`, and resolves `hosts` (name -> address), if the machine has namespaces. With `own_network` it gets
    its own network if possible (`Sandbox.own_networks`); otherwise it shares the machine's.
    """

    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    root: Path
    hostname: str = ""
    hosts: Mapping[str, str] = field(default_factory=dict)
    own_network: bool = False


class Process:
    """A running container. Its output has been read to the end when `wait` returns."""

    def __init__(
        self,
        launcher: subprocess.Popen[bytes],
        lifeline: int,
        sink: Callable[[int], None],
        clean_up: Callable[[], None] | None = None,
        network: Network | None = None,
    ) -> None:
        self._launcher = launcher
        self.network = network
        self._lifeline = lifeline
        self._clean_up = clean_up
        self._lock = threading.Lock()
        self.ended = threading.Event()
        self.exit_code: int | None = None
        self._watched: list[Callable[[], None]] = []
        threading.Thread(target=self._follow, args=(sink,), name=f"output-{launcher.pid}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._launcher.pid

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Calls back from another thread once the process has ended (immediately if it has)."""
        with self._lock:
            if not self.ended.is_set():
                self._watched.append(callback)
                return
        callback()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code (137 if killed), or None while it runs."""
        self.ended.wait(timeout)
        return self.exit_code

    def terminate(self) -> None:
        """SIGTERM to the program, which may ignore it."""
        if not self.ended.is_set():
            self._launcher.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the program and all that it started."""
        with self._lock:
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1

    def stop(self, grace_seconds: float) -> int | None:
        """SIGTERM, SIGKILL after the grace; returns when all is gone."""
        self.terminate()
        if self.wait(grace_seconds) is None:
            self.kill()
        return self.wait()

    def _follow(self, sink: Callable[[int], None]) -> None:
        assert self._launcher.stdout is not None  # noqa: S101 - it was started with a pipe
        try:
            sink(self._launcher.stdout.fileno())
        except Exception:
            log.exception("reading the output of process %s failed; it is killed", self.pid)
            self.kill()
        self._launcher.stdout.close()
        code = self._launcher.wait()
        self.kill()
        if self.network is not None:
            self.network.close()
        if self._clean_up is not None:
            self._clean_up()
        self.exit_code = code if code >= 0 else 128 - code
        with self._lock:
            self.ended.set()
            watched = self._watched
        for callback in watched:
            callback()


class Sandbox:
    """Starts containers in the best way this machine allows, determined once.

    "pid": a mount and a process namespace; "mount": a mount namespace alone; "none": no namespaces, as on macOS; then
    /opt/ml is rewritten to the job's own directory in arguments and environment, and `rewrites` is true.
    `own_networks`: whether a container can have its own network, in which any port is free.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.namespaces = self._find_namespaces(settings.sandbox)
        self.own_networks = self._find_networks()
        self._addresses = itertools.count(1)
        for link in _links().iterdir():  # left by a server that was killed
            if not link.exists():
                link.unlink(missing_ok=True)

    @property
    def rewrites(self) -> bool:
        return self.namespaces == "none"

    def addresses(self, count: int) -> list[str]:
        """Loopback addresses that no other container has, so that two jobs may use the same port."""
        numbers = [next(self._addresses) % 2**22 for _ in range(count)]
        return [f"127.{64 + number // 2**16}.{number // 2**8 % 2**8}.{number % 2**8}" for number in numbers]

    def start(
        self, container: Container, sink: Callable[[int], None], *, region: str, credentials: Mapping[str, str]
    ) -> Process:
        """`sink` is called in its own thread with the file descriptor of the program's output (stdout and stderr)
        and must read it to the end. Raises UnknownImageError."""
        image_environment = self._image_environment(container.image)
        scratch = container.root.parent / f"{container.root.name}-scratch"
        scratch.mkdir(exist_ok=True)
        short = _plain_name(scratch)
        environment = {
            **self._environment(image_environment, short, region),
            **credentials,
            **container.environment,
        }
        command = list(container.command)
        if self.rewrites:
            command = [word.replace(OPT_ML, str(container.root)) for word in command]
            environment.setdefault("OPT_ML", OPT_ML)  # for programs that hard-code it
            environment = {key: value.replace(OPT_ML, str(container.root)) for key, value in environment.items()}
        placed = replace(container, command=command, environment=environment)
        return self._launch(self.namespaces, placed, sink, lambda: short.unlink(missing_ok=True))

    def _image_environment(self, image: str) -> Path:
        found = self._settings.environment_of(image)
        if found is None:
            known = ", ".join(pattern for pattern, _ in self._settings.images) or "none"
            raise UnknownImageError(
                f"No Python environment is configured for the image {image} (patterns: {known}); "
                "start the local SageMaker with --image PATTERN=DIRECTORY for it."
            )
        return found

    def _environment(self, image_environment: Path, scratch: Path, region: str) -> dict[str, str]:
        settings = self._settings
        path = [
            str(_plain_name(image_environment) / "bin"),
            *map(str, settings.path),
            "/usr/local/bin",
            "/usr/bin",
            "/bin",
        ]
        return {
            "PATH": os.pathsep.join(path),
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL": settings.endpoint_url,
        }

    def _launch(
        self,
        namespaces: str,
        container: Container,
        sink: Callable[[int], None],
        clean_up: Callable[[], None] | None = None,
    ) -> Process:
        root = container.root
        network, control = Network.pair() if container.own_network else (None, None)
        spec = root.parent / f"{root.name}-launch.json"
        spec.touch(mode=0o600)
        document = {
            "namespaces": namespaces,
            "root": str(root),
            "hostname": container.hostname,
            "hosts": str(_write_hosts(root, container.hosts)) if container.hosts else "",
            "control": control.fileno() if control else None,
            "command": container.command,
            "environment": container.environment,
            "directory": container.environment["HOME"],
        }
        spec.write_text(json.dumps(document), encoding="utf-8")
        lifeline, held = os.pipe()
        try:
            launcher = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(spec), str(lifeline)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[lifeline, *([control.fileno()] if control else [])],
                start_new_session=True,
            )
        except BaseException:
            os.close(held)
            raise
        finally:
            os.close(lifeline)
            if control:
                control.close()
        process = Process(launcher, held, sink, clean_up, network)
        try:
            if network:
                network.open(_ports_of(container.environment))
        except BaseException:
            process.kill()
            raise
        return process

    def _find_networks(self) -> bool:
        if self._settings.network == "shared" or self.rewrites:
            return False
        problem = self._probe(self.namespaces, own_network=True)
        if problem is None:
            return True
        message = f"this machine cannot give a container its own network ({problem})"
        if self._settings.network == "own":
            raise OSError(f"{message}; start with --network shared to run without.")
        log.warning(
            "%s: a model's container must listen on the port in SAGEMAKER_BIND_TO_PORT; 8080 does not work.", message
        )
        return False

    def _find_namespaces(self, wanted: str) -> str:
        if wanted != "rewrite":
            problems = []
            for namespaces in ("pid", "mount"):
                problem = self._probe(namespaces)
                if problem is None:
                    return namespaces
                problems.append(f"{namespaces}: {problem}")
            message = f"this machine has no private /opt/ml by namespaces ({'; '.join(problems)})"
            if wanted == "namespace":
                raise OSError(f"{message}; start with --sandbox rewrite to run without.")
            log.warning(
                "%s: /opt/ml is rewritten in arguments and environment instead. Jobs that take their paths from there "
                "work, and so do those that use the variable OPT_ML; a program with /opt/ml in its code does not. Host "
                "names such as algo-1 are unknown in a job, and a model's container must listen on the port in "
                "SAGEMAKER_BIND_TO_PORT.",
                message,
            )
        return "none"

    def _probe(self, namespaces: str, *, own_network: bool = False) -> str | None:
        if not sys.platform.startswith("linux"):
            return f"there are none on {sys.platform}"
        with tempfile.TemporaryDirectory(dir=self._settings.state) as folder:
            root = Path(folder) / "ml"
            root.mkdir()
            (root / "probe").touch()
            output: list[bytes] = []
            environment = {"PATH": "/usr/bin:/bin", "HOME": "/"}
            command = ["/bin/sh", "-c", f"test -e {OPT_ML}/probe"]
            probe = Container("", command, environment, root, own_network=own_network)
            process = self._launch(namespaces, probe, lambda fd: output.extend(_chunks(fd)))
            if process.wait(10) == 0:
                return None
            process.kill()
            process.wait()
            return b"".join(output).decode(errors="replace").strip().rpartition("\n")[2] or "the probe failed"


def _write_hosts(root: Path, hosts: Mapping[str, str]) -> Path:
    """The job's hosts, followed by the machine's /etc/hosts."""
    file = root.parent / f"{root.name}-hosts"
    machine = Path("/etc/hosts")
    lines = [f"{address} {name}" for name, address in hosts.items()]
    file.write_text("\n".join([*lines, machine.read_text() if machine.is_file() else ""]))
    return file


def _ports_of(environment: Mapping[str, str]) -> set[int]:
    """The ports of this machine that the environment names, including the local SageMaker's."""
    found = re.findall(r"(?:127\.0\.0\.1|localhost):(\d{1,5})\b", " ".join(environment.values()))
    return {int(port) for port in found if 0 < int(port) < 2**16}


def _plain_name(directory: Path) -> Path:
    """A link to the directory, as plain as paths in an image are: no library misreads a character of it (MLflow takes a
    "%" in its own path for an interpolation), and programs can have sockets in there (at most 107 bytes)."""
    link = _links() / hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    with contextlib.suppress(FileExistsError):  # its name encodes its target
        link.symlink_to(directory)
    return link


def _links() -> Path:
    links = Path(tempfile.gettempdir()) / f"local-sagemaker-{os.getuid()}"
    links.mkdir(mode=0o700, exist_ok=True)
    if links.stat().st_uid != os.getuid():
        raise OSError(f"{links} belongs to another user; remove it, or set TMPDIR to a directory of your own.")
    return links


def _chunks(descriptor: int) -> list[bytes]:
    chunks = []
    while chunk := os.read(descriptor, 65536):
        chunks.append(chunk)
    return chunks
