"""Moves MLflow's alias ``champion`` to the version in production, after a promotion or a rollback.

    python -m include.jobs.move_champion_alias --model M --model-package ARN

Running it again changes nothing.
"""

from __future__ import annotations

from include.jobs.cli import arguments_of, run_program
from include.jobs.mlflow import model_versions


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--model-package", required=True, metavar="ARN", help="the package in production now")
    arguments = parser.parse_args(argv)
    version = model_versions.move_champion(model_versions.client(), arguments.model, arguments.model_package)
    print(f"{model_versions.CHAMPION} of {arguments.model} is version {version}, {arguments.model_package}")


if __name__ == "__main__":
    run_program(main)
