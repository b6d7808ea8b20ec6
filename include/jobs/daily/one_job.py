"""Takes a day from its raw partition to checked scores in one process: the same steps as the separate jobs of a large
day.

What takes longer than a small day, the suites and the version's model, is loaded once for all days.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from include.jobs.daily.challenger import write_beside, write_failed
from include.jobs.daily.day_features import build_day, read_version
from include.jobs.daily.predictor import Predictor
from include.jobs.validate_input import CheckedDays, validate_day
from include.jobs.validate_raw_data import load_suites
from include.jobs.validate_scores import check_day
from include.jobs.validation.earlier import Earlier
from include.jobs.watching.feeds import Feeds
from include.models.config import MODELS_FOLDER, ModelConfig
from include.models.config.files import CHALLENGER, DAY_RESULT, ROWS, SCORES_VERDICT, SHARDS
from include.models.config.results import DayResult
from include.models.errors import JobError


@dataclass(frozen=True)
class Challenger:
    """A candidate's unpacked model.tar.gz, and where to write the comparison with production."""

    artifact: Path
    into: Path

    def beside(self, config: ModelConfig, day: str, validated: Path, scores: Path) -> None:
        """Scores the day's validated tables with it, and compares."""
        with tempfile.TemporaryDirectory() as name:
            features, theirs = Path(name, "features"), Path(name, "scores")
            try:
                build_day(config, validated, read_version(self.artifact), features, day)
                with Predictor(self.artifact, len(config.data.key)) as predictor:
                    for rows in sorted((features / ROWS).glob("*.csv")):
                        predictor.answer(rows)
                checked = check_day(config, features / SHARDS, features / ROWS, theirs)
            except JobError as error:
                write_failed(str(error), self.into / CHALLENGER)
                return
            if not checked["passed"]:
                write_failed(checked["summary"], self.into / CHALLENGER)
                return
            found = write_beside(config, scores, theirs, self.into)
        print(f"{day}: the challenger scored {found['rows']:,} rows too", flush=True)


class DayScorer:
    """Scores days of a model with one version; a context manager. Days in order read each earlier day once.

    Args:
        artifact: folder of the version's unpacked model.tar.gz.
        earlier: what the validations before found, for the reports.
        reference: folder of the version's ``reference.json``.
    """

    def __init__(
        self, config: ModelConfig, artifact: Path, earlier: Earlier | None = None, reference: Path | None = None
    ) -> None:
        self._config = config
        self._version = read_version(artifact)
        self._predictor = Predictor(artifact, len(config.data.key))
        self._suites = load_suites(config, MODELS_FOLDER / config.name / "expectations")
        self._checked: CheckedDays = {}
        self._earlier = earlier
        self._feeds = Feeds.of(config, reference)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._predictor.__exit__()

    def score(
        self, partitions: Path, day: str, scores: Path, report: Path, challenger: Challenger | None = None
    ) -> DayResult:
        """Scores a day; returns the result, which is also written into the report's folder.

        Args:
            scores: where to write what validate_scores writes; nothing if the data or the scores are rejected.
            report: where to write the verdicts on both, and the rejected rows.
            challenger: a candidate that also scores the day. Its errors are recorded beside the scores.

        Raises:
            JobError: the day cannot be scored for another reason than its data.
        """
        seconds: dict[str, float] = {}

        @contextmanager
        def part(name: str) -> Iterator[None]:
            began = time.monotonic()
            yield
            seconds[name] = round(time.monotonic() - began, 2)
            print(f"{day}: {name} {seconds[name]:.2f} s", flush=True)

        with tempfile.TemporaryDirectory() as name:
            validated, features = Path(name, "validated"), Path(name, "features")
            with part("validate_input"):
                inputs = self._config, partitions, day, self._suites
                verdict = validate_day(*inputs, validated, report, self._checked, self._earlier, self._feeds)
            result: DayResult = {
                "passed": verdict.passed,
                "summary": verdict.summary,
                "rows": 0,
                "tables": {table.name: {"rejected": table.rejected} for table in verdict.tables},
                "seconds": seconds,
            }
            if verdict.passed:
                with part("build_features"):
                    build_day(self._config, validated, self._version, features, day)
                with part("score"):
                    for rows in sorted((features / ROWS).glob("*.csv")):
                        self._predictor.answer(rows)
                with part("validate_scores"):
                    checked = check_day(self._config, features / SHARDS, features / ROWS, scores)
                (report / SCORES_VERDICT).write_text(json.dumps(checked, indent=1), encoding="utf-8")
                result["passed"], result["rows"] = checked["passed"], checked["rows"]
                result["summary"] += f"\n{checked['summary']}"
                if challenger and checked["passed"] and checked["rows"]:
                    with part("challenger"):
                        challenger.beside(self._config, day, validated, scores)
        (report / DAY_RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
        return result
