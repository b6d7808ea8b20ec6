"""Sends published partitions of scores to a sink, each once.

    python -m include.jobs.send_scores --model M --sink NAME --scores DIR

``--scores`` is ``scores/date=D/`` as publish_scores wrote it, ``_SUCCESS.json`` and the Parquet files that it names; or
a folder of several of them, which are sent in the order of their days. What is sent, and what readers must know, is
documented in the sink's module, ``include.jobs.sinks.<name>``.
"""

from __future__ import annotations

from include.jobs.cli import arguments_of, run_program
from include.jobs.sinks import sink_module
from include.jobs.sinks.partition import Partition
from include.models.config import load_model
from include.models.config.files import SCORES_MANIFEST
from include.models.config.sinks import Sinks


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(__doc__, scores="folder of a published partition, or of several")
    parser.add_argument("--sink", required=True, choices=list(Sinks.model_fields))
    arguments = parser.parse_args(argv)
    model, sink = load_model(arguments.model), sink_module(arguments.sink)
    several = sorted(manifest.parent for manifest in arguments.scores.glob(f"*/{SCORES_MANIFEST}"))
    for folder in several or [arguments.scores]:
        partition = Partition.read(folder)
        print(f"{partition.date}: {sink.send(model, partition)}", flush=True)


if __name__ == "__main__":
    run_program(main)
