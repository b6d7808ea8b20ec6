"""Names of the files and folders that Airflow's side and the jobs exchange.

``include.platform.storage`` builds keys from them; jobs write and read them in the folders they are given.
"""

from __future__ import annotations

import re

# a validation's report folder
VERDICT = "validation.json"
VERDICT_PAGE = "validation.html"
QUARANTINE = "quarantine"  # folder of rejected rows, a file for each table
SCORES_VERDICT = "scores.json"  # of a day that one job scores, beside the verdict on its raw data
DAY_RESULT = "day.json"  # likewise: both verdicts in short, and how long each part took
FILE_RESULT = "file.json"  # likewise, of a file that is scored
CHECKS = "checks.json"  # of a model's Dag: what its last validations found

# the feature table: a folder for each split
FEATURES_MANIFEST = "manifest.json"  # beside the splits: their rows, times and classes, and the features
SPLITS = ("train", "validation", "test")
FEATURE_TABLE = "features.parquet"

# a trained model, and what evaluate_model copies out of it beside its own files
MODEL_ARCHIVE = "model.tar.gz"
OUTPUT_ARCHIVE = "output.tar.gz"  # beside it, the training job's other outputs
TRAINING_RUN = "training.json"  # in it: what concerns only the run
METADATA = "metadata.json"  # what was trained, on which data, with which result
FEATURE_ORDER = "feature_order.json"
GOLDEN_REQUESTS = "golden_requests.json"
DRIFT_PROFILE = "drift_profile.json"
REFERENCE = "reference.json"  # only in the evaluation: its training data, counted like the days that it scores

# an evaluation's folder
METRICS = "metrics.json"  # flat: the metrics that gates check
QUALITY_STATISTICS = "evaluation.json"  # in the Model Registry's format
EVALUATION_PAGE = "report.html"
# what its page links to, and the variable of its job that has the address
LINKS = {
    "run": "LINK_RUN",
    "training job": "LINK_JOB",
    "raw data of the run": "LINK_DATA",
    "commit": "LINK_COMMIT",
}

# raw data
PACKED = 8  # the approximate compression ratio of a packed file
PACKINGS = (".gz", ".zst")
PARQUET = ".parquet"

# a day's raw partition
REPLAY = "replay"  # folder of corrected quarantine files

# a day's feature table, split into shards: rows to score, and a description of each shard
ROWS = "rows"
SHARDS = "shards"

# many days in one job: which, and the contents of each one's folder
DAYS = "days.json"
SCORES = "scores"
REPORT = "report"

# a day's scores
PARTS = "parts.json"  # beside staged scores: the parts, and how they are distributed
SHOWN_ROWS = "rows.json.gz"  # likewise: the rows that the console shows
SCORES_MANIFEST = "_SUCCESS.json"  # beside published scores: what they are; without it there are none

# a day's performance, once labels arrive
PERFORMANCE = "performance.json"  # the results; written last
LABELLED_ROWS = "rows.parquet"
TO_LABEL = "to_label.csv"  # rows that people are asked to label

# a day of an endpoint
CAPTURED = "captured.json"  # what it was asked, counted as a scored day is

# a candidate beside production, of a day
CHALLENGER = "challenger.json"
VERSION = "version="  # prefix of the folder of both
CHALLENGER_ROWS = "challenger.parquet"  # key and both predictions of each row
SHADOW = "shadow.json"  # likewise, of one that the production endpoint had as its shadow variant
SHADOW_ROWS = "shadow.parquet"  # features and both predictions of each row that was asked for
SHADOW_VARIANT = "Shadow-"  # prefix of that variant's name, and so of the folder of its captures; the version follows

_DAY_FOLDER = re.compile(r"(?:^|/)date=(\d{4}-\d{2}-\d{2})(?:/|$)")


def stored_names(file: str) -> tuple[str, ...]:
    """The possible names of a table's stored file: as in model.yaml, packed, or as Parquet."""
    packed = tuple(f"{file}{ending}" for ending in PACKINGS)
    return tuple(dict.fromkeys((file, *packed, f"{file.rpartition('.')[0]}{PARQUET}")))


def is_companion(key: str) -> bool:
    """Whether an object only accompanies a folder's data: the folder's marker, what Spark and others leave beside their
    files (``_SUCCESS``, checksums), hidden files, notes."""
    name = key.rpartition("/")[2].lower()
    return not name or name.startswith(("_", ".")) or name.endswith((".crc", ".md"))


def text_bytes(name: str, size: int) -> int:
    """The approximate size of a stored file's text, in bytes."""
    return size * (PACKED if name.endswith((*PACKINGS, PARQUET)) else 1)


def day_folder(day: str) -> str:
    """The folder of a day, named like a Hive partition. ``day`` is an ISO date, or a template of one."""
    return f"date={day}"


def day_of_folder(path: str) -> str | None:
    """The day of the day folder in a path or key; None if it has none."""
    match = _DAY_FOLDER.search(path)
    return match[1] if match else None
