"""Airflow's database on a laptop: PostgreSQL, as on MWAA and in the containers, from binaries in a wheel.

It listens on no port, only on a Unix socket in a folder that only its owner may enter: no password is needed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from include.ops.local_stack.folders import make_folder, plain_name
from include.ops.local_stack.processes import ProcessError, Service

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

    @property
    def socket_folder(self) -> Path:
        return plain_name(self.folder / "socket")

    def service(self, home: Path) -> Service:
        command = [*self._as_ordinary_user, str(self.binaries / "postgres"), "-D", str(self.folder / "data")]
        options = {**OPTIONS, "unix_socket_directories": str(self.socket_folder)}
        arguments = [f"--{key}={value}" for key, value in options.items()]
        # SIGINT: ends open sessions and stops; SIGTERM would wait for each session to end
        return Service("postgres", [*command, *arguments], {}, home, stop_signal=signal.SIGINT)

    def initialise(self) -> None:
        """Creates the folders and an empty database, unless they exist.

        Raises:
            ProcessError: the socket's folder cannot get a plain name, or ``initdb`` failed.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_folder(self.folder / "socket")
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
        """The command prefix that lets PostgreSQL run for root, as in many containers, which it refuses: in a user
        namespace it has another user's number, and no rights except to root's own files."""
        if os.geteuid() != 0 or sys.platform != "linux":
            return []
        return ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
