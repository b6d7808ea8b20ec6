"""Checks that a model's scores could be sent to a sink now.

    python -m include.jobs.check_sink --model M --sink NAME

Runs beside scoring, so that problems are known before the scores are due. Fails with what is wrong.
"""

from __future__ import annotations

from include.jobs.cli import arguments_of, run_program
from include.jobs.sinks import sink_module
from include.models.config import load_model
from include.models.config.sinks import Sinks


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__)
    parser.add_argument("--sink", required=True, choices=list(Sinks.model_fields))
    arguments = parser.parse_args(argv)
    print(sink_module(arguments.sink).check(load_model(arguments.model)))


if __name__ == "__main__":
    run_program(main)
