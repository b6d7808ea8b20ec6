"""A container's own network, from the server's side: sockets in it, and the ports of this machine that it reaches.

A socket belongs to the network it was created in, whoever uses it. The launcher in the container makes them and hands
them over, so that neither root nor a bridge, an address or a rule of the machine's own network is needed.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterable

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0
_COPY_BYTES = 65536


class Network:
    """One container's network."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._lock = threading.Lock()
        self._listeners: list[socket.socket] = []

    @classmethod
    def pair(cls) -> tuple[Network, socket.socket]:
        """A network still to be created, and the launcher's end of its control socket."""
        ours, theirs = socket.socketpair()
        ours.settimeout(_PATIENCE_SECONDS)
        return cls(ours), theirs

    def open(self, ports: Iterable[int]) -> None:
        """Let the container reach these ports of this machine's 127.0.0.1, then let its program start."""
        try:
            for port in ports:
                listener = self.socket()
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", port))
                listener.listen()
                self._listeners.append(listener)
                threading.Thread(target=_forward, args=(listener, port), name=f"forward-{port}", daemon=True).start()
            self._control.sendall(b"g")
        except OSError as error:  # the launcher ended; its output says why
            log.warning("a container's network could not be opened: %s", error)

    def socket(self) -> socket.socket:
        """A TCP socket in this network. Raises ConnectionError when the container has ended."""
        try:
            with self._lock:
                self._control.sendall(b"s")
                _, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except OSError as error:
            raise ConnectionRefusedError(f"the container has ended: {error}") from error
        if not descriptors:
            raise ConnectionRefusedError("the container has ended")
        return socket.socket(fileno=descriptors[0])

    def close(self) -> None:
        """To be called when the container has ended."""
        for one in (self._control, *self._listeners):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for connections
            one.close()


def _forward(listener: socket.socket, port: int) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return  # closed
        try:
            far = socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS)
        except OSError as error:
            log.warning("a container asked for 127.0.0.1:%d, where nothing answers: %s", port, error)
            near.close()
            continue
        far.settimeout(None)
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=_copy, args=(source, target), name=f"forward-{port}", daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """One direction of a connection. Each closes the socket that only it writes to; the last one frees both."""
    with contextlib.suppress(OSError):  # the other end has gone
        while chunk := source.recv(_COPY_BYTES):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
