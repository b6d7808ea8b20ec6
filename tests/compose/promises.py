"""What ``make compose-test`` proves, in order: a function per promise. Its docstring is the promise, and its result
says what was observed. Later promises use what earlier ones left in ``project.facts``."""

from __future__ import annotations

from typing import Any

import httpx

from include.models.config import load_model
from include.ops.local_stack.run import FINISHED
from include.ops.local_stack.settings import BUCKET
from include.platform.request_parts import endpoint_name
from include.registry.history import current, read_history
from include.score.plan import list_partitions
from tests.compose.project import Project, PromiseBrokenError, patiently, until

RESTARTED = (
    "postgres",
    "airflow-triggerer",
    "airflow-api-server",
    "local-sagemaker",
    "airflow-dag-processor",
    "airflow-scheduler",
)
QUESTION = "approve_production"
SCORED_DAYS = 2
RUN_SECONDS = 1800  # generous, like all timeouts here: promises are about what happens, benchmarks about how fast
START_SECONDS = 600


class NotTriedError(Exception):
    """Something that the promise needs is missing; the message says what."""


def it_comes_up(project: Project) -> str:
    """make compose-up builds the images, starts everything and seeds it"""
    project.up()
    mode = (project.checkout / ".env").stat().st_mode & 0o777
    if mode != 0o600:
        raise PromiseBrokenError(f".env may be read by others: its mode is {mode:o}")
    for service in RESTARTED:
        _wait_for_health(project, service)
    until(project.airflow.is_healthy, "Airflow becoming healthy", START_SECONDS)
    return f"{len(project.containers())} containers, all healthy or done"


def the_job_image_is_whole(project: Project) -> str:
    """The job image imports its libraries as any user, and has the programs that SageMaker starts"""
    programs = "import great_expectations, lightgbm, mlflow, polars, sagemaker, shutil; "
    programs += "assert shutil.which('train') and shutil.which('serve')"
    project.docker("run", "--rm", "--network=none", "--user=nobody", "ml-jobs:local", "python", "-c", programs)
    size = int(project.docker("image", "inspect", "--format={{.Size}}", "ml-jobs:local"))
    return f"it takes {size / 1e9:.2f} GB"


def it_is_closed(project: Project) -> str:
    """No container is privileged, no process but an entrypoint is root's, every port is on 127.0.0.1"""
    problems = []
    for container in project.inspect(*project.containers().values()):
        service, host = container["Config"]["Labels"]["com.docker.compose.service"], container["HostConfig"]
        if host["Privileged"] or host["CapDrop"] != ["ALL"] or "no-new-privileges:true" not in host["SecurityOpt"]:
            problems.append(f"{service} has more rights than none")
        if host["CapAdd"] and service != "postgres":
            problems.append(f"{service} has {host['CapAdd']}")
        problems += [
            f"{service} publishes {port} on {binding['HostIp'] or 'every address'}"
            for port, bindings in (host["PortBindings"] or {}).items()
            for binding in bindings
            if binding["HostIp"] != "127.0.0.1"
        ]
        if container["State"]["Running"]:
            processes = [
                line.split() for line in project.docker("top", container["Id"], "-eo", "pid,uid,comm").splitlines()
            ]
            if any(uid == "0" and program != "docker-init" for _, uid, program, *_ in processes[1:]):
                problems.append(f"{service} runs as root")
    if problems:
        raise PromiseBrokenError("; ".join(problems))
    return "nothing to be seen from outside this machine"


def the_ui_and_the_pages_answer(project: Project) -> str:
    """The Airflow UI and the local SageMaker's pages open in a browser, at the addresses that links use"""
    for port in (project.airflow_port, project.sagemaker_port):
        page = "/" if port == project.airflow_port else "/_local/"
        answer = httpx.get(f"http://127.0.0.1:{port}{page}", trust_env=False, timeout=30)
        if answer.status_code != httpx.codes.OK or "<html" not in answer.text.lower():
            raise PromiseBrokenError(f"{page} on port {port} answered {answer.status_code}")
    # browsers resolve every name under .localhost to this machine
    named = httpx.get(
        f"http://127.0.0.1:{project.sagemaker_port}/_local/health",
        headers={"Host": f"sagemaker.localhost:{project.sagemaker_port}"},
        trust_env=False,
    )
    if named.status_code != httpx.codes.OK:
        raise PromiseBrokenError(f"sagemaker.localhost answered {named.status_code}")
    return "both"


def other_pages_are_refused(project: Project) -> str:
    """What a web page elsewhere sends, or one under a DNS name that leads to this machine, is refused"""
    for port, path in ((project.airflow_port, "/auth/token"), (project.sagemaker_port, "/_local/health")):
        for headers in (
            {"Host": f"elsewhere.example:{port}"},
            {"Origin": "https://elsewhere.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, trust_env=False, timeout=30)
            if answer.status_code != httpx.codes.FORBIDDEN:
                raise PromiseBrokenError(f"{path} on port {port} answered {answer.status_code} to {headers}")
    return "both"


def an_edit_shows_up(project: Project) -> str:
    """An edited Dag, and an edited model.yaml, show up in Airflow within a minute"""
    dag_id = f"train_{project.model}"
    until(lambda: dag_id in project.airflow.dag_ids(), f"{dag_id} being parsed", START_SECONDS)
    dag = project.checkout / "dags" / "edited.py"
    dag.write_text("from airflow.sdk import DAG\n\nwith DAG('edited'):\n    pass\n")
    new = until(lambda: "edited" in project.airflow.dag_ids(), "a new Dag file being parsed", 90)
    dag.unlink()
    config = project.checkout / "include" / "models" / project.model / "model.yaml"
    text = config.read_text()
    config.write_text(text.replace("owner: ", "owner: edited-", 1))
    changed = until(lambda: _owners(project, dag_id) == {"edited"}, "an edited model.yaml showing up", 90)
    config.write_text(text)
    return f"a new Dag after {new:.0f} s, a model's new owner after {changed:.0f} s"


def _owners(project: Project, dag_id: str) -> set[str]:
    [dag] = [dag for dag in project.airflow.dags() if dag["dag_id"] == dag_id]
    return {owner.partition("-")[0] for owner in dag["owners"] if owner.startswith("edited-")}


def it_trains(project: Project) -> str:
    """train_<model> on the seeded data registers a model"""
    dag_id = f"train_{project.model}"
    run_id = _start(project, dag_id)
    _finish(project, dag_id, run_id)
    registered = project.airflow.xcom(dag_id, run_id, "register_model") or {}
    if not registered.get("arn"):
        raise PromiseBrokenError(f"run {run_id} registered nothing: a gate rejected the model")
    project.facts["package"] = registered["arn"]
    return str(registered["arn"])


def it_deploys(project: Project) -> str:
    """Approving the version starts deploy_<model>, and a person's yes brings it into production"""
    dag_id = f"deploy_{project.model}"
    _require(project, dag_id)
    if "package" not in project.facts:
        raise NotTriedError("no model was registered that could be deployed")
    api = project.airflow
    api.unpause(dag_id)
    known = set(api.run_ids(dag_id))
    project.client("sagemaker").update_model_package(
        ModelPackageArn=project.facts["package"], ModelApprovalStatus="Approved", ApprovalDescription="compose-test"
    )
    until(lambda: set(api.run_ids(dag_id)) - known, f"a run of {dag_id} starting upon the approval", START_SECONDS)
    [run_id] = set(api.run_ids(dag_id)) - known
    until(
        lambda: _asks(project, dag_id, run_id) or api.run_state(dag_id, run_id) in FINISHED,
        f"{QUESTION} asking",
        RUN_SECONDS,
    )
    if _asks(project, dag_id, run_id):
        api.answer(dag_id, run_id, QUESTION, "Approve", {"reason": "compose-test"})
    _finish(project, dag_id, run_id)
    serving = current(read_history(project.client("s3"), BUCKET, project.model))
    project.facts["production"] = serving
    if serving is None or serving.model_package_arn != project.facts["package"]:
        raise PromiseBrokenError(f"{run_id} succeeded, and the history of production says: {serving}")
    endpoint = project.client("sagemaker").describe_endpoint(
        EndpointName=endpoint_name(load_model(project.model), "production")
    )
    if endpoint["EndpointStatus"] != "InService":
        raise PromiseBrokenError(f"the production endpoint is {endpoint['EndpointStatus']}")
    return f"version {serving.version} is in production"


def _asks(project: Project, dag_id: str, run_id: str) -> bool:
    tasks = project.airflow.task_instances(dag_id, run_id)
    return any(task["task_id"] == QUESTION and task["state"] == "awaiting_input" for task in tasks)


def mlflow_knows_it(project: Project) -> str:
    """MLflow, in its own container, holds the training's run, and its champion is the version in production"""
    serving = project.facts.get("production")
    if not serving:
        raise NotTriedError("no version is in production")
    experiment = _mlflow(project, "GET", "experiments/get-by-name", params={"experiment_name": project.model})
    wanted = {"experiment_ids": [experiment["experiment"]["experiment_id"]], "max_results": 100}
    runs = _mlflow(project, "POST", "runs/search", json=wanted).get("runs", [])
    if not any(run["data"].get("metrics") for run in runs):
        raise PromiseBrokenError(f"the experiment {project.model} holds no run with metrics")
    if not load_model(project.model).tracking.model_versions:
        return f"{len(runs)} runs; {project.model} keeps no versions in MLflow"
    champion = _mlflow(project, "GET", "registered-models/alias", params={"name": project.model, "alias": "champion"})[
        "model_version"
    ]
    package = next(tag["value"] for tag in champion["tags"] if tag["key"] == "model_package_arn")
    if package != serving.model_package_arn:
        raise PromiseBrokenError(f"the champion is {package}, in production is {serving.model_package_arn}")
    return f"{len(runs)} runs; version {champion['version']} is the champion"


def _mlflow(project: Project, method: str, path: str, **arguments: Any) -> dict[str, Any]:
    url = f"http://127.0.0.1:{project.mlflow_port}/api/2.0/mlflow/{path}"
    answer = httpx.request(method, url, trust_env=False, timeout=30, **arguments)
    if answer.status_code != httpx.codes.OK:
        raise PromiseBrokenError(f"MLflow answered {answer.status_code} to {path}: {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found


def it_answers_online(project: Project) -> str:
    """The online service is ready once a version is in production, and answers its page's example to who has a key"""
    serving = project.facts.get("production")
    if not serving:
        raise NotTriedError("no version is in production that could answer")
    service = httpx.Client(base_url=f"http://127.0.0.1:{project.online_port}", trust_env=False, timeout=30)
    until(lambda: service.get("/ready").status_code == httpx.codes.OK, "the online service being ready", START_SECONDS)
    ready = service.get("/ready").json()
    if ready["version"] != str(serving.version):
        raise PromiseBrokenError(f"it serves {ready}; version {serving.version} is in production")
    if (refused := service.post("/predict", json={}).status_code) != httpx.codes.UNAUTHORIZED:
        raise PromiseBrokenError(f"it answered {refused} to who has no key")
    service.headers["X-Api-Key"] = "local"
    about = service.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    row = about["application/json"]["examples"]["one row"]["value"]
    answer = service.post("/predict", json=row)
    if answer.status_code != httpx.codes.OK:
        raise PromiseBrokenError(f"it answered {answer.status_code} to {row}: {answer.text[:300]}")
    [found] = answer.json()["predictions"]
    return f"version {ready['version']} says {found.get('label', found.get('value'))}"


def it_scores(project: Project) -> str:
    """score_<model> scores days of the seeded data with the version in production"""
    dag_id = f"score_{project.model}"
    _require(project, dag_id)
    if not project.facts.get("production"):
        raise NotTriedError("no version is in production that could score")
    api = project.airflow
    api.unpause(dag_id)
    there = list(list_partitions(project.client("s3"), BUCKET, project.model))
    days = there[len(there) // 2 :][:SCORED_DAYS]  # the first day has no earlier data, the last may be incomplete
    first, last = days[0], days[-1]
    api.create_backfill(dag_id, first, last, conf={}, reprocess="none", runs_at_once=2)
    until(
        lambda: (
            (runs := api.runs_between(dag_id, first, last)).keys() >= {first, last}
            and all(run["state"] in FINISHED for run in runs.values())
        ),
        f"the backfill of {first} to {last} ending",
        RUN_SECONDS,
    )
    for run in api.runs_between(dag_id, first, last).values():
        _finish(project, dag_id, run["dag_run_id"])
    keys = project.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"scores/{project.model}/")["Contents"]
    published = sum(item["Key"].endswith("/_SUCCESS.json") for item in keys)
    if published < len(days):
        raise PromiseBrokenError(f"{published} of {len(days)} days were published")
    return f"{published} days published"


def every_service_may_restart(project: Project) -> str:
    """The database and every other service restart while a run is in flight, and every run completes"""
    dag_id = f"train_{project.model}"
    runs = [_start(project, dag_id, force=True)]
    for service in RESTARTED:
        until(lambda: _is_in_flight(project, dag_id, runs), "a run with a task under way", START_SECONDS)
        project.docker("restart", "--time", "30", project.containers()[service])
        _wait_for_health(project, service)
    for run_id in runs:
        _finish(project, dag_id, run_id)
    tries = [task["try_number"] for run_id in runs for task in project.airflow.task_instances(dag_id, run_id)]
    return f"{len(RESTARTED)} restarts over {len(runs)} runs; tasks needed at most {max(tries)} tries"


def _require(project: Project, dag_id: str) -> None:
    if dag_id not in patiently(project.airflow.dag_ids):
        raise NotTriedError(f"there is no Dag {dag_id} in dags/")


def _start(project: Project, dag_id: str, *, force: bool = False) -> str:
    """Start a run; a training is forced, as one that repeats the last would be skipped."""
    _require(project, dag_id)
    patiently(lambda: project.airflow.unpause(dag_id))
    return patiently(lambda: project.airflow.trigger(dag_id, conf={"force": True} if force else {}))


def _is_in_flight(project: Project, dag_id: str, runs: list[str]) -> bool:
    """Whether the last run has a running task; if it is over, another run is started."""
    if project.airflow.run_state(dag_id, runs[-1]) in FINISHED:
        runs.append(_start(project, dag_id, force=True))
    states = {task["state"] for task in project.airflow.task_instances(dag_id, runs[-1])}
    return bool(states & {"running", "deferred"})


def _finish(project: Project, dag_id: str, run_id: str) -> None:
    """Wait for the run's end.

    Raises:
        PromiseBrokenError: it failed; with the reason of each task that did.
    """
    until(lambda: project.airflow.run_state(dag_id, run_id) in FINISHED, f"the end of {dag_id} {run_id}", RUN_SECONDS)
    if project.airflow.run_state(dag_id, run_id) == "success":
        return
    reasons = [
        f"{task['task_id']}: {project.airflow.failure_reason(dag_id, run_id, task['task_id'], task['try_number'])}"
        for task in project.airflow.task_instances(dag_id, run_id)
        if task["state"] == "failed"
    ]
    raise PromiseBrokenError(f"{dag_id} {run_id} failed: {'; '.join(reasons)}")


def _wait_for_health(project: Project, service: str) -> None:
    """Raises PromiseBrokenError: it does not become healthy, with the end of its log."""
    try:
        until(lambda: project.health(service) == "healthy", f"{service} becoming healthy", START_SECONDS)
    except PromiseBrokenError as error:
        state, said = project.health(service), project.log_of(service)
        raise PromiseBrokenError(f"{error}: it is {state}. Its log ends with:\n{said}") from error


# all of them, once it is up
PROMISES = (
    the_job_image_is_whole,
    it_is_closed,
    the_ui_and_the_pages_answer,
    other_pages_are_refused,
    an_edit_shows_up,
    it_trains,
    it_deploys,
    mlflow_knows_it,
    it_answers_online,
    it_scores,
    every_service_may_restart,
)
