"""Replays retraining policies day by day, together until they part.

    python -m include.ops.replay.policy --model M --course FILE --to ISO --days N --code HASH

In a world that has raw tables, partitions and a first version (``start``), days are scored, and their labels joined,
``--days`` at a time; then each is judged as on its evening, from what was known then. If a policy trains, a candidate
that passes its gates is approved at once, and scores from the next day on: days already scored by the previous version
are rescored. So each day ends as if everything had happened day by day.

A policy that trains on fixed days does so before any day is scored: its trainings depend on nothing else (``--days 1``
keeps the order of daily runs). Policies that
depend on verdicts are the same until only some of them train: then the program ends, and the course names those. Each
part continues in its own copy of the world.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from include.models.config import ModelConfig, Monitoring, load_model
from include.models.config.files import METRICS
from include.models.config.monitoring import Retrain
from include.models.config.performance import Performance
from include.models.config.results import Verdict
from include.models.config.wording import counted
from include.monitor import label_tasks
from include.monitor import tasks as monitoring
from include.monitor.drift import monitoring_of
from include.monitor.verdict import Told, may_train
from include.ops.local_stack.command import under_way
from include.ops.local_stack.settings import BUCKET, Settings
from include.ops.replay.weeks import Week, measure_weeks
from include.ops.replay.world import JobCost, World, context_of, say, values_of
from include.platform.clients import keep_clients, s3_client, sagemaker_client
from include.platform.environment import ml_environment
from include.platform.errors import PermanentError
from include.platform.objects import read_json
from include.platform.request_parts import group_name
from include.platform.run_folders import Run
from include.platform.storage import performance_of, told_of
from include.registry.history import Entry, record_promotion
from include.registry.versions import describe
from include.score import backfill_tasks
from include.score.plan import CHAMPION_AT, days_between, end_of
from include.train import form
from include.train import tasks as training
from sagemaker_jobs.kinds import PROCESSING, TRAINING, JobResult

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

log = logging.getLogger(__name__)

EVERY = {"daily": 1, "weekly": 7, "monthly": 28}  # days between trainings, whatever monitoring says
BY_VERDICT = ("on_drift", "on_performance")
POLICIES = ("never", *EVERY, *BY_VERDICT)
FROM_THE_BEGINNING = "1900-01-01"  # what must be learned if nothing has changed
PROMOTED_AFTER = timedelta(hours=1)  # a day's end: the next day is the first that the new version scores


class Trained(TypedDict):
    """A training: on which evening, why, and its outcome; ``version`` if it passed its gates."""

    day: str
    why: str
    outcome: str
    version: int | None


class Day(TypedDict):
    """A day as monitoring saw it. ``metric``: of its version's labelled days in the ``monitoring.window_days`` that end
    with it."""

    day: str
    version: int
    verdict: str
    rows: int
    labelled: int
    metric: float | None


class Course(TypedDict):
    """How far policies have come together. ``next``: the day to judge; ``scored``: the last scored day;
    ``pauses_until``: the first evening on which there can be another training; ``parting``: the policies that train on
    the evening of ``next``, if others do not; ``days`` and ``weeks``: once the last day is over; ``runs``: so that each
    has its own id."""

    policies: list[str]
    next: str
    scored: str
    pauses_until: str
    parting: list[str]
    verdicts: dict[str, monitoring.Found]
    trainings: list[Trained]
    jobs: list[JobCost]
    days: list[Day]
    weeks: list[Week]
    runs: int


class Replayed(TypedDict):
    """The result of a policy."""

    model: str
    policy: str
    metric: str
    days: list[Day]
    weeks: list[Week]
    trainings: list[Trained]
    jobs: list[JobCost]


@dataclass
class Life:
    """Policies replayed together in their world; ``model`` is watched under the first of them."""

    model: ModelConfig
    course: Course
    world: World

    def live(self, last: str, days: int) -> None:
        """The course's days up to the last, or to the evening on which its policies part.

        Raises:
            PermanentError: a job failed, or a day cannot be scored or judged.
        """
        course, policy = self.course, self.course["policies"][0]
        by_schedule: monitoring.TrainingConf = {"started_by": f"replay, {policy}", "must_learn": FROM_THE_BEGINNING}
        evenings = _trains_on(policy, course["next"], last)
        for evening in evenings if days > 1 else []:
            self.train(evening, **by_schedule)
        while (day := course["next"]) <= last:
            if day > course["scored"]:
                course["scored"] = self._score_from(day, last, days)
            if day not in course["verdicts"]:
                course["verdicts"][day] = self._judge(day)
            course["parting"] = self._trainers(course["verdicts"][day])
            if course["parting"]:
                return
            started = self._follow(course["verdicts"][day])
            if days == 1 and day in evenings:
                started = by_schedule
            if started:
                self.train(day, **started)
                course["scored"] = day
                course["pauses_until"] = after(day, monitoring_of(self.model).cool_down_days)
            course["next"] = after(day, 1)
        course["days"] = [self._ended(each, found) for each, found in course["verdicts"].items()]
        course["weeks"] = measure_weeks(self.model, self.world, [*course["verdicts"]])

    def _score_from(self, day: str, last: str, days: int) -> str:
        """Scores up to as many days; returns the last."""
        until = min(last, after(day, days - 1))
        if day <= self.course["pauses_until"]:  # the next training may be on that evening: later days are scored after
            until = min(until, self.course["pauses_until"])
        self._score(day, until)
        trainings = counted(len(self.course["trainings"]), "training")
        say(f"{self.world.who}: {day} to {until} scored, {trainings} so far")
        return until

    def _trainers(self, found: monitoring.Found) -> list[str]:
        """The policies that train on an evening; none if all or none of them do."""
        policies = self.course["policies"]
        if len(policies) == 1:
            return []
        told: Told | None = read_json(self._s3, told_of(BUCKET, self.model.name))
        changed = found["training"]["must_learn"]
        train = [
            policy
            for policy in policies
            if may_train(monitoring_of(with_policy(self.model, policy)), told, found, "", changed) is None
        ]
        return train if len(train) < len(policies) else []

    def train(self, day: str, *, started_by: str, must_learn: str | None, whatever: bool = False) -> None:
        """A training on the evening of a day: the steps of ``train_`` in order; promotes what it registers.

        Args:
            whatever: register it whether or not it passes its gates.
        """
        params = {name: param.value for name, param in form.form_of(self.model).items()}
        params |= {"data_to": day, "started_by": started_by, "must_learn": must_learn}
        context = self._context("train", **params)
        version = None
        try:
            version = self._train(context, day, whatever=whatever)
            missed = [one["metric"] for one in values_of(context)["gates"] if not one["passed"]]
            outcome = f"missed its gates: {', '.join(missed)}" if missed else "passed its gates"
        except (AirflowSkipException, PermanentError) as error:
            outcome = str(error)
        self.course["trainings"].append({"day": day, "why": started_by, "outcome": outcome, "version": version})
        say(f"{self.world.who}: {day}, {started_by}: {outcome}")

    def _train(self, context: Context, day: str, *, whatever: bool) -> int | None:
        model, world = self.model, self.world
        if training.plan_training(model, context) != "prepare_data":
            raise PermanentError("a replay prepares data in one job: set processing.one_job_mb to 0")
        world.run(PROCESSING, "prepare_data", training.prepare_data(model, context), context, day)
        run = Run(BUCKET, context["ti"].dag_id, context["ti"].run_id)
        for step in ("validate_raw_data", "validate_features"):
            verdict: Verdict | None = read_json(self._s3, run.validation_verdict(step))
            if verdict is None or not verdict["passed"]:
                raise PermanentError(verdict["summary"] if verdict else f"{step} wrote no verdict")
        trained = world.run(TRAINING, "train_model", training.train_model(model, context), context, day)
        request = training.evaluate_model(model, context, trained=trained, tuned=None)
        evaluated = world.run(PROCESSING, "evaluate_model", request, context, day)
        evaluated["result"] = read_json(self._s3, f"{run.evaluation}/{METRICS}")
        registers = training.check_metrics(model, context, evaluated=evaluated) == "register_model"
        version = self._register(context, evaluated, day) if registers or whatever else None
        training.record_training(model, context)
        return version

    def _register(self, context: Context, evaluated: JobResult, day: str) -> int:
        sagemaker, group = sagemaker_client(ml_environment()), group_name(self.model)
        gates = values_of(context)["gates"]
        request = training.register_model(self.model, context, evaluated=evaluated, gates=gates)
        if not sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]:
            sagemaker.create_model_package_group(**training.model_package_group(self.model, context))
        arn = sagemaker.create_model_package(**request)["ModelPackageArn"]
        sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
        version = describe(sagemaker, arn)
        values_of(context)["register_model return_value"] = {"version": version.version}
        entry = Entry(
            version=version.version,
            model_package_arn=arn,
            artifact=version.artifact,
            since=end_of(day) + PROMOTED_AFTER,
            endpoint_config=f"replay-{version.version}",
            dag_id=context["ti"].dag_id,
            run_id=context["ti"].run_id,
        )
        record_promotion(self._s3, BUCKET, self.model.name, entry)
        return version.version

    def _score(self, first: str, last: str) -> None:
        """What ``backfill`` does with these days, then the first steps of ``monitor_``: the labels."""
        asked = {"model": self.model.name, "from": first, "to": last, "model_version": CHAMPION_AT}
        context = self._context("backfill", **asked, force=False, budget_usd=float("inf"))
        backfill_tasks.plan_days(context)
        for batch in backfill_tasks.choose_batches(context, answer=None):
            request = backfill_tasks.score_batch(context, batch=batch)
            scored = self.world.run(PROCESSING, f"score_batch_{batch['number']}", request, context, first)
            failed = backfill_tasks.publish_batch(context, batch=batch, scored=scored)["failed"]
            for day, why in failed.items():
                log.warning("%s was not scored: %s", day, why)
        if self.model.labels is None:
            return
        context = self._context("monitor", day=last)
        label_tasks.find_labels(self.model, context)
        try:
            request = label_tasks.join_labels(self.model, context)
        except AirflowSkipException:
            return
        self.world.run(PROCESSING, "join_labels", request, context, first)
        label_tasks.publish_performance(self.model, context)

    def _judge(self, day: str) -> monitoring.Found:
        with under_way(f"{self.world.who}: verdict of {day}", say):
            return monitoring.judge_day(self.model, self._context("monitor", day=day))

    def _follow(self, found: monitoring.Found) -> monitoring.TrainingConf | None:
        """Tells people of a verdict; returns the form of the training that it starts."""
        context = self._context("monitor", day=found["date"])
        follow = monitoring.check_verdict(self.model, context, found=found)
        if "report_verdict" in follow:
            monitoring.report_verdict(self.model, context, found=found)
        return found["training"] if "retrain_model" in follow else None

    def _ended(self, day: str, found: monitoring.Found) -> Day:
        known: Performance | None = read_json(self._s3, performance_of(BUCKET, self.model.name, day))
        window = known["window"] if known else None
        return {
            "day": day,
            "version": found["model_version"],
            "verdict": found["verdict"],
            "rows": found["rows"],
            "labelled": window["labelled"] if window else 0,
            "metric": window["metrics"].get(self.model.champion.metric) if window else None,
        }

    def _context(self, verb: str, **params: object) -> Context:
        self.course["runs"] += 1
        dag_id = verb if verb == "backfill" else f"{verb}_{self.model.name}"
        return context_of(dag_id, f"replay__{self.course['policies'][0]}_{self.course['runs']}", **params)

    @property
    def _s3(self) -> S3Client:
        return s3_client(ml_environment())


def course_of(policies: list[str], first: str) -> Course:
    """The beginning: nothing is scored."""
    return {
        "policies": policies,
        "next": first,
        "scored": after(first, -1),
        "pauses_until": "",
        "parting": [],
        "verdicts": {},
        "trainings": [],
        "jobs": [],
        "days": [],
        "weeks": [],
        "runs": 0,
    }


def _trains_on(policy: str, first: str, last: str) -> list[str]:
    """The evenings on which a policy trains whatever monitoring says."""
    return days_between(first, last)[EVERY[policy] - 1 :: EVERY[policy]] if policy in EVERY else []


def with_policy(model: ModelConfig, policy: str) -> ModelConfig:
    """The model as it would be watched under a policy; a replay compares policies, so the days held out are the same
    in all of them, those of ``monitoring.retrain``."""
    watched = model.monitoring or Monitoring()
    when = policy if policy in BY_VERDICT else "never"
    retrain = Retrain.model_validate({**watched.retrain.model_dump(), "when": when})
    return model.model_copy(update={"monitoring": watched.model_copy(update={"retrain": retrain})})


def after(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "to", "code"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--course", type=Path, required=True, help="file of the course, which is brought up to date")
    parser.add_argument("--days", type=int, required=True)
    given = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the local SageMaker is stopped
    course: Course = json.loads(given.course.read_text(encoding="utf-8"))
    policies = course["policies"]
    world = World(Settings.from_environment(), ", ".join(policies), course["jobs"])
    keep_clients()
    with world.running():
        world.use_code(given.code)
        Life(with_policy(load_model(given.model), policies[0]), course, world).live(given.to, given.days)
    given.course.write_text(json.dumps(course, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
