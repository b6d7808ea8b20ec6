"""Whether a model's scores could be sent to Kafka now: brokers answer, topics are there, partitions have leaders.

    python -m include.jobs.check_kafka --model M

Run before scoring starts, so that somebody knows hours before the scores are due. Fails with what is wrong.
"""

from __future__ import annotations

from include.jobs.cli import arguments_of, run_program
from include.jobs.send_scores import sink_of
from include.jobs.sinks import kafka
from include.models.config import load_model


def main(argv: list[str] | None = None) -> None:
    arguments = arguments_of(__doc__).parse_args(argv)
    sink = sink_of(load_model(arguments.model))
    settings = kafka.connection()
    partitions = kafka.require_topic(settings, sink.topic)
    kafka.require_compacted(settings, kafka.manifests_of(sink.topic))
    print(f"{sink.topic} is there, with {partitions} partitions; so is {kafka.manifests_of(sink.topic)}")


if __name__ == "__main__":
    run_program(main)
