"""The tasks of ``score_file``, each named after its id; all but the first are for one file of the run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from airflow.sdk import Asset, Context
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import ModelConfig, load_model
from include.models.config.files import PARTS, QUARANTINE
from include.models.config.results import FileResult, Parts
from include.platform.clients import s3_client, sagemaker_client
from include.platform.costs import record_job
from include.platform.environment import MlEnvironment
from include.platform.errors import PermanentError
from include.platform.notifications import notify, notify_failure
from include.platform.objects import read_json, write_text
from include.platform.outbox import Outbox, Outcome, score_names, unscored, version_of
from include.platform.raw_files import list_raw_data
from include.platform.request_parts import Request, endpoint_name
from include.platform.run_context import current_run, pin, read_record
from include.platform.storage import inbox_object, inbox_prefix, split_uri
from include.registry import requests as registry
from include.registry.versions import RegisteredVersion
from include.score import requests
from include.score.file_plan import ENDPOINT, TRANSFORM, FilePlan, FilePlanner, FileRef, FileRun, Mode, file_run
from include.score.form import BY_SIZE
from sagemaker_jobs.kinds import JobResult

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)


class FileRefusedError(PermanentError):
    """A file could not be scored; people were notified, and its manifest has the reason."""


def find_files(arrivals: Asset, context: Context) -> list[FileRef]:
    """The files that this run scores: those that arrived, or those of the form. Writes a plan for each into the run's
    folder.

    Raises:
        PermanentError: a manual run names no model, or a file that does not exist.
    """
    environment, run = current_run(context)
    s3, params = s3_client(environment), context["params"]
    planner = FilePlanner(environment, s3, sagemaker_client(environment))
    asked, by_hand = _asked_for(environment, s3, arrivals, context)
    mode = None if params["mode"] == BY_SIZE else cast(Mode, params["mode"])
    refs: list[FileRef] = []
    for (model, file), etag in asked.items():
        plan = planner.plan(model, file, etag, mode, again=bool(params["again"]))
        if isinstance(plan, str):
            log.info("%s of %s: %s", file, model, plan)
            if by_hand:
                raise PermanentError(f"{plan}. Nothing was scored.")
            continue
        version = version_of(plan.source["etag"])
        ref: FileRef = {"number": len(refs), "model": model, "file": file, "mode": plan.mode, "version": version}
        of_file = file_run(run.bucket, run.dag_id, run.run_id, ref)
        inputs = [{"prefix": f"s3://{run.bucket}/{inbox_prefix(model)}"}, file]
        write_text(s3, of_file.inputs, json.dumps(inputs))
        write_text(s3, of_file.plan, plan.model_dump_json())
        refs.append(ref)
        log.info(
            "%s of %s: %s", file, model, plan.why or f"{plan.mode}, version {plan.version and plan.version.version}"
        )
    return refs


def _asked_for(
    environment: MlEnvironment, s3: S3Client, arrivals: Asset, context: Context
) -> tuple[dict[tuple[str, str], str | None], bool]:
    """Models and files, with the ETag in the event; and whether a user named the file."""
    events = [event.extra["payload"] for event in context["triggering_asset_events"].get(arrivals, [])]
    found: dict[tuple[str, str], str | None] = {}
    for event in events:  # of two versions of a file, the last event counts; the other is gone, or has a later event
        place = inbox_object(event["key"])
        if place and event["bucket"] == environment.bucket:
            found[place] = None if place in found else event["etag"]
    model, file = context["params"]["model"], context["params"]["file"]
    if events:
        return found, False
    if not model:
        raise PermanentError("this run names no model. Trigger the Dag again and choose one.")
    if file:
        return {(model, file): None}, True
    places = (inbox_object(one["key"]) for one in list_raw_data(s3, environment.bucket, inbox_prefix(model)))
    return {place: None for place in places if place}, False


def planned_file(context: Context, ref: FileRef) -> tuple[MlEnvironment, FileRun, FilePlan]:
    """The environment with the code and image of the plan, the file's folder, its plan."""
    environment, run = current_run(context)
    of_file = file_run(run.bucket, run.dag_id, run.run_id, ref)
    plan = FilePlan.model_validate(read_record(environment, of_file.plan, by="find_files"))
    return pin(environment, plan.code_hash, plan.image_uri), of_file, plan


def score_file(context: Context, *, file: FileRef) -> Request:
    """Raises AirflowSkipException: there is nothing to read."""
    environment, run, plan = planned_file(context, file)
    model, version = _model_and_version(file, plan)
    answers = {TRANSFORM: "later", ENDPOINT: "endpoint"}.get(plan.mode, "artifact")
    return requests.score_file(
        model,
        environment,
        run,
        file=run.inputs,
        artifact=version.artifact,
        answers=answers,  # type: ignore[arg-type]
    )


def score(context: Context, *, file: FileRef, scored: JobResult) -> Request:
    """Raises AirflowSkipException: the rows already have predictions, or there are none."""
    environment, run, plan = planned_file(context, file)
    model, _ = _model_and_version(file, plan)
    result: FileResult = scored["result"]
    if plan.mode != TRANSFORM or not result["passed"]:
        raise AirflowSkipException("no transform job is needed")
    return requests.score(model, environment, run, shards=result["shards"])


def hosted_model(context: Context, *, file: FileRef, scored: JobResult) -> Request:
    """The Model that ``score`` runs."""
    environment, _, plan = planned_file(context, file)
    model, version = _model_and_version(file, plan)
    return registry.hosted_model(model, environment, image=version.image, artifact=version.artifact)


def validate_scores(context: Context, *, file: FileRef) -> Request:
    environment, run, plan = planned_file(context, file)
    return requests.validate_scores(_model_and_version(file, plan)[0], environment, run, rows=True)


def _model_and_version(file: FileRef, plan: FilePlan) -> tuple[ModelConfig, RegisteredVersion]:
    if plan.why or plan.version is None:
        raise AirflowSkipException(f"{file['file']} is not read: {plan.why}")
    return load_model(file["model"]), plan.version


def publish_file(
    context: Context, *, file: FileRef, scored: JobResult | None, checked: JobResult | None
) -> Mapping[str, object]:
    """Writes a file's outcome into the outbox, and notifies people, once for each version.

    Raises:
        FileRefusedError: there are no scores.
        AirflowSkipException: another run was first, or the file was replaced meanwhile.
    """
    environment, run, plan = planned_file(context, file)
    s3, outbox = s3_client(environment), Outbox(environment.bucket, file["model"], file["file"])
    standing, kept, tag = outbox.standing(s3, plan.source)
    own = kept is not None and kept.get("run_id") == run.run_id and standing == "done before"
    if standing == "overtaken" or (standing == "done before" and not own and not plan.again):
        raise AirflowSkipException(f"{outbox.manifest} is newer than this run: {standing}")
    outcome = kept if own and kept else _outcome(environment, s3, run, file, plan, scored, checked)
    if not own and not outbox.publish(s3, outcome, tag):
        raise AirflowSkipException(f"another run wrote {outbox.manifest} at the same time")
    _tell(outcome, outbox, file)
    if not outcome["passed"]:
        raise FileRefusedError(f"{file['file']} of {file['model']} has no scores.\n\n{outcome['summary']}")
    return {name: outcome[name] for name in ("model", "rows", "version", "answered_by", "scores")}


def _outcome(
    environment: MlEnvironment,
    s3: S3Client,
    run: FileRun,
    file: FileRef,
    plan: FilePlan,
    scored: JobResult | None,
    checked: JobResult | None,
) -> Outcome:
    """The manifest; copies scores and rejected rows into the version's folder first."""
    outcome: Outcome = {**unscored(file["model"], plan.source, plan.why or ""), "run_id": run.run_id}
    if not scored:
        return outcome
    result: FileResult = scored["result"]
    task, rows, passed, summary = "score_file", result["rows"], result["passed"], result["summary"]
    if checked and passed:
        task, verdict = "validate_scores", checked["result"]
        rows, passed, summary = verdict["rows"], verdict["passed"], f"{summary}\n{verdict['summary']}"
    folder = Outbox(environment.bucket, file["model"], file["file"]).folder(plan.source["etag"])
    aside = f"{run.report('score_file')}/{QUARANTINE}/"
    there = {one["key"]: f"{folder}{QUARANTINE}/{one['key'].rpartition('/')[2]}" for one in _listed(s3, aside)}
    outcome |= {
        "passed": passed,
        "summary": summary,
        "rejected": {name: table["rejected"] for name, table in result["tables"].items()},
        "files": result["files"],
        "quarantine": _copy(s3, environment.bucket, there),
    }
    if passed:
        staged = run.staged_scores(task)
        parts: Parts = read_json(s3, f"{staged}/{PARTS}")
        names = zip(parts["parts"], score_names(parts["parts"]), strict=True)
        keys = {f"{split_uri(staged)[1]}/{part['name']}": folder + name for part, name in names}
        by_endpoint = f"endpoint {endpoint_name(load_model(file['model']), 'production')}"
        outcome |= {
            "version": str(plan.version.version) if plan.version else None,
            "answered_by": by_endpoint if plan.mode == ENDPOINT else plan.mode,
            "rows": rows,
            "scores": _copy(s3, environment.bucket, keys),
        }
    return outcome


def _listed(s3: S3Client, uri: str) -> list[Mapping[str, str]]:
    return [{"key": one["key"]} for one in list_raw_data(s3, *split_uri(uri))]


def _copy(s3: S3Client, bucket: str, keys: Mapping[str, str]) -> list[str]:
    for source, target in keys.items():
        s3.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source})
    return list(keys.values())


def _tell(outcome: Outcome, outbox: Outbox, file: FileRef) -> None:
    name, aside = f"{file['file']} of {file['model']}", sum(outcome["rejected"].values())
    subject = f"{name} is scored" if outcome["passed"] else f"{name} could not be scored"
    set_aside = f", {aside:,} rows rejected" if aside else ""
    scores = "\n".join(f"s3://{outbox.bucket}/{key}" for key in outcome["scores"])
    facts = f"{outcome['rows']:,} scores of version {outcome['version']}{set_aside}.\n{scores}\n\n"
    # notified once, even if a retry gets here again
    notify(
        subject,
        f"{facts if outcome['passed'] else ''}{outcome['summary']}\n\nManifest: {outbox.manifest}",
        group=f"{name} {file['version']} {outcome.get('run_id', '')}",
    )


def tell_failure(owners: Mapping[str, str], context: Context) -> None:
    """``on_failure_callback``: reports the owner's failed task. For a file that could not be scored, people were
    already notified."""
    if isinstance(context.get("exception"), FileRefusedError):
        return
    notify_failure(context, owners, _model_of(context))


def keep_cost(context: Context) -> None:
    """``record_job``, for the file's model."""
    if model := _model_of(context):
        record_job(context, model)


def _model_of(context: Context) -> str | None:
    """The model of a task's file; None if the task has no file."""
    task_instance = context["ti"]
    index = task_instance.map_index
    files: list[FileRef] = (task_instance.xcom_pull(task_ids="find_files") or []) if (index or -1) >= 0 else []
    return files[index]["model"] if index is not None and 0 <= index < len(files) else None
