"""What a user sees in a real browser: the trigger form, the graph of a finished run, the reports."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from rich.console import Console

from include.models.config import load_model
from include.ops.local_stack import stack
from include.ops.local_stack.processes import wait_until
from include.ops.local_stack.serve import service_environment
from include.ops.local_stack.settings import ROOT
from tests.browser import needs_chromium
from tests.include.local_sagemaker.local_server import free_port

from .conftest import RunResult, Stack
from .test_train_run import DAG

MODEL = DAG.removeprefix("train_")

pytestmark = [needs_chromium, pytest.mark.timeout(900)]


def test_the_form_asks_for_every_param_with_a_description(page: Page, running: Stack, trained: RunResult) -> None:
    page.goto(f"{running.settings.airflow_url}/dags/{DAG}")
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    for title, description in (
        ("Data from", "First day of raw data"),
        ("Data to", "Last day of raw data"),
        ("Instance type", "ml.m5.large"),
        ("Tune first", "Search hyperparameters"),
        ("Force", "Gates still apply"),
    ):
        for text in (title, description):
            expect(form.get_by_text(text).filter(visible=True).first, text).to_be_visible()
    expect(form.get_by_text("*", exact=True).filter(visible=True), "no field has to be filled in").to_have_count(0)
    form.get_by_role("button", name="Hyperparameters", exact=True).click()
    expect(form.get_by_text("How much each tree counts. A number above 0 up to 10").first).to_be_visible()


def test_the_graph_shows_the_run_from_validation_to_registration(
    page: Page, running: Stack, trained: RunResult
) -> None:
    page.goto(f"{running.settings.airflow_url}/dags/{DAG}/runs/{trained.summary['run_id']}")
    page.get_by_role("button", name=re.compile("graph", re.IGNORECASE)).first.click()
    for task_id in ("validate_raw_data", "train_model", "check_metrics", "register_model", "reject_model"):
        expect(page.get_by_text(task_id).first).to_be_visible(timeout=20_000)


def test_the_evaluation_report_opens_with_its_plots(page: Page, trained: RunResult) -> None:
    address = re.search(r"http\S+/evaluation/report\.html", trained.output)
    assert address, trained.output
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address[0])
    expect(page.locator("h1").first).to_be_visible()
    text = page.locator("body").inner_text()
    for part in ("macro", "Confusion", "Calibration", "importance"):
        assert part.lower() in text.lower()
    plots = page.locator("img, svg")
    assert plots.count() >= 5
    broken = page.evaluate("[...document.images].filter(image => !image.naturalWidth).length")
    assert broken == 0
    # self-contained: it can be mailed and opened years later
    assert [url for url in requests if not url.startswith(("data:", address[0]))] == []
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "the report scrolls sideways"


def test_the_validation_page_says_its_verdict_first(page: Page, trained: RunResult) -> None:
    address = re.search(r"http\S+/validate_raw_data/report/validation\.html", trained.output)
    assert address, trained.output
    page.goto(address[0])
    expect(page.locator("h1").first).to_have_text("The raw data of predictive_maintenance can be used")


def test_the_job_log_page_shows_the_jobs_own_lines(page: Page, running: Stack, trained: RunResult) -> None:
    name = running.airflow.xcom(DAG, trained.summary["run_id"], "train_model")["name"]
    page.goto(f"{running.settings.sagemaker_url}/_local/logs/training/{name}")
    expect(page.get_by_text("validation:macro_f1").first).to_be_visible()


def test_the_console_shows_the_trained_model_inside_airflow(page: Page, running: Stack, trained: RunResult) -> None:
    page.goto(f"{running.settings.airflow_url}/plugin/models")
    console = page.frame_locator("iframe")
    row = console.get_by_role("row").filter(has=console.get_by_role("link", name=MODEL, exact=True))
    expect(row).to_contain_text("not in production", timeout=30_000)
    console.get_by_role("searchbox").fill("no model is called this")
    expect(row).to_be_hidden()
    console.get_by_role("searchbox").fill(MODEL[:6])
    row.get_by_role("link", name=MODEL, exact=True).click()
    expect(console.get_by_role("heading", level=1)).to_contain_text(MODEL)
    expect(console.get_by_role("row").filter(has_text="Pending manual approval")).to_be_visible()
    console.get_by_role("link", name="evaluation").first.click()
    expect(console.locator("h1").first).to_be_visible()


def test_a_button_of_the_console_does_what_it_says(page: Page, running: Stack, trained: RunResult) -> None:
    """Pauses a Dag that is already paused."""
    page.goto(f"{running.settings.airflow_url}/models/model/tabular_classifier")
    page.get_by_text("Pause", exact=True).first.click()
    page.get_by_role("button", name="Pause tabular_classifier").click()
    expect(page.get_by_role("status")).to_have_text("The schedules of tabular_classifier are off.")
    answer = page.request.get(f"{running.settings.airflow_url}/api/v2/dags/score_tabular_classifier")
    assert answer.json()["is_paused"] is True


PAGES = {
    "models": "",
    "model": f"model/{MODEL}",
    "decisions": "decisions",
    "messages": "messages",
    "costs": "costs",
    "health": "health",
    "runbook": f"runbook/{DAG}#train_model",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_of_the_console_fits_its_window(
    browser: Browser, running: Stack, trained: RunResult, width: int, scheme: Literal["light", "dark"]
) -> None:
    """SCREENSHOTS=<folder> keeps them; the pictures in docs/images were made this way."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name, path in PAGES.items():
        page.goto(f"{running.settings.airflow_url}/models/{path}")
        expect(page.locator("h1").first).to_be_visible()
        sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert sideways <= 0, f"{name} scrolls sideways at {width}"
        unnamed = page.evaluate(
            "[...document.querySelectorAll('a, button, input, select')].filter(one => one.checkVisibility() && "
            "!(one.textContent.trim() || one.ariaLabel || one.labels?.length)).length"
        )
        assert unnamed == 0, f"{name} has controls without a name"
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{folder}/console-{name}-{scheme}-{width}.png")
    page.close()


@pytest.fixture
def online(running: Stack, trained: RunResult) -> Iterator[str]:
    """The address of the online service, with the version that was trained."""
    port, settings = free_port(), running.settings
    environment = service_environment(settings, load_model(MODEL), running.client("s3"), Console())
    environment |= {"HOST": "127.0.0.1", "PORT": str(port)}
    with subprocess.Popen(
        [settings.python("jobs"), "-m", "include.online"],
        cwd=ROOT,
        env={**os.environ, **settings.aws_environment(), **environment},
    ) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: stack.answers(f"{url}/ready"), f"{url} being ready", 120)
            yield url
        finally:
            process.terminate()


def test_the_online_services_page_asks_the_model_its_example(browser: Browser, online: str) -> None:
    """SCREENSHOTS=<folder> keeps a picture; the one in docs/images was made this way."""
    page = browser.new_page(viewport={"width": 1100, "height": 1950})
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"{online}/docs")
    page.get_by_role("button", name="POST /predict Answer rows").click()
    page.get_by_role("button", name="Try it out").click()
    expect(page.locator("textarea")).to_have_value(re.compile("errorIDs"))
    page.get_by_role("button", name="Execute").click()
    answer = page.locator(".live-responses-table")
    expect(answer.get_by_text("200").first).to_be_visible(timeout=30_000)
    expect(answer).to_contain_text("probabilities")
    assert [url for url in requests if not url.startswith((online, "data:"))] == []
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/openapi.png")
    page.close()
