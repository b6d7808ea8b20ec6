"""Scores a day from its raw partition, in one job: the same steps as validate_input, build_features, a transform job
and validate_scores for a larger day.

    python -m include.jobs.score_day --model M --partitions DIR --artifact DIR --day ISO --scores DIR --report DIR
                                     [--reference DIR] [--challenger DIR --beside DIR]

Reads what validate_input reads, and the version's model.tar.gz in ``--artifact``. Writes

- ``<scores>/``: what validate_scores writes; nothing if the data or the scores are rejected
- ``<report>/validation.json``, ``validation.html`` and ``quarantine/``: what validate_input writes
- ``<report>/scores.json``: validate_scores' verdict
- ``<report>/day.json``: both verdicts in short, and the seconds of each part
- ``<beside>/challenger.json`` and ``challenger.parquet``: the day's scores by the candidate whose model.tar.gz is in
  ``--challenger``, beside those of production; or why there are none

The exit status is 0 whatever the verdict.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.one_job import Challenger, DayScorer
from include.jobs.serving.archive import unpack
from include.jobs.validation.earlier import Earlier, add_earlier
from include.jobs.watching.feeds import add_reference
from include.models.config import load_model


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        partitions="folder of date=<day> folders",
        artifact="folder of the version's model.tar.gz",
        scores="where to write the scores",
        report="where to write the verdicts",
    )
    parser.add_argument("--day", required=True, help="the day to score, as 2015-06-01")
    parser.add_argument("--challenger", type=Path, help="folder of a candidate's model.tar.gz")
    parser.add_argument("--beside", type=Path, help="where to write its scores beside production's")
    add_earlier(parser)
    add_reference(parser)
    given = parser.parse_args(argv)
    earlier = Earlier(given.earlier, given.checks)
    with (
        tempfile.TemporaryDirectory() as folder,
        DayScorer(
            load_model(given.model), unpack(given.artifact, Path(folder, "version")), earlier, given.reference
        ) as scorer,
    ):
        candidate = given.challenger and Challenger(unpack(given.challenger, Path(folder, "challenger")), given.beside)
        print(scorer.score(given.partitions, given.day, given.scores, given.report, candidate)["summary"])


if __name__ == "__main__":
    run_program(main)
