"""The tasks of a backfill in batches, each named after its id."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import Budget, ModelConfig, load_model
from include.models.config.files import (
    DAY_RESULT,
    DAYS,
    PARTS,
    REPORT,
    SCORES,
    SCORES_MANIFEST,
    VERDICT_PAGE,
    day_folder,
)
from include.models.config.results import DayResult, Parts
from include.platform.clients import s3_client, sagemaker_client
from include.platform.costs import above_budget, spent
from include.platform.environment import MlEnvironment
from include.platform.errors import PermanentError
from include.platform.objects import read_json, write_text
from include.platform.raw_files import list_raw_data
from include.platform.request_parts import Request, Source
from include.platform.run_context import begin_run, current_run, pin, read_record
from include.platform.run_folders import BatchRun, Run
from include.platform.storage import daily_prefix, scores_prefix, split_uri
from include.registry.model_index import index_scores
from include.score import requests, sinks
from include.score.backfill_records import Answer, BackfillPlan, BatchRef, PublishedBatch, Summary
from include.score.batches import Estimate, batches_of, cost_in_words, estimate
from include.score.impossible import in_one_sentence
from include.score.plan import CHAMPION_AT, DayPlan, PlanError, Preview, days_between, list_partitions
from include.score.publish import PublishError, publish
from include.score.published import JobCost, PublishedError, ScoresManifest, is_of_run, read_published
from include.score.tasks import planner_of, reference_for, require_unchanged, tell_published
from sagemaker_jobs.account import total_usd
from sagemaker_jobs.kinds import JobResult
from sagemaker_jobs.links import file_page

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

log = logging.getLogger(__name__)

YES, NO = "Score the days", "Leave them"
LONGEST_WHY = 400


def model_of(context: Context) -> ModelConfig:
    return load_model(str(context["params"]["model"]))


def plan_days(context: Context) -> str:
    """Plans the backfill: logs what will be done and its cost, and stores the plan.

    Returns:
        The id of the next task: the approval, if the cost exceeds what may be spent without asking.

    Raises:
        PlanError: no day of the range can be scored.
    """
    model, params = model_of(context), context["params"]
    environment, run = begin_run(context)
    s3 = s3_client(environment)
    partitions = list_partitions(s3, environment.bucket, model.name)
    days = days_asked_for(str(params["from"]), str(params["to"]), partitions)
    planner = planner_of(model, environment, s3, partitions)
    preview = planner.preview(days, params["model_version"] or CHAMPION_AT, force=bool(params["force"]))
    batches = batches_of(model, preview)
    used = environment.instance_types.get("processing")
    found = estimate(model, used, environment.region, preview, len(batches))
    for line in in_words(preview, found, environment.region):
        log.info("%s", line)
    if preview.impossible and not preview.plans and not preview.unchanged:
        raise PlanError(in_one_sentence(preview.impossible))
    for number, plans in enumerate(batches):
        write_text(s3, run.of_batch(model.name, number).plans, json.dumps([plan.model_dump() for plan in plans]))
    plan: BackfillPlan = {
        "model": model.name,
        "days": len(days),
        "changed": preview.changed,
        "unchanged": preview.unchanged,
        "impossible": preview.impossible,
        "estimate": found,
        "batches": [_ref(number, plans) for number, plans in enumerate(batches)],
    }
    write_text(s3, run.backfill_plan, json.dumps(plan))
    large = ("unchanged", "impossible")
    context["ti"].xcom_push(key="plan", value={name: part for name, part in plan.items() if name not in large})
    why = _why_to_ask(context, model, environment, s3, found)
    if not batches or why is None:
        return "choose_batches"
    subject = f"Score {len(preview.plans)} days of {model.name}? {cost_in_words(found, environment.region)}"
    lines = [*in_words(preview, found, environment.region), f"asked because {why}"]
    body = "\n".join(f"- {line}" for line in lines)
    context["ti"].xcom_push(key="question", value={"subject": subject, "body": body})
    return "approve_cost"


def _why_to_ask(
    context: Context, model: ModelConfig, environment: MlEnvironment, s3: S3Client, found: Estimate
) -> str | None:
    """Why the cost needs approval; None if it does not."""
    if found["usd"] == "unknown":
        return "the price is unknown"
    given = context["params"]["budget_usd"]
    if given is not None:  # the form of the run sets the budget
        return above_budget(found["usd"], float(given), Budget(), {})
    this_month = spent(s3, environment.bucket, model.name, datetime.now(UTC))
    return above_budget(found["usd"], model.budget.per_backfill, model.budget, this_month)


def days_asked_for(first: str, last: str, partitions: Iterable[str]) -> list[str]:
    """Every day of the range.

    Raises:
        PlanError: the range is empty, or no day in it has data.
    """
    if first > last:
        raise PlanError(f"the range is empty: from {first} is after to {last}. Trigger the Dag again.")
    days, there = days_between(first, last), set(partitions)
    if there.isdisjoint(days):
        known = f"there is data from {min(there)} to {max(there)}" if there else "there is no data at all"
        raise PlanError(f"no day from {first} to {last} has data ({known})")
    return days


def in_words(preview: Preview, found: Estimate, region: str) -> list[str]:
    """The plan in words, one line per item."""
    count = len(preview.changed) + len(preview.unchanged) + len(preview.impossible)
    lines = [f"{count} days: {len(preview.changed)} to score, {len(preview.unchanged)} done and unchanged"]
    lines += [f"{number} to score: {why}" for why, number in Counter(preview.changed.values()).most_common()]
    if preview.impossible:
        lines.append(f"not possible: {in_one_sentence(preview.impossible)}")
    return [*lines, cost_in_words(found, region)] if preview.changed else lines


def choose_batches(context: Context, *, answer: Answer | None) -> list[BatchRef]:
    """The batches to score: none if approval was required and not given."""
    environment, run = current_run(context)
    plan: BackfillPlan = read_record(environment, run.backfill_plan, by="plan_days")
    if answer and answer["chosen_options"] != [YES]:
        log.info("not approved: nothing is scored")
        return []
    return plan["batches"]


def score_batch(context: Context, *, batch: BatchRef) -> Request:
    """The request for the batch's days that no earlier job has staged."""
    environment, run, plans = planned_batch(context, batch)
    s3 = s3_client(environment)
    # if none is left, its first day is scored again: a job must read and write something
    left = [plan for plan in plans if not is_staged(s3, run, plan.day)] or plans[:1]
    log.info("batch %d: %d of %d days are already staged", run.number, len(plans) - len(left), len(plans))
    prefix = daily_prefix(str(context["params"]["model"]))
    files = {plan.day: [file["key"].removeprefix(prefix) for file in plan.inputs] for plan in left}
    names = sorted({name for some in files.values() for name in some})
    write_text(s3, run.batch_inputs, json.dumps([{"prefix": f"s3://{environment.bucket}/{prefix}"}, *names]))
    write_text(s3, f"{run.batch_files}/{DAYS}", json.dumps(files))
    model, version = model_of(context), plans[0].version
    reference = reference_for(model, environment, version)
    return requests.score_batch(model, environment, run, artifact=version.artifact, reference=reference)


def planned_batch(context: Context, batch: BatchRef) -> tuple[MlEnvironment, BatchRun, list[DayPlan]]:
    """The environment with the code and image of the plan, the batch's folder, the plans of its days."""
    environment, run = current_run(context)
    of_batch = run.of_batch(str(context["params"]["model"]), batch["number"])
    plans = [DayPlan.model_validate(plan) for plan in read_record(environment, of_batch.plans, by="plan_days")]
    return pin(environment, plans[0].code_hash, plans[0].image_uri), of_batch, plans


def is_staged(s3: S3Client, run: BatchRun, day: str) -> bool:
    """Whether the day's scores are staged, checked and complete."""
    parts: Parts | None = read_json(s3, f"{run.of(day, SCORES)}/{PARTS}")
    if parts is None or read_json(s3, f"{run.of(day, REPORT)}/{DAY_RESULT}") is None:
        return False
    bucket, prefix = split_uri(f"{run.of(day, SCORES)}/")
    there = {file["key"].removeprefix(prefix): file["bytes"] for file in list_raw_data(s3, bucket, prefix)}
    return all(there.get(part["name"]) == part["bytes"] for part in parts["parts"])


def publish_batch(context: Context, *, batch: BatchRef, scored: JobResult | None) -> PublishedBatch:
    """Publishes what the batch's job staged, day by day, and announces each as ``score_`` does; days that this run
    already published stay as they are."""
    environment, run, plans = planned_batch(context, batch)
    s3, model = s3_client(environment), model_of(context)
    failed, elsewhere = dict[str, str](), dict[str, str]()
    cost = _cost_of_a_day(scored, len(plans))
    for plan in plans:
        before = published_by(run, s3, model.name, plan.day)
        if before and before["digest"] == plan.digest:
            continue
        try:
            manifest = _publish_day(context, environment, s3, run, plan, cost)
            if not is_of_run(manifest, run):
                elsewhere[plan.day] = f"run {manifest['run_id']} of {manifest['dag_id']}"
        except (PublishError, PlanError) as error:
            failed[plan.day] = str(error)[:LONGEST_WHY]
            log.warning("%s was not published: %s", plan.day, error)
    days = [plan.day for plan in plans if plan.day not in failed]
    index_scores(s3, environment.bucket, model, days)
    tell_published(context, model, [day for day in days if day not in elsewhere])
    log.info("%d of %d days are published", len(days), len(plans))
    cost_usd = scored.get("cost_usd") if scored else None
    done: PublishedBatch = {"failed": failed, "elsewhere": elsewhere, "cost_usd": cost_usd}
    write_text(s3, run.published, json.dumps(done))
    return done


def published_by(run: Run, s3: S3Client, model: str, day: str) -> ScoresManifest | None:
    """The manifest of a day's scores if this run has published them; None also if it cannot be read."""
    try:
        found = read_published(s3, run.bucket, model, day)
    except PublishedError:
        return None
    return found if is_of_run(found, run) else None


def _publish_day(
    context: Context, environment: MlEnvironment, s3: S3Client, run: BatchRun, plan: DayPlan, cost: list[JobCost]
) -> ScoresManifest:
    """Raises PublishError: there is nothing to publish, or it must not be published."""
    report = run.of(plan.day, REPORT)
    result: DayResult | None = read_json(s3, f"{report}/{DAY_RESULT}")
    if result is None:
        raise PublishError(f"it was not scored: look at score_batch of batch {run.number}, and clear that task")
    if not result["passed"]:
        page = file_page(f"{report}/{VERDICT_PAGE}", sagemaker_client(environment))
        raise PublishError(f"{result['summary']}\n  report: {page}")
    model = model_of(context)
    require_unchanged(s3, environment.bucket, model, plan)
    return publish(
        s3,
        run,
        model.name,
        plan,
        staged=run.of(plan.day, SCORES),
        quarantined={name: table["rejected"] for name, table in result["tables"].items() if table["rejected"]},
        jobs=cost,
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _cost_of_a_day(scored: JobResult | None, days: int) -> list[JobCost]:
    """A day's share of its batch's job."""
    if scored is None:
        return []
    seconds = scored.get("billable_seconds")
    share = None if seconds is None else round(seconds / days)
    kind, count = scored.get("instance_type"), scored.get("instance_count")
    return [{"task": "score_batch", "instance_type": kind, "instance_count": count, "billable_seconds": share}]


def send_scores(sink: str, context: Context, *, batch: BatchRef) -> Request:
    """The request for one job that sends the batch's days that this run has published.

    Raises:
        AirflowSkipException: the model or the environment has no such sink, or there is nothing to send.
    """
    environment, run, plans = planned_batch(context, batch)
    model, s3 = model_of(context), s3_client(environment)
    section = model.sinks.section(sink)
    if section is None or not section.backfilled_days or environment.connection(sink) is None:
        raise AirflowSkipException(
            f"nothing is sent to {sink}: model.yaml of {model.name} has no sinks.{sink} or backfilled_days: false, "
            f"or ml_environment has no {sink}"
        )
    found = [manifest for plan in plans if (manifest := published_by(run, s3, model.name, plan.day))]
    if not found:
        raise AirflowSkipException("this run has published none of the batch's days")
    prefix = scores_prefix(model.name)
    names = [f"{day_folder(manifest['date'])}/{SCORES_MANIFEST}" for manifest in found]
    names += [file["key"].removeprefix(prefix) for manifest in found for file in manifest["files"]]
    uri = run.sent(sink)
    write_text(s3, uri, json.dumps([{"prefix": f"s3://{environment.bucket}/{prefix}"}, *sorted(names)]))
    return sinks.send_scores(model, environment, run, sink, scores=Source(uri, data_type="ManifestFile"))


def report_days(context: Context, *, batches: Sequence[BatchRef] | None) -> Summary:
    """Sums up the backfill, from the objects in S3.

    Raises:
        PermanentError: days have no new scores; the message names them.
    """
    environment, run = current_run(context)
    s3 = s3_client(environment)
    plan: BackfillPlan = read_record(environment, run.backfill_plan, by="plan_days")
    failed = {day: why[:LONGEST_WHY] for day, why in plan["impossible"].items()}
    published = [run.of_batch(plan["model"], batch["number"]).published for batch in batches or ()]
    jobs: list[PublishedBatch] = [found for uri in published if (found := read_json(s3, uri))]
    known = {day: why for job in jobs for day, why in job["failed"].items()}
    elsewhere = {day for job in jobs for day in job.get("elsewhere", {})}
    rows, versions = 0, Counter[str]()
    for day in plan["changed"]:
        if manifest := published_by(run, s3, plan["model"], day):
            rows += manifest["rows"]
            versions[str(manifest["model_version"])] += 1
        elif day not in elsewhere:
            failed[day] = known.get(day, "its batch was not published: look at its tasks, and clear those that failed")
    refused = bool(plan["batches"]) and batches is not None and not batches
    usd = plan["estimate"]["usd"]
    summary: Summary = {
        "model": plan["model"],
        "days": plan["days"],
        "scored": versions.total(),
        "skipped_unchanged": len(plan["unchanged"]) + len(elsewhere),
        "failed": len(failed),
        "failed_days": failed,
        "rows": rows,
        "versions": dict(versions),
        "jobs": len(jobs),
        "estimated_usd": usd if isinstance(usd, int | float) else None,
        "actual_usd": total_usd(job["cost_usd"] for job in jobs),
    }
    if refused:
        summary["refused"] = True
    write_text(s3, run.backfill_summary, json.dumps(summary))
    context["ti"].xcom_push(key="summary", value=summary)
    log.info(
        "%(scored)d of %(days)d days scored by version(s) %(versions)s, %(rows)d rows; %(skipped_unchanged)d "
        "unchanged, %(failed)d failed; %(jobs)d jobs, estimated %(estimated_usd)s USD, actual %(actual_usd)s USD",
        summary,
    )
    if failed and not refused:
        raise PermanentError(
            f"{len(failed)} of {plan['days']} days have no new scores: {', '.join(list(failed)[:40])}. "
            + "; ".join(f"{day}: {why}" for day, why in list(failed.items())[:3])
            + ". Clear the batches that failed; if data was wrong, correct it and trigger this Dag again: it scores "
            "what is due and leaves the rest alone."
        )
    return summary


def _ref(number: int, plans: Sequence[DayPlan]) -> BatchRef:
    days = [plan.day for plan in plans]
    return {
        "number": number,
        "version": plans[0].version.version,
        "days": len(days),
        "first": min(days),
        "last": max(days),
    }
