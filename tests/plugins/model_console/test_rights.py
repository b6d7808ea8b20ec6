"""What users without rights see of the console, by Airflow's rules for its roles, in a real browser."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.api_fastapi.core_api.security import get_user
from playwright.sync_api import Page, expect, sync_playwright

from model_console import actions
from model_console import app as console
from model_console.airflow_api import RefusedError, api_of
from model_console.settings import Settings
from model_console.store import Store, store
from tests.browser import launch, needs_chromium
from tests.plugins.model_console.test_app import FakeAirflow, FakeS3, dags_of
from tests.plugins.model_console.test_overview import index

NO_AWS = SimpleNamespace(today=lambda _: ({}, ""), usage=lambda *_: None, serving=lambda *_: ((), ""))

pytestmark = [needs_chromium, pytest.mark.timeout(120)]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser.new_page()
        browser.close()


class AirflowFor(FakeAirflow):
    """Airflow's API for a user with a role: its own rules decide what is allowed."""

    def __init__(self, user: SimpleAuthManagerUser, *models: str) -> None:
        super().__init__(dags_of(*models))
        object.__setattr__(self, "user", user)

    async def send(self, method: str, path: str, body: Any) -> dict[str, Any]:
        may = {button.dag_id for button in actions.allowed(self.user, "pumps")}  # type: ignore[attr-defined]
        if path.split("/")[2] not in may:
            raise RefusedError(403, "Forbidden")
        return await super().send(method, path, body)


@contextmanager
def served(role: str, monkeypatch: pytest.MonkeyPatch, *models: str) -> Iterator[str]:
    """The console's address for a user with this role, showing pumps or these models."""
    user = SimpleAuthManagerUser(username="eve", role=role)
    monkeypatch.setattr(actions, "get_auth_manager", SimpleAuthManager)
    monkeypatch.setattr(console, "settings", lambda: Settings("bucket", "us-east-1"))
    names = models or ("pumps",)
    objects = FakeS3({f"index/{name}.json": json.dumps(index(owner=f"team {name}")).encode() for name in names})
    console.app.cache_clear()
    made = console.app()
    made.dependency_overrides |= {
        api_of: lambda: AirflowFor(user, *names),
        store: lambda: Store(objects, "bucket"),  # type: ignore[arg-type]
        get_user: lambda: user,
        console.aws: lambda: NO_AWS,
    }
    server = uvicorn.Server(uvicorn.Config(made, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        console.app.cache_clear()


def test_who_may_only_look_sees_no_button_and_gets_403(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with served("VIEWER", monkeypatch) as address:
        page.goto(f"{address}/model/pumps")
        expect(page.get_by_role("heading", level=1)).to_contain_text("pumps")
        assert page.locator("form").count() == 0
        assert page.get_by_text("What you can do").count() == 0
        assert page.get_by_role("button", name="Select days to score").count() == 0
        for action in ("train", "promote", "rollback", "retire", "pause"):
            assert page.request.post(f"{address}/model/pumps/{action}").status == 403


def test_who_may_act_picks_days_in_the_calendar_with_their_price(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with served("ADMIN", monkeypatch) as address:
        page.goto(f"{address}/model/pumps")
        assert page.locator("form").count() == len(actions.buttons("pumps"))
        page.get_by_role("button", name="Select days to score").click()
        page.locator('[data-day="2026-11-28"]').click()
        page.locator('[data-day="2026-11-25"]').click()
        form = page.locator("#backfill form")
        assert form.locator("[name=first]").input_value() == "2026-11-25"
        assert form.locator("[name=last]").input_value() == "2026-11-28"
        expect(page.locator("#price")).to_contain_text("4 days: about 0.46 USD")
        form.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("of backfill has started")


FOCUSED = """(() => { const one = document.activeElement;
return one.getAttribute("aria-label") || one.labels?.[0]?.textContent.trim() || one.textContent.trim(); })()"""


def test_a_hundred_models_are_found_sorted_and_opened_by_keyboard_alone(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"pump_{number:03}" for number in range(100)]

    def focused() -> str:
        return str(page.evaluate(FOCUSED))

    def tab_to(name: str, most: int) -> None:
        for _ in range(most):
            page.keyboard.press("Tab")
            if focused() == name:
                return
        raise AssertionError(f"{most} times Tab do not lead to {name}, but to {focused()}")

    def shown() -> list[str]:
        return page.locator("#models tbody tr:visible th a").all_inner_texts()

    with served("ADMIN", monkeypatch, *names) as address:
        page.goto(f"{address}/")
        assert shown() == names
        tab_to("Filter models", 10)
        page.keyboard.type("team pump_09")
        assert shown() == names[90:]
        tab_to("All models", 1)  # the table itself, which arrow keys scroll
        tab_to("Model", 1)
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        assert page.get_by_role("columnheader", name="Model", exact=True).get_attribute("aria-sort") == "descending"
        assert shown() == names[:89:-1]
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "the focus is visible"
        tab_to("pump_099", 12)
        page.keyboard.press("Enter")
        page.wait_for_url("**/model/pump_099")
        tab_to("Backfill", 20)
        page.keyboard.press("Enter")
        expect(page.locator("#backfill form")).to_be_visible()
        for name in ("First day", "Last day", "Backfill pump_099"):
            tab_to(name, 4)  # a date has three parts
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("of backfill has started")
