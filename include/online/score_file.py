"""A file of raw rows to scores beside it: what ``make score`` and whatever takes files in do with one.

    python -m include.online.score_file <data> <out>      # the rest as ``settings`` says

``data`` is a file of the model's first table, or a folder of its tables as training has them. Rows are read, set aside
and judged as a day's are; features are built once; answers come in chunks, some at a time, each tried again while
nobody answers, and stay in the rows' order. Below ``out``:

- ``scores.parquet``: the key, ``prediction`` and, of a classifier, ``probability_<class>``, as published scores are
- ``quarantine/<table>.csv``: rows that could not be used, by line, with the reason
- ``manifest.json``, written last: the files' digests, version, rows, what was found; ``passed`` is false where the data
  cannot be used, and then there are no scores
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

import polars as pl

from include.jobs.validation.cleaning import Window, clean_table
from include.jobs.validation.findings import Finding, UnusableFileError, passed, summarize
from include.jobs.validation.reading import StoredTable
from include.models.config import LINE, ConfigError, load_model
from include.models.config.columns import key_columns, probability_columns
from include.models.errors import JobError
from include.models.loader import feature_builder
from include.online.backends import Answers, Backend, UnavailableError, wait_ready
from include.online.settings import Settings
from include.online.shape import Shape

CHUNK_ROWS = 2000  # of features; of wide ones below what an endpoint takes at once, 6 MB
AT_ONCE = 4
TRIES = 6
READY_SECONDS = 120


class Manifest(TypedDict):
    """manifest.json."""

    model: str
    passed: bool
    summary: str
    version: str | None
    rows: int
    rejected: dict[str, int]
    files: dict[str, str]


def score_file(shape: Shape, data: Path, backend: Backend, out: Path) -> Manifest:
    """Score a file or a folder of tables; what ``manifest.json`` says.

    Raises:
        JobError: the features cannot be built, or nobody answered.
    """
    with _tables_of(shape, data) as folder:
        tables, findings, rejected, digests = _read(shape, folder, out / "quarantine")
    manifest: Manifest = {
        "model": shape.config.name,
        "passed": passed(findings) and tables[shape.first].height > 0,
        "summary": summarize(f"data of {data.name}", f"{tables[shape.first].height:,} rows", findings),
        "version": None,
        "rows": 0,
        "rejected": rejected,
        "files": digests,
    }
    if manifest["passed"]:
        frame = feature_builder(shape.config.name).build_features(tables, with_label=False)
        hidden = [name for name in shape.config.data.not_features if name in frame.columns]
        answered = _answered(backend, frame.drop(hidden))
        scores = _scores(shape, frame, answered)
        scores.write_parquet(out / "scores.parquet")
        manifest["version"] = ", ".join(sorted({one.version.name for one in answered}))
        manifest["rows"] = scores.height
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return manifest


@contextmanager
def _tables_of(shape: Shape, data: Path) -> Iterator[Path]:
    """A folder with the tables under their names; a single file is the first table's, whatever it is called."""
    if data.is_dir():
        yield data
        return
    with tempfile.TemporaryDirectory() as folder:
        ending = ".gz" if data.suffix == ".gz" else ""
        shutil.copy(data, Path(folder, shape.config.data.tables[shape.first].file + ending))
        yield Path(folder)


def _read(
    shape: Shape, folder: Path, quarantine: Path
) -> tuple[dict[str, pl.DataFrame], list[Finding], dict[str, int], dict[str, str]]:
    """Clean tables, what was found, how many rows were set aside, and the files' sha256, by table."""
    scoring = shape.config.scoring
    findings: list[Finding] = []
    tables, rejected, digests = {}, {}, {}
    for name in shape.tables:
        table = shape.config.data.tables[name]
        if scoring:
            share = max(table.max_rejected_share, scoring.max_rejected_share)
            table = table.model_copy(update={"max_rejected_share": share})
        file = next((path for path in (folder / table.file, folder / f"{table.file}.gz") if path.is_file()), None)
        if file is None and name != shape.first:  # nothing is known of it
            tables[name] = shape.empty(name)
            continue
        try:
            clean = clean_table(StoredTable(folder, name, table), table, None, Window())
        except UnusableFileError as unusable:
            findings += unusable.findings
            tables[name] = shape.empty(name)
            continue
        findings += clean.findings
        tables[name] = clean.frame.drop(LINE)
        rejected[name] = clean.tally.set_aside
        if file is not None:
            digests[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        if clean.rejected.height:
            quarantine.mkdir(parents=True, exist_ok=True)
            clean.rejected.sort(LINE).write_csv(quarantine / f"{name}.csv")
    return tables, findings, rejected, digests


def _answered(backend: Backend, features: pl.DataFrame) -> list[Answers]:
    """Of each chunk, in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda chunk: _patiently(backend, chunk), features.iter_slices(CHUNK_ROWS)))


def _patiently(backend: Backend, chunk: pl.DataFrame) -> Answers:
    for number in range(TRIES):
        try:
            return backend.answer(chunk)
        except UnavailableError as error:
            if number == TRIES - 1:
                raise JobError(
                    f"a chunk of {chunk.height:,} rows was not answered in {TRIES} tries: {error}"
                ) from error
            time.sleep(0.5 * 2**number)
    raise AssertionError


def _scores(shape: Shape, frame: pl.DataFrame, answered: list[Answers]) -> pl.DataFrame:
    answers = pl.DataFrame([row for one in answered for row in one.answers], infer_schema_length=None)
    data = shape.config.data
    keys = [name for name in data.key if name in frame.columns]
    scores = frame.select(keys).rename(key_columns(keys))
    if "value" in answers.columns:
        return scores.with_columns(answers["value"].alias("prediction"))
    probabilities = answers["probabilities"].struct.unnest()
    return pl.concat(
        [
            scores.with_columns(answers["label"].alias("prediction")),
            probabilities.rename(probability_columns(probabilities.columns)),
        ],
        how="horizontal",
    )


def main(argv: list[str]) -> int:
    from include.online.__main__ import backend_of

    data, out = map(Path, argv)
    out.mkdir(parents=True, exist_ok=True)
    try:
        settings = Settings.from_environment()
        backend = backend_of(settings)
        backend.start()
        wait_ready(backend, READY_SECONDS)
        manifest = score_file(Shape(load_model(settings.model)), data, backend, out)
        backend.close()
    except (JobError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(manifest["summary"])
    if not manifest["passed"]:
        return 1
    print(f"{manifest['rows']:,} scores of version {manifest['version']}: {out / 'scores.parquet'}")
    print(pl.read_parquet(out / "scores.parquet", n_rows=5))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
