"""What a version's metadata in the registry says of its training: code, data, run and jobs, and its gates. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from include.models.config import ModelConfig
from include.models.config.judging import Verdict
from include.models.config.results import Evaluation
from include.platform.borders import MOST_METADATA, metadata_id
from include.platform.environment import MlEnvironment
from include.platform.raw_files import RawFile, lineage_entries, manifest_digest
from include.platform.run_folders import Run
from include.platform.storage import training_job_of
from sagemaker_jobs.kinds import JobResult

LIMIT = MOST_METADATA - 8  # entries for its promotion come later


def lineage_of(
    model: ModelConfig,
    environment: MlEnvironment,
    run: Run,
    *,
    evaluated: JobResult,
    gates: list[Verdict],
    files: list[RawFile],
    triggered_by: str | None,
    params: Mapping[str, object],
) -> dict[str, object]:
    """Entries for the version's metadata, without those that have no value; as many raw files as there is room for.

    Args:
        evaluated: the job that evaluated the candidate.
        files: the raw files that the run was trained from.
        params: the run's, for who started it and why its gates were overruled.
    """
    result: Evaluation = evaluated["result"]
    artifact = evaluated["inputs"]["artifact"]
    about = {
        "dag_id": run.dag_id,
        "run_id": metadata_id(run.run_id),
        "code_hash": environment.code_hash,
        "git_commit": environment.git_commit,
        "training_job": training_job_of(artifact),
        "evaluation_job": evaluated["name"],
        "evaluation_report": run.evaluation_report,
        "mlflow_run_id": result.get("mlflow_run_id"),
        "tracking": result.get("tracking"),
        "triggered_by": triggered_by,
        "started_by": params["started_by"],
        "champion": evaluated["inputs"].get("champion"),
        "forced": params["reason"] if any(verdict.get("forced") for verdict in gates) else None,
        "data_manifest": run.data_manifest,
        "data_sha256": manifest_digest(files),
    }
    known: dict[str, object] = {name: value for name, value in about.items() if value}
    known |= _measured(gates) | _refitted(model, result)
    return {**known, **lineage_entries(files, LIMIT - len(known))}


def _measured(gates: list[Verdict]) -> dict[str, str]:
    """The value and the interval of each gate's metric."""
    known = {}
    for verdict in gates:
        if verdict["value"] is not None:
            known[f"metric_{verdict['metric']}"] = f"{verdict['value']:.6g}"
        if ends := verdict.get("interval"):
            known[f"interval_{verdict['metric']}"] = f"{ends[0]:.6g} to {ends[1]:.6g}"
    return known


def _refitted(model: ModelConfig, result: Evaluation) -> dict[str, object]:
    """About the model that was trained again on all rows, if one was."""
    if not (refit := result.get("refit")):
        return {}
    measured = refit["metrics"].get(model.champion.metric)
    known = {"refit_rows": refit["rows"], "refit_distance": f"{refit['distance']:.4g}"}
    return known if measured is None else known | {f"refit_{model.champion.metric}": f"{measured:.6g}"}
