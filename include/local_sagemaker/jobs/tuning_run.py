"""Runs tuning jobs: starts training jobs for points of the search space, as many in parallel as allowed, and evaluates
them.

Each tuning job has its own thread, since its training jobs wait in the same queue as all others.
"""

import hashlib
import logging
import math
import threading
import time
from typing import cast

from include.local_sagemaker.core.errors import ResourceLimitExceeded, ServiceError, ValidationException, is_passing
from include.local_sagemaker.core.service import Region, Service
from include.local_sagemaker.core.store import TRAINING_JOB, TUNING_JOB, Json
from include.local_sagemaker.jobs.job_queue import ACTIVE
from include.local_sagemaker.jobs.training import create_training_job, stop_training_job
from include.local_sagemaker.jobs.tuning_search import Point, grid, random_points
from include.local_sagemaker.jobs.tuning_stopping import is_hopeless

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
RETRY_SECONDS = 2.0
NO_LIMIT = math.inf


def definitions_of(tuning: Json) -> list[Json]:
    """The training job definitions of a tuning job, one or several."""
    return tuning["TrainingJobDefinitions"] if "TrainingJobDefinitions" in tuning else [tuning["TrainingJobDefinition"]]


def ranges_of(tuning: Json, definition: Json) -> Json:
    """The ranges to search: the definition's, or else the tuning job's."""
    common = tuning["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    return cast("Json", definition.get("HyperParameterRanges", common))


def objective_of(tuning: Json, definition: Json) -> Json | None:
    """The objective: the definition's, or else the tuning job's."""
    common = tuning["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective")
    return cast("Json | None", definition.get("TuningObjective", common))


def resources_of(definition: Json) -> Json:
    """The ResourceConfig of a definition's training jobs; the first of several instance configurations."""
    if "ResourceConfig" in definition:
        return cast("Json", definition["ResourceConfig"])
    resources = definition["HyperParameterTuningResourceConfig"]
    merged = {**resources, **(resources.get("InstanceConfigs") or [resources])[0]}
    kept = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    return {key: merged[key] for key in kept if key in merged}


def training_job_summaries(region: Region, tuning: Json) -> list[Json]:
    """HyperParameterTrainingJobSummary of every training job so far, in order of creation."""
    found = [(child, region.find(TRAINING_JOB, child["name"])) for child in tuning["_Children"]]
    return [_summary(tuning, child, job) for child, job in found if job]


def _summary(tuning: Json, child: Json, job: Json) -> Json:
    definition = definitions_of(tuning)[child["definition"]]
    objective = objective_of(tuning, definition) or {}
    metrics = job.get("FinalMetricDataList", [])
    values = [one["Value"] for one in metrics if one["MetricName"] == objective["MetricName"]]
    kept = (
        "TrainingJobName",
        "TrainingJobArn",
        "CreationTime",
        "TrainingStartTime",
        "TrainingEndTime",
        "TrainingJobStatus",
        "FailureReason",
    )
    summary = {key: job[key] for key in kept if key in job}
    summary |= {"TunedHyperParameters": child["point"], "ObjectiveStatus": _objective_status(job, values)}
    if "DefinitionName" in definition:
        summary["TrainingJobDefinitionName"] = definition["DefinitionName"]
    if values and job["TrainingJobStatus"] == "Completed":
        final = {"MetricName": objective["MetricName"], "Type": objective["Type"], "Value": values[-1]}
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = final
    return summary


def _objective_status(job: Json, values: list[float]) -> str:
    if job["TrainingJobStatus"] in ACTIVE:
        return "Pending"
    return "Succeeded" if job["TrainingJobStatus"] == "Completed" and values else "Failed"


class Tunings:
    """A component of the server: the threads of running tuning jobs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @staticmethod
    def of(service: Service) -> "Tunings":
        """The tuning jobs of a server."""
        return cast("Tunings", service.components["tunings"])

    def start(self) -> None:
        """Resume the tuning jobs that ran when the server stopped."""
        for region, document in self._service.store.all(TUNING_JOB, statuses=ACTIVE):
            self.submit(self._service.region(region), document["HyperParameterTuningJobName"])

    def stop(self) -> None:
        """Leave the tuning jobs as they are, for the next start."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def submit(self, region: Region, name: str) -> None:
        """Run a tuning job, in its own thread."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._run, args=(region, name), name=f"tuning-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, region: Region, name: str) -> None:
        try:
            TuningRun(region, name, self._stopping).run()
        except ServiceError as error:  # a definition that gives no valid training job
            changes = {"HyperParameterTuningJobStatus": "Failed", "FailureReason": f"ClientError: {error.message}"}
            region.update(TUNING_JOB, name, changes, when=ACTIVE)
        except Exception as error:
            log.exception("tuning job %s failed inside the local SageMaker", name)
            if is_passing(error) and not self._stopping.wait(RETRY_SECONDS):
                self._run(region, name)  # it continues where it stopped, as after a restart
                return
            reason = "InternalServerError: the local SageMaker itself failed; its log says where."
            changes = {"HyperParameterTuningJobStatus": "Failed", "FailureReason": reason}
            region.update(TUNING_JOB, name, changes, when=ACTIVE)


class TuningRun:
    """One tuning job, from its first training job to its last."""

    def __init__(self, region: Region, name: str, server_stopping: threading.Event) -> None:
        self._region = region
        self._name = name
        self._server_stopping = server_stopping
        tuning = self._document()
        self._config = tuning["HyperParameterTuningJobConfig"]
        self._trials = _trials(tuning)
        if self._config["Strategy"] in ("Bayesian", "Hyperband"):
            log.warning("tuning job %s: %s is run as a random search here", name, self._config["Strategy"])

    def _document(self) -> Json:
        return self._region.get(TUNING_JOB, self._name, f"tuning job {self._name} has gone")

    def run(self) -> None:
        """Start and watch training jobs until the search is over, or the tuning job or the server should stop."""
        while not self._server_stopping.is_set():
            tuning = self._document()
            summaries = training_job_summaries(self._region, tuning)
            self._tell(tuning, summaries)
            active = [one for one in summaries if one["TrainingJobStatus"] in ACTIVE]
            if tuning["HyperParameterTuningJobStatus"] == "Stopping":
                self._stop_children(active)
                if not active:
                    self._end("Stopped")
                    return
            elif self._is_over(tuning, summaries):
                self._stop_children(active)
                if not active:
                    self._judge(summaries)
                    return
            else:
                if self._config.get("TrainingJobEarlyStoppingType") == "Auto":
                    self._stop_children(self._hopeless(tuning, summaries))
                self._launch(tuning, summaries, len(active))
            self._server_stopping.wait(LOOK_SECONDS)

    def _launch(self, tuning: Json, summaries: list[Json], active: int) -> None:
        """As many as may run; what exceeds the account's quota waits for the next check."""
        created = {one["TrainingJobName"] for one in summaries}
        # the server ended just before they were created, or there was no room
        missing = [child for child in tuning["_Children"] if child["name"] not in created]
        begun = len(tuning["_Children"])
        parallel = self._config["ResourceLimits"]["MaxParallelTrainingJobs"]
        free = min(parallel - active - len(missing), len(self._trials) - begun)
        try:
            for child in missing:
                self._create(tuning, child)
            for number in range(begun, begun + free):
                self._launch_one(tuning, number)
        except ResourceLimitExceeded as error:
            log.info("tuning job %s waits: %s", self._name, error.message)

    def _launch_one(self, tuning: Json, number: int) -> None:
        which, point = self._trials[number]
        digest = hashlib.sha256(f"{tuning['HyperParameterTuningJobArn']}{tuning['CreationTime']}{number}".encode())
        name = f"{self._name}-{number + 1:03d}-{digest.hexdigest()[:8]}"
        child = {"name": name, "definition": which, "point": point}
        # recorded first, so that a crash in between neither loses a point nor starts one twice
        self._region.update(TUNING_JOB, self._name, lambda now: {"_Children": [*now["_Children"], child]})
        self._create(tuning, child)

    def _create(self, tuning: Json, child: Json) -> None:
        request = _training_job_request(tuning, child)
        request["Tags"] = self._region.service.store.tags(tuning["HyperParameterTuningJobArn"])
        create_training_job(self._region, request)

    def _stop_children(self, active: list[Json]) -> None:
        for one in active:
            if one["TrainingJobStatus"] == "InProgress":
                try:
                    stop_training_job(self._region, {"TrainingJobName": one["TrainingJobName"]})
                except ValidationException:
                    log.info("training job %s ended before it could be stopped", one["TrainingJobName"])

    def _hopeless(self, tuning: Json, summaries: list[Json]) -> list[Json]:
        """Running jobs that are worse than earlier ones were at the same point; each definition is a separate
        search."""
        found = []
        jobs = {one["TrainingJobName"]: self._region.find(TRAINING_JOB, one["TrainingJobName"]) for one in summaries}
        which = {child["name"]: child["definition"] for child in tuning["_Children"]}
        for one in summaries:
            definition = which[one["TrainingJobName"]]
            objective = objective_of(tuning, definitions_of(tuning)[definition]) or {}
            before = [
                (jobs[other["TrainingJobName"]] or {}).get("_Objective", [])
                for other in summaries
                if which[other["TrainingJobName"]] == definition and other["TrainingJobStatus"] == "Completed"
            ]
            values = (jobs[one["TrainingJobName"]] or {}).get("_Objective", [])
            running = one["TrainingJobStatus"] == "InProgress"
            if running and is_hopeless(values, before, maximize=objective["Type"] == "Maximize"):
                log.info("tuning job %s stops %s early", self._name, one["TrainingJobName"])
                found.append(one)
        return found

    def _is_over(self, tuning: Json, summaries: list[Json]) -> bool:
        ended = [one for one in summaries if one["TrainingJobStatus"] not in ACTIVE]
        if len(ended) >= len(self._trials):
            return True
        longest = self._config["ResourceLimits"].get("MaxRuntimeInSeconds", NO_LIMIT)
        if time.time() - tuning["CreationTime"] > longest:
            return True
        criteria = self._config.get("TuningJobCompletionCriteria", {})
        target = criteria.get("TargetObjectiveMetricValue")
        best = _best(ended)
        if target is not None and best is not None and not _is_better(target, best):
            return True
        patience = criteria.get("BestObjectiveNotImproving", {}).get("MaxNumberOfTrainingJobsNotImproving")
        if patience is None or best is None:
            return False
        in_order = sorted(ended, key=lambda one: one.get("TrainingEndTime", 0.0))
        names = [one["TrainingJobName"] for one in in_order]
        since_best = len(names) - 1 - names.index(best["TrainingJobName"])
        return since_best >= int(patience)

    def _tell(self, tuning: Json, summaries: list[Json]) -> None:
        """Bring the counters and the best job in the description up to date."""
        statuses = [one["TrainingJobStatus"] for one in summaries]
        objectives = [one["ObjectiveStatus"] for one in summaries]
        changes = {
            "TrainingJobStatusCounters": {
                "Completed": statuses.count("Completed"),
                "InProgress": sum(status in ACTIVE for status in statuses),
                "RetryableError": 0,
                "NonRetryableError": statuses.count("Failed"),
                "Stopped": statuses.count("Stopped"),
            },
            "ObjectiveStatusCounters": {
                "Succeeded": objectives.count("Succeeded"),
                "Pending": objectives.count("Pending"),
                "Failed": objectives.count("Failed"),
            },
            "BestTrainingJob": _best(summaries),
        }
        if any(tuning.get(key) != value for key, value in changes.items()):
            self._region.update(TUNING_JOB, self._name, changes)

    def _judge(self, summaries: list[Json]) -> None:
        if _best(summaries) is not None:
            self._end("Completed")
        elif any(one["TrainingJobStatus"] == "Completed" for one in summaries):
            self._end(
                "Failed",
                f"No objective metrics found after running {len(summaries)} training jobs. Please ensure that the "
                "custom algorithm is emitting the objective metric as defined by the regular expression provided.",
            )
        else:
            self._end(
                "Failed",
                "All training jobs failed. Please take a look at the training jobs failures to get more details.",
            )

    def _end(self, status: str, reason: str | None = None) -> None:
        now = time.time()

        def changes(tuning: Json) -> Json:
            consumed = {"RuntimeInSeconds": round(now - tuning["CreationTime"])}
            return {
                "HyperParameterTuningJobStatus": status,
                "FailureReason": reason,
                "HyperParameterTuningEndTime": now,
                "ConsumedResources": consumed,
            }

        self._region.update(TUNING_JOB, self._name, changes, when=ACTIVE)


def _trials(tuning: Json) -> list[tuple[int, Point]]:
    """Every point to try and the definition it is for; several definitions take turns."""
    config = tuning["HyperParameterTuningJobConfig"]
    definitions = definitions_of(tuning)
    if config["Strategy"] == "Grid":
        return [(i, point) for i, one in enumerate(definitions) for point in grid(ranges_of(tuning, one))]
    # without a seed from the user, the job's creation time is the seed, so that jobs differ
    seed = config.get("RandomSeed", int(tuning["CreationTime"] * 1000))
    count = config["ResourceLimits"]["MaxNumberOfTrainingJobs"]
    points = [random_points(ranges_of(tuning, one), seed, math.ceil(count / len(definitions))) for one in definitions]
    turns = [divmod(number, len(definitions)) for number in range(count)]
    return [(which, points[which][row]) for row, which in turns]


def _training_job_request(tuning: Json, child: Json) -> Json:
    definition = definitions_of(tuning)[child["definition"]]
    objective = objective_of(tuning, definition) or {}
    same = (
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "StoppingCondition",
        "VpcConfig",
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
        "RetryStrategy",
        "Environment",
    )
    request = {key: definition[key] for key in same if key in definition}
    request["ResourceConfig"] = resources_of(definition)
    if "CheckpointConfig" in definition:
        checkpoints = definition["CheckpointConfig"]
        request["CheckpointConfig"] = {**checkpoints, "S3Uri": f"{checkpoints['S3Uri'].rstrip('/')}/{child['name']}"}
    return {
        **request,
        "TrainingJobName": child["name"],
        "AlgorithmSpecification": definition["AlgorithmSpecification"],
        "HyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            **child["point"],
            "_tuning_objective_metric": objective["MetricName"],
        },
        "TuningJobArn": tuning["HyperParameterTuningJobArn"],
    }


def _best(summaries: list[Json]) -> Json | None:
    """The training job with the best objective; ties go to the earliest."""
    best: Json | None = None
    for one in summaries:
        if "FinalHyperParameterTuningJobObjectiveMetric" in one:
            value = one["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
            if not math.isnan(value) and (best is None or _is_better(value, best)):
                best = one
    return best


def _is_better(value: float, best: Json) -> bool:
    objective = best["FinalHyperParameterTuningJobObjectiveMetric"]
    return bool(value > objective["Value"] if objective["Type"] == "Maximize" else value < objective["Value"])
