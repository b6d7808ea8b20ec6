"""python -m include.local_sagemaker: starts the local SageMaker."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

from include.local_sagemaker.core import quotas
from include.local_sagemaker.core.settings import Settings
from include.local_sagemaker.core.start_up import AWS, StartUp
from include.local_sagemaker.http import rates
from include.local_sagemaker.server import serve


def _image(value: str) -> tuple[str, Path]:
    pattern, separator, environment = value.rpartition("=")
    if not separator or not (Path(environment) / "bin").is_dir():
        raise argparse.ArgumentTypeError(f"{value!r} is not PATTERN=DIRECTORY of a Python environment with bin/")
    return pattern, Path(environment).absolute()


def _checked[T](parse: Callable[[str], T]) -> Callable[[str], T]:
    """argparse shows only the message of an ArgumentTypeError."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def _host_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?", value):
        raise argparse.ArgumentTypeError(f"{value!r} is not a host name, such as sagemaker.example (no port, no *)")
    return value


def _parse(arguments: list[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m include.local_sagemaker", description=__doc__)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen on (127.0.0.1). There is no authentication: use another one only in a container"
        " whose port is published on 127.0.0.1",
    )
    parser.add_argument(
        "--allowed-host",
        type=_host_name,
        action="append",
        default=[],
        metavar="NAME",
        help="another name that clients use, besides localhost, *.localhost and 127.0.0.1, such as a container's;"
        " requests to any other name are refused, as a web page may have sent them",
    )
    parser.add_argument("--port", type=int, default=4566, help="(4566)")
    parser.add_argument("--state", type=Path, required=True, help="directory for all state")
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        default=[],
        metavar="PATTERN=DIRECTORY",
        help="the Python environment that replaces image URIs of this shell pattern; the first match counts",
    )
    parser.add_argument(
        "--path",
        type=Path,
        action="append",
        default=[],
        metavar="DIRECTORY",
        help="a directory that images add to their PATH",
    )
    parser.add_argument(
        "--start-up",
        default="",
        metavar="aws|KIND=SECONDS,...",
        help="how long a job or an endpoint takes to start, as on AWS, without using the CPU; the set aws is"
        f" {', '.join(f'{kind}={seconds:g}' for kind, seconds in AWS.items())} (none)",
    )
    parser.add_argument("--start-up-factor", type=float, default=1.0, help="factor of every start-up time (1)")
    parser.add_argument("--max-jobs", type=int, default=8, help="maximum number of concurrent jobs (8)")
    parser.add_argument(
        "--stop-grace-seconds", type=float, default=10.0, help="from SIGTERM to SIGKILL (10; SageMaker: 120)"
    )
    parser.add_argument(
        "--endpoint-start-seconds",
        type=float,
        default=600.0,
        help="a serving container that does not answer /ping within this time has failed (600)",
    )
    parser.add_argument(
        "--sandbox",
        choices=("auto", "namespace", "rewrite"),
        default="auto",
        help="how a job gets /opt/ml: a private mount, or rewritten paths if there are no namespaces (auto)",
    )
    parser.add_argument(
        "--network",
        choices=("auto", "own", "shared"),
        default="auto",
        help="of a model's container. own: it listens on 8080 and reaches only this server and the ports of this"
        " machine that its environment names; shared: it shares the machine's network and listens on"
        " SAGEMAKER_BIND_TO_PORT; auto: own if the machine has namespaces (auto)",
    )
    parser.add_argument(
        "--enforce-iam",
        action="store_true",
        help="enforce the policies of roles on their sessions; all other keys are the administrator's",
    )
    parser.add_argument(
        "--quota",
        type=_checked(quotas.parse),
        default={},
        metavar="KIND[/INSTANCE_TYPE]=NUMBER,...",
        help="instances in use at once, as in processing=4,endpoint/ml.m5.large=0; more are refused with"
        " ResourceLimitExceeded. Kinds: processing, training, spot, transform, endpoint (no limits)",
    )
    parser.add_argument(
        "--rate",
        type=_checked(rates.parse),
        default={},
        metavar="OPERATION=NUMBER,...",
        help="calls answered per second, as in Describe*=5; more get ThrottlingException (no limits)",
    )
    parser.add_argument("--threads", type=int, default=32, help="requests answered concurrently (32)")
    given = parser.parse_args(arguments)
    try:
        start_up = StartUp.parse(given.start_up, given.start_up_factor) if given.start_up else StartUp()
    except ValueError as error:
        parser.error(f"--start-up: {error}")
    return Settings(
        state=given.state.absolute(),
        host=given.host,
        port=given.port,
        allowed_hosts=tuple(given.allowed_host),
        images=tuple(given.image),
        path=tuple(directory.absolute() for directory in given.path),
        start_up=start_up,
        max_jobs=given.max_jobs,
        stop_grace_seconds=given.stop_grace_seconds,
        endpoint_start_seconds=given.endpoint_start_seconds,
        sandbox=given.sandbox,
        network=given.network,
        threads=given.threads,
        enforce_iam=given.enforce_iam,
        quotas=given.quota,
        rates=given.rate,
    )


def main() -> None:
    settings = _parse(sys.argv[1:])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress").setLevel(logging.WARNING)
    for chatty in ("werkzeug", "botocore", "boto3", "s3transfer"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        serve(settings)
    except OSError as error:
        sys.exit(f"local SageMaker could not start: {error}")


if __name__ == "__main__":
    main()
