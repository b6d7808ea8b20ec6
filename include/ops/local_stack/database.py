"""Airflow's database on a laptop: PostgreSQL, as on MWAA and in the containers, from binaries that come in a wheel.

It listens on no port, only on a Unix socket in a folder that nobody but its owner enters: no password is needed.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from include.ops.local_stack.processes import ProcessError, Service

LONGEST_FOLDER = 85  # bytes; a socket's path, file name and all, has at most 103 on macOS, 107 on Linux
OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    # a laptop that loses power may lose the last moment's commits, never more
    "synchronous_commit": "off",
}


@dataclass(frozen=True)
class Postgres:
    """One database server: its folder, and the folder of ``initdb``, ``postgres`` and ``pg_isready``."""

    folder: Path
    binaries: Path

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://airflow@/postgres?host={self.socket_folder}"

    @cached_property
    def socket_folder(self) -> Path:
        """Inside ``folder``; in the system's folder for temporary files when that path is too long for a socket."""
        inside = self.folder / "socket"
        if len(os.fsencode(inside)) <= LONGEST_FOLDER:
            return inside
        digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"ml-local-{digest}"

    def service(self, home: Path) -> Service:
        command = [*self._as_ordinary_user, str(self.binaries / "postgres"), "-D", str(self.folder / "data")]
        # a list of folders: in quotes, a comma in the name does not part it
        options = {**OPTIONS, "unix_socket_directories": f'"{self.socket_folder}"'}
        arguments = [f"--{key}={value}" for key, value in options.items()]
        # SIGINT: end the sessions that are open and stop; SIGTERM would wait for each to end by itself
        return Service("postgres", [*command, *arguments], {}, home, stop_signal=signal.SIGINT)

    def initialise(self) -> None:
        """Make the folders and an empty database, unless they are there.

        Raises:
            ProcessError: the folder for the socket is another user's, or ``initdb`` failed.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket_folder.mkdir(mode=0o700, exist_ok=True)
        if self.socket_folder.stat().st_uid != os.geteuid():
            raise ProcessError(f"{self.socket_folder} belongs to another user: set LAPTOP_HOME to a shorter path")
        if (self.folder / "data" / "PG_VERSION").exists():
            return
        command = [*self._as_ordinary_user, str(self.binaries / "initdb"), "--pgdata", str(self.folder / "data")]
        options = ["--username=airflow", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise ProcessError(f"making Airflow's database in {self.folder} failed: {done.stderr.strip()[-1000:]}")

    def is_ready(self) -> bool:
        asked = [str(self.binaries / "pg_isready"), "--quiet", f"--host={self.socket_folder}"]
        return subprocess.run(asked, check=False).returncode == 0

    @property
    def _as_ordinary_user(self) -> list[str]:
        """What makes PostgreSQL run for root, as in many containers: it refuses to. In a user namespace it has another
        user's number, and no rights but to root's own files."""
        if os.geteuid() != 0 or sys.platform != "linux":
            return []
        return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
