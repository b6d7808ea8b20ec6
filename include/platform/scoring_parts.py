"""What a day's scores depend on besides its raw data and the version: exactly the code and configuration that scoring
reads, by part. So editing a gate, or another model's folder, does not make a scored day stale.

Parts: ``code``, the shared modules that ``score_day`` imports; ``code of the features``, the model's own;
``expectations``, the suites of the scored tables; sections of model.yaml, as far as they affect scores. The version's
model predicts with its own code, which the version identifies.
"""

from __future__ import annotations

from pathlib import Path

from include.models.config import ModelConfig
from include.platform.code_parts import (
    Parts,
    digest_of_files,
    digest_of_texts,
    files_of,
    imported_files,
    parts_by_model,
)

PROGRAM = "include.jobs.score_day"
ANSWERING = "include.jobs.daily.answering"  # run by its path; it imports the version's code
# keys of the section ``scoring`` about compute and schedule, which do not change the result
HOW = {
    *("instance_type", "instance_count", "volume_gb", "max_runtime_minutes", "wait_hours", "sweep_days"),
    *("one_job_mb", "chunk_mb", "max_payload_mb"),
}


def scoring_parts_of_models(root: Path) -> dict[str, Parts]:
    """The parts, as digests, by model; models that are not scored daily or whose model.yaml is invalid are left out."""
    answering = {file for file, _ in files_of(root, ANSWERING)}
    code = digest_of_files(root, imported_files(root, PROGRAM) | answering)
    return parts_by_model(root, lambda model: {"code": code, **_own_parts(root, model)} if model.scoring else None)


def _own_parts(root: Path, model: ModelConfig) -> Parts:
    scoring, folder = model.daily_scoring, root / "include" / "models" / model.name
    names = sorted(f"{table}{ending}.json" for table in scoring.tables for ending in ("", "_continuity"))
    suites = [folder / "expectations" / name for name in names]
    data = model.data.model_copy(update={"tables": {name: model.data.tables[name] for name in scoring.tables}})
    own = imported_files(root, f"include.models.{model.name}.features")
    return {
        "code of the features": digest_of_files(root, (file for file in own if file.is_relative_to(folder))),
        "expectations": digest_of_files(root, filter(Path.is_file, suites)),
        "model.yaml (data)": digest_of_texts([data.model_dump_json()]),
        "model.yaml (problem)": digest_of_texts([model.problem]),
        "model.yaml (features)": digest_of_texts([model.features.model_dump_json()]),
        "model.yaml (scoring)": digest_of_texts([scoring.model_dump_json(exclude=HOW)]),
    }
