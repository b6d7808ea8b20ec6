"""A page of another origin, in a browser that has Airflow open in another tab, can neither start nor read anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import REBOUND, foreign_site, needs_chromium

from .conftest import Stack
from .test_train_run import DAG

pytestmark = [needs_chromium, pytest.mark.timeout(300)]

# neither needs a body, so a browser sends them without a preflight request
WITHOUT_A_BODY = ("/api/v2/dags/{dag}/favorite", "/api/v2/assets/1/materialize")
POST = """([url, mode]) => fetch(url, {method: "POST", mode, credentials: "include"})
    .then(answer => answer.status, error => String(error))"""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def state(running: Stack) -> tuple[bool, int]:
    """Whether the Dag is a favourite, and the number of runs of all Dags."""
    details = running.airflow.call("GET", f"/dags/{DAG}/details")
    return details["is_favorite"], running.airflow.call("GET", "/dags/~/dagRuns")["total_entries"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "another site"])
def test_a_foreign_page_starts_and_reads_nothing(running: Stack, page: Page, host: str) -> None:
    url = running.settings.airflow_url
    before = state(running)
    page.goto(url)  # if sessions are kept, the browser has one now
    with foreign_site() as port:
        page.goto(f"http://{host}:{port}/")
        for path in WITHOUT_A_BODY:
            for mode in ("no-cors", "cors"):
                page.evaluate(POST, [url + path.format(dag=DAG), mode])
        read = page.evaluate("url => fetch(url).then(answer => answer.text(), String)", f"{url}/auth/token")
        assert read == "TypeError: Failed to fetch"
        page.evaluate("url => { document.body.innerHTML = `<a href='${url}' target='_blank'>Airflow</a>` }", url)
        with page.expect_popup() as opened:
            page.get_by_text("Airflow").click()
        expect(opened.value.get_by_role("link", name="Dags").first).to_be_visible(timeout=30_000)
    assert state(running) == before


def test_a_name_that_is_rebound_to_this_machine_is_refused(running: Stack, page: Page) -> None:
    before = state(running)
    response = page.goto(f"http://{REBOUND}:{running.settings.airflow_port}/auth/token")
    assert response is not None
    assert response.status == 403
    for path in WITHOUT_A_BODY:
        assert page.evaluate(POST, [path.format(dag=DAG), "cors"]) == 403
    assert state(running) == before


def test_airflows_own_page_can(running: Stack, page: Page) -> None:
    """So the tests above would fail if the requests were let through."""
    page.goto(running.settings.airflow_url)
    favourite = WITHOUT_A_BODY[0].format(dag=DAG)
    assert page.evaluate(POST, [favourite, "cors"]) == 204
    assert state(running)[0]
    assert page.evaluate(POST, [favourite.replace("favorite", "unfavorite"), "cors"]) == 204
    assert not state(running)[0]
