"""Registers a model package as a model version in MLflow too.

    python -m include.jobs.track_model_version --model M --run-id ID --model-package ARN

The version's model is what the MLflow run ``ID`` logged; its tag ``model_package_arn`` links the package. Running it
again finds the existing version.
"""

from __future__ import annotations

from include.jobs.cli import arguments_of, run_program
from include.jobs.mlflow import model_versions


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--run-id", required=True, help="the MLflow run of the training")
    parser.add_argument("--model-package", required=True, metavar="ARN")
    arguments = parser.parse_args(argv)
    store = model_versions.client()
    version = model_versions.register(store, arguments.model, arguments.run_id, arguments.model_package)
    print(f"{arguments.model} version {version} in MLflow is {arguments.model_package}")


if __name__ == "__main__":
    run_program(main)
