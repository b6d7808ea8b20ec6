"""Requests and answers that an endpoint captured, counted like a scored day: see
``include.jobs.serving.request_log``."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from include.jobs.daily.day_features import ScoredVersion, read_version
from include.jobs.features.drift_profile import count_rows
from include.jobs.serving.artifact import columns_of
from include.jobs.serving.payload import CSV, JSON, BadRequestError, Columns, parse
from include.jobs.validate_scores import PREDICTION, Distribution
from include.models.config import DayProfile
from include.models.config.columns import probability_columns
from include.models.config.files import METADATA
from include.models.config.watching import GOLDEN_REQUEST, CapturedDay

AT_ONCE = 500  # requests
# what a record of any content may raise: it has another form, or JSON with a number too large or nested too deeply
UNREADABLE = (
    *(BadRequestError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError),
    *(AttributeError, OverflowError, RecursionError),
)
MOST_REASONS = 20
LONGEST_REASON = 120
OTHER_REASONS = "other reasons"
# the parts of a message that concern a single request; the column's name is not one of them
_OF_ONE_REQUEST = re.compile(r"(?P<kept>columns? '[^']*')|'[^']*'|\"[^\"]*\"|-?\d+(?:[.,]\d+)*")

Record = dict[str, Any]  # one line of data capture


@dataclass
class TrafficCounter:
    """Counts records of a day; ``since`` is when the version went into production."""

    version: ScoredVersion
    columns: Columns
    day: datetime
    since: datetime
    distribution: Distribution = field(default_factory=Distribution)
    refused: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    before: int = 0
    unread: int = 0
    probes: int = 0

    @classmethod
    def of(cls, artifact: Path, day: str, since: datetime) -> TrafficCounter:
        """From a version's unpacked model.tar.gz, whose model is not loaded.

        Raises:
            JobError: it is not an artifact of train_model.
        """
        version = read_version(artifact)
        metadata = json.loads((artifact / METADATA).read_text(encoding="utf-8"))
        return cls(version, columns_of(metadata, version.order), datetime.fromisoformat(day).replace(tzinfo=UTC), since)

    def count(self, records: Iterable[Record | None]) -> None:
        """Add records (None for lines without one); records of other days are left out."""
        waiting: list[tuple[pl.DataFrame, pl.DataFrame]] = []
        for record in records:
            try:
                pair = self.rows_of(record)
            except UNREADABLE:
                self.unread += 1
                continue
            if pair is not None:
                waiting.append(pair)
            if len(waiting) == AT_ONCE:
                self._add(waiting)
                waiting = []
        if waiting:
            self._add(waiting)

    def rows_of(self, record: Record | None) -> tuple[pl.DataFrame, pl.DataFrame] | None:
        """A request's features and its answers; None if it had none, or does not count.

        Raises:
            UNREADABLE: it cannot be read.
        """
        if record is None:
            raise ValueError("no record")
        about, sides = record["eventMetadata"], record["captureData"]
        moment = datetime.fromisoformat(about["inferenceTime"])
        if not self.day <= moment < self.day + timedelta(days=1):
            return None
        if GOLDEN_REQUEST in about.get("customAttributes", ()):
            self.probes += 1
        elif (status := about.get("responseStatus")) is not None:
            self.refused[reason_of(status, _content(sides["endpointOutput"])[0])] += 1
        elif moment < self.since:
            self.before += 1
        else:
            features = parse(*_content(sides["endpointInput"]), self.columns)
            answers = read_answers(*_content(sides["endpointOutput"]), self.version.classes)
            if len(answers) != len(features):
                raise ValueError("another number of answers than rows")
            self.answered += 1
            return features, answers
        return None

    def _add(self, pairs: list[tuple[pl.DataFrame, pl.DataFrame]]) -> None:
        features, answers = pl.concat([one for one, _ in pairs]), pl.concat([other for _, other in pairs])
        version = self.version
        self.distribution.add(
            answers,
            {
                "name": "captured",
                "rows": len(answers),
                "classes": version.classes,
                "features": count_rows(features, version.profile),
                "edges": version.edges,
            },
        )

    @property
    def profile(self) -> DayProfile:
        """In the form of a scored day. Without any rows, no feature is counted."""
        return self.distribution.as_json()

    @property
    def captured(self) -> CapturedDay:
        refused = dict(self.refused.most_common(MOST_REASONS))
        if others := self.refused.total() - sum(refused.values()):
            refused[OTHER_REASONS] = others
        return {
            "requests": self.answered + self.before + self.unread + self.refused.total(),
            "refused": refused,
            "before": self.before,
            "unread": self.unread,
            "probes": self.probes,
        }


def records_in(files: Iterable[Path]) -> Iterator[Record | None]:
    """The records of data capture files, line by line; None for a line without one."""
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if not line.strip():
                    continue
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    found = None
                yield found if isinstance(found, dict) else None


def read_answers(body: bytes, media_type: str, classes: list[str]) -> pl.DataFrame:
    """Answers as ``payload.render`` writes them, under the names that scores have.

    Raises:
        LookupError, TypeError, ValueError: they have another form.
    """
    text, names = body.decode(), list(probability_columns(classes).values())
    if media_type == CSV:
        rows = [line[: 1 + len(classes)] for line in csv.reader(io.StringIO(text, newline="")) if line]
    else:
        lines = text.splitlines() if media_type != JSON else []
        found = json.loads(text)["predictions"] if media_type == JSON else [json.loads(line) for line in lines if line]
        rows = [
            [one["label"], *(one["probabilities"][name] for name in classes)] if classes else [one["value"]]
            for one in found
        ]
    first = {PREDICTION: pl.String() if classes else pl.Float64()}
    typed = [[row[0] if classes else float(row[0]), *map(float, row[1:])] for row in rows]
    return pl.DataFrame(typed, schema={**first, **dict.fromkeys(names, pl.Float64())}, orient="row")


def reason_of(status: int, body: bytes) -> str:
    """Why a request was refused, in words that requests with the same fault share."""
    try:
        said = str(json.loads(body)["error"])
    except (LookupError, TypeError, ValueError, RecursionError):
        said = ""
    shared = _OF_ONE_REQUEST.sub(lambda found: found["kept"] or "…", said).partition(". ")[0].rstrip(".")
    return f"{status}: {shared[:LONGEST_REASON]}" if shared else str(status)


def _content(side: dict[str, str]) -> tuple[bytes, str]:
    """A body and its media type."""
    kind = (side.get("observedContentType") or CSV).partition(";")[0].strip().lower()
    data = side["data"]
    return (base64.b64decode(data) if side.get("encoding") == "BASE64" else data.encode()), kind
