"""The console's pages and buttons, as a FastAPI application mounted in Airflow's."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import jinja2
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, FastAPI, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from model_console import actions, bills, costs, health, overview, rows, runbook, view
from model_console import day as days
from model_console.airflow_api import AirflowApi, RefusedError, api_of
from model_console.airflow_state import ask, ask_health, models_of, models_watched
from model_console.cloud import Aws, aws_of
from model_console.overview import Row
from model_console.settings import NotConfiguredError, settings
from model_console.store import SHOWN, Store, store
from sagemaker_jobs.kinds import Json
from sagemaker_jobs.links import local_endpoint
from sagemaker_jobs.schedules import WHY_OFF, schedules_are_off

Api = Annotated[AirflowApi, Depends(api_of)]
Data = Annotated[Store, Depends(store)]


@cache
def aws() -> Aws:
    """AWS, with the rights of the API server's role. Raises NotConfiguredError."""
    return aws_of(settings(), store())


Amazon = Annotated[Aws, Depends(aws)]

# pages run only the console's script, and no other site may frame them
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-src 'self'; \
form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
# a report is self-contained and untrusted: it may run no script and load nothing
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


@cache
def app() -> FastAPI:
    """The application, created once."""
    made = FastAPI(title="Models", docs_url=None, redoc_url=None, openapi_url=None)
    made.add_api_route("/", models, response_class=HTMLResponse)
    made.add_api_route("/decisions", decisions, response_class=HTMLResponse)
    made.add_api_route("/messages", messages, response_class=HTMLResponse)
    made.add_api_route("/costs", costs_page, response_class=HTMLResponse)
    made.add_api_route("/health", health_page, response_class=HTMLResponse)
    made.add_api_route("/runbook/{dag_id}", runbook_page, response_class=HTMLResponse)
    made.add_api_route("/assets/{name}", asset)
    made.add_api_route("/model/{model}", model_page, response_class=HTMLResponse)
    made.add_api_route("/model/{model}/version/{number}", version_page, response_class=HTMLResponse)
    made.add_api_route("/model/{model}/files/{key:path}", report)
    made.add_api_route("/model/{model}/day/{day}", day_page, response_class=HTMLResponse)
    made.add_api_route("/model/{model}/day/{day}/scores/{number}", scores)
    made.add_api_route("/model/{model}/rows", rows_page, response_class=HTMLResponse)
    made.add_api_route("/model/{model}/{action}", act, methods=["POST"])
    made.add_exception_handler(RefusedError, _refused)
    made.add_exception_handler(NotConfiguredError, _not_configured)
    return made


async def models(request: Request, api: Api, data: Data, amazon: Amazon) -> HTMLResponse:
    """Lists every model that the user may see."""
    dags = await ask(api)
    readable = models_of(dags)
    names = sorted(readable)
    indexes = await run_in_threadpool(data.indexes, names)
    today = overview.today()
    month, region, now = f"{today:%Y-%m}", settings().region, datetime.now(UTC)
    jobs = await run_in_threadpool(data.costs, names, month)
    endpoints, unknown = await run_in_threadpool(amazon.today, names)
    usage = await run_in_threadpool(amazon.usage, indexes, month)
    found: list[Row] = [
        overview.row(
            name,
            index := indexes.get(name),
            dags,
            today,
            jobs.get(name, {}),
            costs.endpoints(name, index, month, region, now, usage),
        )
        for name in names
    ]
    shown = {"rows": found, "questions": dags.questions, "endpoints": endpoints, "unknown": unknown}
    return _page(request, "models.html.jinja", **shown)


async def decisions(request: Request, api: Api) -> HTMLResponse:
    """Pending decisions, oldest first."""
    questions = sorted((await ask(api)).questions, key=lambda question: question.asked_at)
    return _page(request, "decisions.html.jinja", questions=questions)


async def messages(request: Request, api: Api, data: Data) -> HTMLResponse:
    """Notifications about the Dags that the user may see, newest first."""
    dags = await ask(api)
    told = await run_in_threadpool(data.messages)
    shown = [group for group in reversed(told) if group["dag_id"] in dags.by_id]
    return _page(request, "messages.html.jinja", groups=shown)


async def costs_page(
    request: Request, api: Api, data: Data, amazon: Amazon, month: str = "", *, billed: bool = False
) -> HTMLResponse:
    """What jobs and endpoints of a month have cost, of the models that the user may see; with ``billed`` what AWS bills
    beside it."""
    months = costs.months(overview.today())
    chosen = month if month in months else months[0]
    names = sorted(models_of(await ask(api)))
    indexes = await run_in_threadpool(data.indexes, names)
    on_aws = local_endpoint(data.s3) is None
    usage = await run_in_threadpool(amazon.usage, indexes, chosen)
    served = costs.endpoints_of(indexes, chosen, settings().region, datetime.now(UTC), usage)
    lines = costs.roll_up(await run_in_threadpool(data.costs, names, chosen), served)
    bill = await run_in_threadpool(bills.of_month, chosen) if billed and on_aws else None
    return _page(
        request,
        "costs.html.jinja",
        lines=lines,
        sums=costs.by_model(lines),
        usd=costs.sum_of(lines),
        month=chosen,
        months=months,
        bill=bill,
        on_aws=on_aws,
        measured=usage is not None,
    )


async def health_page(request: Request, api: Api, data: Data, amazon: Amazon) -> HTMLResponse:
    """What needs attention, and what is fine."""
    dags = await ask_health(api)
    names = models_watched(dags)
    indexes = await run_in_threadpool(data.indexes, names)
    cloud = await run_in_threadpool(amazon.ask, indexes, names)
    now = datetime.now(UTC)
    project = health.project_of(settings().bucket)
    found = health.examine(names, indexes, dags, cloud, project=project, now=now)
    return _page(request, "health.html.jinja", health=found, areas=health.AREAS, asked_at=now.isoformat())


async def model_page(
    request: Request,
    model: str,
    user: GetUserDep,
    api: Api,
    data: Data,
    amazon: Amazon,
    done: str = "",
    started: str = "",
) -> HTMLResponse:
    """One model's page."""
    await _require_readable(api, model)
    dags = await ask(api, model)
    index = await run_in_threadpool(data.index, model)
    today = overview.today()
    month = f"{today:%Y-%m}"
    jobs = await run_in_threadpool(data.costs, [model], month)
    months = [await run_in_threadpool(data.costs, [model], each) for each in costs.months(today)[2::-1]]
    past = [job for found in months for job in found.get(model, {}).values()]
    endpoints, unknown = await run_in_threadpool(amazon.serving, model, index)
    buttons = await run_in_threadpool(actions.allowed, user, model)
    usage = await run_in_threadpool(amazon.usage, {model: index} if index else {}, month)
    served = costs.endpoints(model, index, month, settings().region, datetime.now(UTC), usage)
    return _page(
        request,
        "model.html.jinja",
        row=overview.row(model, index, dags, today, jobs.get(model, {}), served),
        page=view.of_model(index, dags, model, settings().region),
        buttons=actions.priced(buttons, model, index, past, settings().region),
        endpoints=endpoints,
        unknown=unknown,
        said=actions.confirmation(model, done, started),
    )


async def version_page(request: Request, model: str, number: int, api: Api, data: Data) -> HTMLResponse:
    """A version with its metrics, gates, report, and where it came from, down to the raw files."""
    await _require_readable(api, model)
    version = view.version_of(await run_in_threadpool(data.index, model), number)
    if version is None:
        raise RefusedError(404, f"{model} has no version {number}, or not among its newest.")
    uri = version.facts.get("data_manifest", "")
    found = await run_in_threadpool(data.read, uri.partition("//")[2].partition("/")[2]) if uri else None
    files = json.loads(found)["files"] if found else []
    run = f"/dags/{version.facts.get('dag_id')}/runs/{quote(version.facts.get('run_id', ''), safe='')}"
    return _page(request, "version.html.jinja", model=model, version=version, files=files, run=run)


async def day_page(request: Request, model: str, day: date, api: Api, data: Data) -> HTMLResponse:
    """The page of a scored day."""
    await _require_readable(api, model)
    manifest = await run_in_threadpool(_manifest, data, model, day)
    profile = await run_in_threadpool(data.read, manifest["profile"]) if manifest.get("profile") else None
    drift = ((await run_in_threadpool(data.index, model)) or {}).get("drift", {}).get(day.isoformat(), {})
    page = days.of_day(manifest, json.loads(profile) if profile else None, drift, settings().region)
    shown = await run_in_threadpool(data.read, manifest["shown"]) if manifest.get("shown") else None
    top = rows.top(rows.unpack(shown), page.day, page.version) if shown else []
    return _page(request, "day.html.jinja", model=model, page=page, top=top)


async def rows_page(request: Request, model: str, api: Api, data: Data) -> HTMLResponse:
    """What a row was answered over the last scored days; its key is in the query, by column."""
    await _require_readable(api, model)
    found = rows.history(await run_in_threadpool(_shown, data, model), request.query_params)
    return _page(request, "rows.html.jinja", model=model, found=found)


def _shown(data: Store, model: str) -> list[tuple[str, int, Json]]:
    """The rows that may be shown of the last scored days, newest first."""
    newest = sorted((data.index(model) or {"days": {}})["days"], reverse=True)[: overview.TREND_DAYS]
    manifests = [json.loads(one) for one in data.read_all(days.manifest_key(model, day) for day in newest) if one]
    told = [one for one in manifests if one.get("shown")]
    return [
        (one["date"], one["model_version"], rows.unpack(content))
        for one, content in zip(told, data.read_all(one["shown"] for one in told), strict=True)
        if content
    ]


async def scores(model: str, day: date, number: int, api: Api, data: Data) -> Response:
    """Streams one file of a day's scores as a download."""
    await _require_readable(api, model)
    files = (await run_in_threadpool(_manifest, data, model, day))["files"]
    if not 0 <= number < len(files):
        raise HTTPException(404, "The day has no such file of scores.")
    body = await run_in_threadpool(data.stream, files[number]["key"])
    name = f"{model}-{day}-{number}.parquet"
    headers = {**_headers(POLICY), "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(body, media_type="application/vnd.apache.parquet", headers=headers)


def _manifest(data: Store, model: str, day: date) -> Json:
    found = data.read(days.manifest_key(model, day.isoformat()))
    if found is None:
        raise RefusedError(
            404, f"{day} of {model} has no scores. The calendar on the model's page shows the days that do."
        )
    manifest: Json = json.loads(found)
    return manifest


async def runbook_page(request: Request, dag_id: str, api: Api) -> HTMLResponse:
    """A Dag's runbook; a failed task's log links to it."""
    if not view.DAG_ID.fullmatch(dag_id):
        raise HTTPException(404, "There is no such Dag.")
    found = await api.get(f"/dags/{dag_id}/details")
    return _page(request, "runbook.html.jinja", dag_id=dag_id, runbook=runbook.as_html(found["doc_md"] or ""))


async def report(model: str, key: str, api: Api, data: Data) -> Response:
    """A report of the model from the bucket, for embedding."""
    await _require_readable(api, model)
    if not view.is_of_model(key, model) or not key.startswith(SHOWN) or not key.endswith(".html"):
        raise HTTPException(404, "This page shows only this model's reports.")
    body = await run_in_threadpool(data.read, key)
    if body is None:
        raise HTTPException(404, f"{key} is not in the bucket.")
    return Response(body, media_type="text/html", headers=_headers(REPORT_POLICY))


async def act(
    request: Request,
    model: str,
    action: str,
    api: Api,
    version: Annotated[str, Form()] = "",
    first: Annotated[str, Form()] = "",
    last: Annotated[str, Form()] = "",
) -> RedirectResponse:
    """Runs a button's action as the user, then redirects to the model's page with the outcome."""
    actions.require_own_page(request)
    started = await actions.start(api, model, action, version=version, first=first, last=last)
    query = urlencode({"done": action, "started": started})
    return RedirectResponse(f"{_root(request)}/model/{model}?{query}", status_code=303)


def asset(name: str) -> Response:
    """The console's stylesheets or script."""
    kinds = {"page.css": "text/css", "console.css": "text/css", "console.js": "text/javascript"}
    if name not in kinds:
        raise HTTPException(404)
    content = (Path(__file__).parent / "assets" / name).read_bytes()
    return Response(content, media_type=kinds[name], headers={"Cache-Control": "max-age=300"})


async def _require_readable(api: AirflowApi, model: str) -> None:
    if not view.MODEL_NAME.fullmatch(model):
        raise HTTPException(404, "There is no such model.")
    await api.get(f"/dags/train_{model}")


def _page(request: Request, template: str, **shown: Any) -> HTMLResponse:
    off = WHY_OFF if schedules_are_off() else ""
    body = _templates().get_template(template).render(request=request, root=_root(request), off=off, **shown)
    return HTMLResponse(body, headers=_headers(POLICY))


def _root(request: Request) -> str:
    """The console's root path, without a trailing slash."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _headers(policy: str) -> Mapping[str, str]:
    return {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def _refused(request: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RefusedError) else 500
    return HTMLResponse(
        _templates().get_template("refused.html.jinja").render(root=_root(request), status=status, message=str(error)),
        status_code=status,
        headers=_headers(POLICY),
    )


def _not_configured(request: Request, error: Exception) -> Response:
    body = _templates().get_template("refused.html.jinja").render(root=_root(request), status=503, message=str(error))
    return HTMLResponse(body, status_code=503, headers=_headers(POLICY))


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["spark"] = view.spark
    templates.filters["words"] = lambda text: re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).capitalize()
    templates.filters["moment"] = lambda text: text[:16].replace("T", " ") if text else "–"
    templates.filters["day"] = lambda value: value.isoformat() if isinstance(value, date) else value
    templates.filters["usd"] = lambda usd: "less than 0.0001 USD" if usd < 0.0001 else f"{usd:.4f} USD"
    templates.filters["tone"] = overview.tone
    templates.filters["markdown"] = runbook.as_html
    return templates
