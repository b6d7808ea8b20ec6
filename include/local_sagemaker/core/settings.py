"""How one server runs: the command line's options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from include.local_sagemaker.core.start_up import StartUp


@dataclass(frozen=True)
class Settings:
    """How one server runs; the command line's options."""

    state: Path
    host: str = "127.0.0.1"  # the address that it listens on
    port: int = 4566
    allowed_hosts: tuple[str, ...] = ()  # names that clients may call it by, beside those of this machine
    images: tuple[tuple[str, Path], ...] = ()  # pattern of an image URI -> Python environment that replaces it
    path: tuple[Path, ...] = ()  # directories that an image would have on its PATH, such as one with `serve`
    start_up: StartUp = field(default_factory=StartUp)  # AWS's time before a job or an endpoint starts
    max_jobs: int = 8
    stop_grace_seconds: float = 10.0  # between SIGTERM and SIGKILL (SageMaker: 120)
    endpoint_start_seconds: float = 600.0  # a serving container must answer /ping within (SageMaker: at least 480)
    sandbox: str = "auto"
    network: str = "auto"  # of a model's container: auto, own or shared
    threads: int = 32
    enforce_iam: bool = False
    quotas: Mapping[str, int] = field(default_factory=dict)  # core.quotas; none: no limit
    rates: Mapping[str, float] = field(default_factory=dict)  # http.rates; none: no limit

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment_of(self, image: str) -> Path | None:
        """The Python environment that replaces an image URI, or None if no pattern matches."""
        return next((environment for pattern, environment in self.images if fnmatchcase(image, pattern)), None)
