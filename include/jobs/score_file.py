"""Scores a file.

    python -m include.jobs.score_file --model M --file DIR --artifact DIR --features DIR --scores DIR --report DIR
        [--answers artifact|endpoint|later] [--endpoint NAME]

``--file`` is a folder with one file, the model's first table, whatever its name; or with all its tables as in training.
Reads the version's model.tar.gz, or its unpacked content, in ``--artifact``. Rows are read, rejected and judged like a
day's, whatever day they are from; features are built once; then the version's own code predicts them, or an endpoint in
chunks, or later a transform job. Writes

- ``<features>/rows/shard-<n>.csv`` and ``<features>/shards/shard-<n>.json``: rows to score, as build_features does
- ``<scores>/shard-<n>.parquet`` and ``parts.json``: as validate_scores does; none if the data cannot be used
- ``<report>/file.json``: the result; ``<report>/quarantine/<table>.csv``: rejected rows, and why

A file with more text than ``scoring.chunk_mb`` is partitioned by key, so that memory is bounded by the chunk. The exit
status is 0 whatever the result.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from include.jobs.cli import arguments_of, run_program
from include.jobs.daily.day_features import ScoredVersion, read_version, write_shard
from include.jobs.daily.predictor import Predictor
from include.jobs.files.endpoint_answers import EndpointAnswers
from include.jobs.files.tables import GivenTables, folder_of
from include.jobs.serving.archive import unpack
from include.jobs.serving.endpoint import Endpoint, runtime_client
from include.jobs.validate_scores import check_day
from include.jobs.validation.findings import passed, summarize
from include.models.config import ModelConfig, load_model
from include.models.config.files import FILE_RESULT, MODEL_ARCHIVE, QUARANTINE, ROWS, SHARDS
from include.models.config.results import FileResult
from include.models.loader import feature_builder

ANSWERS = ("artifact", "endpoint", "later")
READ_SECONDS = 60.0  # a chunk of many rows takes longer than a person's request


class Answers(Protocol):
    """Writes the key and the answer of each row of ``<rows>`` to ``<rows>.out``."""

    def answer(self, rows: Path) -> None: ...


@dataclass(frozen=True)
class Places:
    """The output folders."""

    features: Path
    scores: Path
    report: Path


def score_file(
    config: ModelConfig, data: Path, version: ScoredVersion, answers: Answers | None, places: Places
) -> FileResult:
    """Scores a file; returns the result, which is also written into the report's folder.

    Args:
        data: a file, or a folder as ``--file``.
        answers: None if a transform job comes later.

    Raises:
        JobError: the features cannot be built or predicted for another reason than the data.
    """
    rows = number = 0
    with folder_of(config, data) as folder:
        given = GivenTables(config, folder, places.report / QUARANTINE)
        build = feature_builder(config.name).build_features
        for number, tables in enumerate(given.chunks(), 1):
            frame = None if tables[config.daily_scoring.tables[0]].is_empty() else build(tables, with_label=False)
            rows += write_shard(config, frame, version, places.features, number - 1)
    findings = given.findings()
    result: FileResult = {
        "passed": passed(findings) and rows > 0,
        "summary": summarize(f"data of {config.name}", f"{given.rows:,} rows", findings),
        "rows": 0,
        "tables": {name: {"rejected": count} for name, count in given.rejected().items()},
        "files": given.digests,
        "shards": number,
        "answered_by": "",
    }
    if result["passed"]:
        result["rows"] = rows
        if answers:
            _answer(config, answers, places, result)
    places.report.mkdir(parents=True, exist_ok=True)
    (places.report / FILE_RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _answer(config: ModelConfig, answers: Answers, places: Places, result: FileResult) -> None:
    shards = places.features / ROWS
    for rows in sorted(shards.glob("*.csv")):
        answers.answer(rows)
    checked = check_day(config, places.features / SHARDS, shards, places.scores)
    for answered in shards.glob("*.out"):
        answered.unlink()
    result["passed"], result["rows"] = checked["passed"], checked["rows"]
    result["summary"] += f"\n{checked['summary']}"


@contextmanager
def unpacked(artifact: Path) -> Iterator[Path]:
    """A folder with the content of model.tar.gz, given a folder with that or with the archive."""
    if not (artifact / MODEL_ARCHIVE).exists():
        yield artifact
        return
    with tempfile.TemporaryDirectory() as folder:
        yield unpack(artifact, Path(folder))


def scored_with(
    config: ModelConfig, data: Path, artifact: Path, answers: str, endpoint: Endpoint | None, places: Places
) -> FileResult:
    """``score_file`` with the version in a folder, predicted as ``--answers`` says.

    Args:
        artifact: folder of the unpacked model.tar.gz.
    """
    version, key = read_version(artifact), len(config.data.key)
    if answers == "artifact":
        with Predictor(artifact, key) as predictor:
            result = score_file(config, data, version, predictor, places)
    elif endpoint and answers == "endpoint":
        by_endpoint = EndpointAnswers(endpoint, version.order, key, explain=version.explained is not None)
        result = score_file(config, data, version, by_endpoint, places)
    else:
        result = score_file(config, data, version, None, places)
    return result


def main(argv: list[str] | None = None) -> None:
    parser = arguments_of(
        __doc__,
        file="folder of the file",
        artifact="folder of the version's model.tar.gz",
        features="where to write rows to score",
        scores="where to write scores",
        report="where to write the result",
    )
    parser.add_argument("--answers", choices=ANSWERS, default="artifact", help="what answers the rows")
    parser.add_argument("--endpoint", help="its name, where it answers")
    given = parser.parse_args(argv)
    endpoint = Endpoint(runtime_client(READ_SECONDS), given.endpoint) if given.endpoint else None
    places = Places(given.features, given.scores, given.report)
    with unpacked(given.artifact) as artifact:
        print(scored_with(load_model(given.model), given.file, artifact, given.answers, endpoint, places)["summary"])


if __name__ == "__main__":
    run_program(main)
