"""One serving container as a local process: its model unpacked, its `serve` command, its health, and calls to it."""

import http.client
import shutil
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from include.local_sagemaker.containers.logs import LogStream
from include.local_sagemaker.containers.model_data import ArtifactError, unpack_model_data
from include.local_sagemaker.containers.role import check_keys_and_network, check_pull
from include.local_sagemaker.containers.s3_transfer import TransferError
from include.local_sagemaker.containers.sandbox import Container, Process, UnknownImageError
from include.local_sagemaker.core.service import Region
from include.local_sagemaker.core.store import Json

PORT = 8080
PING_TIMEOUT = 2.0
PING_PAUSE = 0.05
INVOCATION_SECONDS = 60.0
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency metrics for "
    "each container in Amazon CloudWatch, resolve the issue, and try again."
)
MOST_STARTS = 3  # a container that exits this often will not come up; SageMaker tries for half an hour


class ServingError(Exception):
    """A container did not start; the message is SageMaker's FailureReason."""


class NotStartableError(ServingError):
    """The image or the model data is not available: the request is at fault, not the program."""


class NoAnswerError(Exception):
    """The container closed the connection without an answer, or does not listen."""


@dataclass(frozen=True)
class Answer:
    """A container's answer; header names in lower case. Status 0: none came in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


_PORTS: set[int] = set()  # assigned to a container that may not listen yet
_PORTS_LOCK = threading.Lock()


def _take_port() -> int:
    """A free TCP port of 127.0.0.1 that no other container was assigned."""
    with _PORTS_LOCK:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in _PORTS:
                _PORTS.add(port)
                return port


class ModelServer:
    """One container that serves one model; may be started again after stop.

    It listens on 8080 in its own network; where it shares the machine's, on the port SAGEMAKER_BIND_TO_PORT.

    ``container`` has Image, model data and Environment as in CreateModel; ``title`` names it in failure reasons.
    """

    def __init__(
        self,
        region: Region,
        container: Json,
        folder: Path,
        *,
        log: LogStream,
        title: str,
    ) -> None:
        self.in_flight = 0
        self.healthy = False
        self._region = region.acting_as(container.get("_Role", ""))
        self._container = container
        self._folder = folder
        self._log = log
        self._title = title
        self._process: Process | None = None
        self._port = 0
        self._starts = 0
        self._idle: deque[http.client.HTTPConnection] = deque()

    @property
    def running(self) -> bool:
        """Whether the process is running (it may not be healthy)."""
        return self._process is not None and not self._process.ended.is_set()

    def start(self) -> None:
        """Unpack the model and start the program; does not wait for it.

        Raises:
            ServingError: the model data is gone or broken, no environment is configured for the image, or the role
            lacks a permission for it.
        """
        self._starts = 0
        shutil.rmtree(self._folder, ignore_errors=True)
        root = self._folder / "ml"
        (root / "model").mkdir(parents=True)
        try:
            check_keys_and_network(self._region, key=None, vpc=self._container.get("_VpcConfig"))
            unpack_model_data(self._region, self._container, root / "model")
        except (ArtifactError, TransferError) as error:
            raise NotStartableError(str(error)) from error
        self._launch()

    def restart(self) -> None:
        """Restart the program with the model that was unpacked before; does not wait for it.

        Raises:
            ServingError: no environment is configured for the image any more.
        """
        self._end()
        self._starts = 0
        self._launch()

    def _launch(self) -> None:
        self._starts += 1
        service = self._region.service
        environment = dict(self._container.get("Environment", {}))
        _PORTS.discard(self._port)
        self._port = PORT
        if not service.sandbox.own_networks:
            self._port = _take_port()
            environment |= {
                "SAGEMAKER_BIND_TO_PORT": str(self._port),
                "SERVE_HOST": "127.0.0.1",  # no container around it isolates the port
                "SAGEMAKER_SAFE_PORT_RANGE": f"{self._port}-{self._port}",
            }
        container = Container(
            self._container["Image"],
            ["serve"],
            environment,
            self._folder / "ml",
            own_network=service.sandbox.own_networks,
        )
        try:
            check_pull(self._region, container.image)
            self._process = service.sandbox.start(
                container,
                self._log.follow,
                region=self._region.name,
                credentials=service.credentials(self._region.role),
            )
        except UnknownImageError as error:
            raise NotStartableError(f'Failed to load image for container "container_1": {error}') from error

    def wait_until_healthy(self, seconds: float, cancelled: Callable[[], bool]) -> None:
        """Wait until /ping answers 200; a process that exits is started again a few times.

        Raises:
            ServingError: it does not answer in time, keeps exiting, or ``cancelled()`` is true.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end and not cancelled():
            if not self.running:
                if self._starts >= MOST_STARTS:
                    break
                self._launch()
            elif self.ping():
                self.healthy = True
                return
            time.sleep(PING_PAUSE)
        shared = not self._region.service.sandbox.own_networks
        raise ServingError(
            f"The primary container for {self._title} did not pass the ping health check. "
            "Please check CloudWatch logs for this endpoint."
            + (f" (It had to listen on {self._port}, the port in SAGEMAKER_BIND_TO_PORT.)" if shared else "")
        )

    def ping(self) -> bool:
        """Whether GET /ping answers 200 within two seconds."""
        try:
            return self.call("GET", "/ping", {}, None, PING_TIMEOUT).status == http.HTTPStatus.OK
        except (NoAnswerError, TimeoutError):
            return False

    def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout: float) -> Answer:
        """One HTTP request over a connection that is kept alive; thread-safe.

        Raises:
            TimeoutError: no answer within ``timeout`` seconds.
            NoAnswerError: the process does not listen, or closed the connection without an answer.
        """
        while True:
            try:
                connection, fresh = self._idle.popleft(), False
            except IndexError:
                connection, fresh = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout), True
            try:
                return self._exchange(connection, method, path, headers, body, timeout)
            except TimeoutError:
                connection.close()
                raise
            except (http.client.HTTPException, OSError) as error:
                connection.close()
                if isinstance(error, ConnectionRefusedError):  # the process is down; others may be up
                    self.healthy = False
                if fresh:  # otherwise a kept connection that the server closed meanwhile: try the next one
                    raise NoAnswerError(f"{type(error).__name__}: {error}") from error

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,
    ) -> Answer:
        if connection.sock is None:
            connection.sock = self._connect(timeout)
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(timeout)
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        content = response.read()
        if response.will_close:
            connection.close()
        elif connection.port == self._port:
            self._idle.append(connection)
        answered = {key.lower(): value for key, value in response.getheaders()}
        return Answer(response.status, answered, content)

    def _connect(self, timeout: float) -> socket.socket:
        network = self._process.network if self._process else None
        made = network.socket() if network else socket.socket()
        try:
            made.settimeout(timeout)
            made.connect(("127.0.0.1", self._port))
        except OSError:
            made.close()
            raise
        return made

    def drain(self, seconds: float) -> None:
        """Wait until no request is in flight, up to a limit."""
        end = time.monotonic() + seconds
        while self.in_flight > 0 and time.monotonic() < end:
            time.sleep(0.01)

    def _end(self) -> None:
        self.healthy = False
        while self._idle:
            self._idle.popleft().close()
        if self._process is not None:
            self._process.stop(self._region.settings.stop_grace_seconds)
        _PORTS.discard(self._port)

    def stop(self) -> None:
        """End the process (SIGTERM, then SIGKILL after the server's grace) and remove its files."""
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)


def ask(server: ModelServer | None, headers: Mapping[str, str], body: bytes) -> Answer:
    """One invocation as an endpoint sends it, with its time limit; failures are answers too."""
    if server is None:
        return Answer(503, {}, b"No serving process of the container is healthy; it is being restarted.")
    try:
        return server.call("POST", "/invocations", headers, body, INVOCATION_SECONDS)
    except TimeoutError:
        return Answer(0, {}, _TIMED_OUT.encode())
    except NoAnswerError as error:
        return Answer(503, {}, str(error).encode())
