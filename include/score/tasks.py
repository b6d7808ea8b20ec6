"""The tasks of a scoring run, each named after its id."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from pendulum import instance
from pydantic import ValidationError

from include.models.config import ModelConfig
from include.models.config.results import Verdict
from include.platform.clients import s3_client, sagemaker_client
from include.platform.dag_settings import require_fields, scores_asset
from include.platform.environment import MlEnvironment, ml_environment
from include.platform.errors import PermanentError
from include.platform.objects import write_text
from include.platform.raw_files import RawFile, list_raw_data, raw_megabytes
from include.platform.request_parts import Request, group_name
from include.platform.run_context import begin_checks, begin_run, current_run, pin, read_record
from include.platform.run_folders import DayRun
from include.platform.storage import daily_partition, daily_prefix, reference_of, scores_partition, split_uri
from include.registry import requests as registry
from include.registry.model_index import index_scores
from include.registry.retired import skip_if_retired
from include.registry.versions import RegisteredVersion
from include.score import requests, sinks
from include.score.challenger import choose_challenger, keep_challenger
from include.score.plan import (
    CHAMPION_AT,
    DayPlan,
    Planner,
    day_inputs,
    end_of,
    list_partitions_of,
    parts_of,
)
from include.score.publish import PublishError, publish
from include.score.published import JobCost, is_of_run
from sagemaker_jobs.kinds import JobResult
from sagemaker_jobs.sensors import Partition
from sagemaker_jobs.timetables import midnight_meant

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

MANUAL = "manual"  # the type of a run that a user triggered


class Published(TypedDict):
    """What ``publish_scores`` returns: the manifest without its lists."""

    date: str
    rows: int
    sha256: str
    model_package_arn: str
    model_version: int
    model_version_reason: str
    quarantined: dict[str, int]


def day_of_run(context: Context) -> str:
    """The day of a run: the one in the form, else that of a scheduled run, of the scores whose publication started it,
    or of a manual run's logical date.

    Raises:
        PermanentError: a manual run names no day, or a moment whose day depends on the user's time zone.
    """
    if asked := context["params"]["day"]:
        return str(asked)
    dag_run = context["dag_run"]
    if dag_run.partition_key:
        return dag_run.partition_key
    start = dag_run.data_interval_start
    if start is None:
        raise PermanentError("this run names no day. Trigger the Dag again and enter one in the field Day.")
    given = dag_run.logical_date
    if dag_run.run_type == MANUAL and given is not None and given.astimezone(UTC).time() != time():
        raise PermanentError(
            f"the logical date of this run is {given.astimezone(UTC):%Y-%m-%d %H:%M} UTC, a time rather than a day. "
            f"Trigger the Dag again and enter {midnight_meant(instance(given)):%Y-%m-%d}, or the day that you mean, in "
            "the field Day; the logical date may stay empty."
        )
    return start.astimezone(UTC).date().isoformat()


def wait_for_partition(model: ModelConfig, context: Context) -> Partition:
    require_fields(context)
    skip_if_retired(model, context)
    day, scoring = day_of_run(context), model.daily_scoring
    prefix = daily_partition(model.name, day)
    return {
        "what": f"the raw data of {day}",
        "bucket": ml_environment().bucket,
        "keys": [f"{prefix}{model.data.tables[name].file.rpartition('.')[0]}.*" for name in scoring.tables],
        "until": end_of(day) + timedelta(hours=scoring.wait_hours),
        "advice": f"Put them there, plain, .gz, .zst or .parquet; the next run of monitor_{model.name} has the day "
        "scored, or clear this task. For a day without events, deliver files with only a header.",
    }


def plan_day(model: ModelConfig, context: Context) -> list[str]:
    """Writes the plan of the run's day into the run's folder.

    Returns:
            The ids of the next tasks: the checks of the sinks, and the first task that scores the day, by its size;
                none if
            its scores are already published.

    Raises:
        PlanError, VersionError: the day's data or a version is missing.
    """
    environment, run = begin_run(context)
    day, params = day_of_run(context), context["params"]
    s3 = s3_client(environment)
    planner = planner_of(model, environment, s3, list_partitions_of(s3, environment.bucket, model, day))
    plan, published = planner.plan(day, params["model_version"] or CHAMPION_AT), planner.published(day)
    log.info("%s: version %d (%s); %d raw files", day, plan.version.version, plan.reason, len(plan.inputs))
    why = plan.why_due(published)
    if published is not None and why is None and not params["force"]:
        log.info(
            "%s is unchanged since run %s published it at %s: same raw data (ETags), model %s, code and configuration. "
            "Nothing to do; force scores it anyway.",
            *(day, published["run_id"], published["published_at"], plan.version.model_package_arn),
        )
        return []
    log.info("%s is scored: %s", day, why or "forced")
    way = way_of(model, plan, several_jobs=params["several_jobs"])
    plan = _with_challenger(model, environment, s3, plan, asked=params.get("challenger"), way=way)
    folder, prefix = run.of_day(plan.digest, day), daily_prefix(model.name)
    names = [file["key"].removeprefix(prefix) for file in plan.inputs]
    write_text(s3, folder.day_inputs, json.dumps([{"prefix": f"s3://{environment.bucket}/{prefix}"}, *names]))
    write_text(s3, run.day_plan, plan.model_dump_json())
    return [
        way,
        *(f"{sink}.check_sink" for sink in model.sinks.declared),
    ]


def planned_day(context: Context) -> tuple[MlEnvironment, DayRun, DayPlan]:
    """The environment with the planned code and image, the run's folder, the plan.

    Raises:
        PermanentError: there is no plan, or it was written by other code.
    """
    environment, run = current_run(context)
    try:
        plan = DayPlan.model_validate(read_record(environment, run.day_plan, by="plan_day"))
    except ValidationError as error:
        raise PermanentError(f"{run.day_plan} is invalid: {error}. Clear plan_day, which writes it.") from error
    return pin(environment, plan.code_hash, plan.image_uri), run.of_day(plan.digest, plan.day), plan


def score_day(model: ModelConfig, context: Context) -> Request:
    environment, run, plan = planned_day(context)
    begin_checks(environment, run)
    candidate = plan.challenger.artifact if plan.challenger else None
    return requests.score_day(
        model,
        environment,
        run,
        day=plan.day,
        artifact=plan.version.artifact,
        reference=reference_for(model, environment, plan.version),
        challenger=candidate,
    )


def validate_input(model: ModelConfig, context: Context) -> Request:
    environment, run, plan = planned_day(context)
    begin_checks(environment, run)
    reference = reference_for(model, environment, plan.version)
    return requests.validate_input(model, environment, run, day=plan.day, reference=reference)


def reference_for(model: ModelConfig, environment: MlEnvironment, version: RegisteredVersion) -> str | None:
    """The S3 URI of the version's training, counted by day, if its days are to be compared with it and it has one."""
    if model.monitoring is None or model.monitoring.faults_before_scoring == "ignore" or version.statistics is None:
        return None
    uri = reference_of(version.statistics)
    return uri if list_raw_data(s3_client(environment), *split_uri(uri)) else None


def build_features(model: ModelConfig, context: Context, *, validated: JobResult) -> Request:
    environment, run, plan = planned_day(context)
    verdict: Verdict = validated["result"]
    chunks = verdict["facts"]["chunks"]
    return requests.build_features(
        model, environment, run, day=plan.day, artifact=plan.version.artifact, chunks=int(chunks)
    )


def score(model: ModelConfig, context: Context) -> Request:
    """Raises AirflowSkipException a day without rows has nothing to score."""
    environment, run, plan = planned_day(context)
    shards = _shards(environment, run)
    if not shards:
        raise AirflowSkipException(f"{plan.day} has no rows to score: an empty partition will be published")
    return requests.score(model, environment, run, shards=shards)


def hosted_model(model: ModelConfig, context: Context) -> Request:
    """The Model that ``score`` runs."""
    environment, _, plan = planned_day(context)
    return registry.hosted_model(model, environment, image=plan.version.image, artifact=plan.version.artifact)


def validate_scores(model: ModelConfig, context: Context) -> Request:
    environment, run, _ = planned_day(context)
    return requests.validate_scores(model, environment, run, rows=_shards(environment, run) > 0)


def publish_scores(model: ModelConfig, context: Context, *, jobs: Mapping[str, JobResult | None]) -> Published:
    """Publishes the run's checked scores, unless another run has published the same since planning.

    Args:
        jobs: what the run's jobs returned, by task; None for one that was skipped.

    Raises:
            PublishError, PlanError: the day's raw data changed since it was read, a part changed since it was checked,
                or another run has published other scores.
    """
    environment, run, plan = planned_day(context)
    s3 = s3_client(environment)
    done = {task: job for task, job in jobs.items() if job}
    # about the raw data; a single job's result has it too
    verdict: Verdict = done.get("score_day", done.get("validate_input", {}))["result"]
    tables = verdict.get("tables", {})
    require_unchanged(s3, environment.bucket, model, plan)
    manifest = publish(
        s3,
        run,
        model.name,
        plan,
        staged=run.staged_scores("score_day" if "score_day" in done else "validate_scores"),
        quarantined={name: table["rejected"] for name, table in tables.items() if table["rejected"]},
        jobs=[_cost(task, found) for task, found in done.items()],
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    own = is_of_run(manifest, run)
    if own and plan.challenger and "score_day" in done:
        keep_challenger(s3, model, run, plan.challenger.version)
    if own:
        log.info("published %d rows of %s with version %s", manifest["rows"], plan.day, manifest["model_version"])
    index_scores(s3, environment.bucket, model, [plan.day])
    tell_published(context, model, [plan.day] if own else [])
    return {
        "date": manifest["date"],
        "rows": manifest["rows"],
        "sha256": manifest["sha256"],
        "model_package_arn": manifest["model_package_arn"],
        "model_version": manifest["model_version"],
        "model_version_reason": manifest["model_version_reason"],
        "quarantined": manifest["quarantined"],
    }


def tell_published(context: Context, model: ModelConfig, days: Sequence[str]) -> None:
    """Emits an event of the model's scores for exactly these days, once the task has succeeded."""
    asset = scores_asset(model.name)
    # each outlet declared by the Dag would emit an event, also one without a day
    context["task"].outlets = [asset] if days else []
    if days:
        context["outlet_events"][asset].add_partitions(list(days))


def check_sink(model: ModelConfig, sink: str, context: Context) -> Request:
    """Raises AirflowSkipException: the environment has no such sink."""
    environment, run, _ = planned_day(context)
    if environment.connection(sink) is None:
        raise AirflowSkipException(f"ml_environment has no {sink}: scores are published in S3 but not sent there")
    return sinks.check_sink(model, environment, run, sink)


def send_scores(model: ModelConfig, sink: str, context: Context) -> Request:
    """The job that sends the day's partition as currently published, whichever run did so."""
    environment, run, plan = planned_day(context)
    partition = f"s3://{environment.bucket}/{scores_partition(model.name, plan.day)}"
    return sinks.send_scores(model, environment, run, sink, scores=partition)


def planner_of(
    model: ModelConfig, environment: MlEnvironment, s3: S3Client, partitions: Mapping[str, list[RawFile]]
) -> Planner:
    return Planner(
        model,
        s3=s3,
        sagemaker=sagemaker_client(environment),
        bucket=environment.bucket,
        partitions=partitions,
        group=group_name(model),
        code_hash=environment.code_hash,
        image_uri=environment.image_uri,
        parts=parts_of(s3, environment.bucket, environment.code_hash, model.name),
    )


def way_of(model: ModelConfig, plan: DayPlan, *, several_jobs: bool) -> str:
    """The first task that scores the day, chosen by the amount of data; the log says why."""
    size, limit = raw_megabytes(plan.inputs), model.daily_scoring.one_job_mb
    about = f"{plan.day} has about {size:.1f} MB of raw text to read"
    if several_jobs:
        log.info("%s; several jobs score it, as chosen in the form", about)
        return "validate_input"
    if size > limit:
        log.info("%s, more than scoring.one_job_mb (%d): several jobs score it, in chunks", about, limit)
        return "validate_input"
    log.info("%s, at most scoring.one_job_mb (%d): one job scores it", about, limit)
    return "score_day"


def _with_challenger(
    model: ModelConfig, environment: MlEnvironment, s3: S3Client, plan: DayPlan, *, asked: int | None, way: str
) -> DayPlan:
    """The plan with the challenger, if there is one."""
    found = choose_challenger(model, s3, sagemaker_client(environment), asked=asked, scored_with=plan.version.version)
    if found and way != "score_day":
        log.info("several jobs score the day, so version %d does not score it beside production", found.version)
        return plan
    if found:
        log.info("version %d also scores the day, beside production", found.version)
    return plan.model_copy(update={"challenger": found})


def require_unchanged(s3: S3Client, bucket: str, model: ModelConfig, plan: DayPlan) -> None:
    if day_inputs(model, plan.day, list_partitions_of(s3, bucket, model, plan.day)) != plan.inputs:
        raise PublishError(
            f"the raw data of {plan.day} changed while it was being scored, so nothing was published. Clear "
            f"plan_day, or leave it to the next run of monitor_{model.name}."
        )


def _cost(task: str, job: JobResult) -> JobCost:
    return {
        "task": task,
        "instance_type": job.get("instance_type"),
        "instance_count": job.get("instance_count"),
        "billable_seconds": job.get("billable_seconds"),
    }


def _shards(environment: MlEnvironment, run: DayRun) -> int:
    """The number of objects with rows to score."""
    return len(list_raw_data(s3_client(environment), *split_uri(run.day_rows)))
