"""Screenshots of every page for docs/images, from a stack on which a model was trained, promoted and scored.

    make run; make promote YES=1; make backfill FROM=... TO=...; make screenshots [MODEL=name] [OUT=folder]

``OUT`` receives each page in light and dark, 1280 and 390 pixels wide, for review; without it docs/images gets one
picture of each. Reports pages that scroll sideways or have controls without a name; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from include.ops.local_stack.airflow_api import AirflowApi
from include.ops.local_stack.seed import s3_client
from include.ops.local_stack.settings import BUCKET, ROOT, Settings
from include.platform.objects import read_json
from include.platform.run_folders import Run
from include.platform.storage import drift_report_of, model_index
from include.registry.model_index import ModelIndex
from tests.browser import launch

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTHS = (1280, 390)
COLOURS = 256  # with fewer, a legend would explain other colours
SHRINK = """
import sys
from PIL import Image
for name in sys.argv[1:]:
    Image.open(name).convert("RGB").quantize({colours}).save(name, optimize=True)
"""
UNNAMED = """[...document.querySelectorAll('a, button, input, select')].filter(one => one.checkVisibility() &&
!(one.textContent.trim() || one.ariaLabel || one.labels?.length)).length"""
COLOURLESS = """[...document.querySelectorAll('.calendar .scored, .legend .scored')].some(one =>
getComputedStyle(one).backgroundColor ===
getComputedStyle(document.querySelector(".legend .missing")).backgroundColor)"""
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def addresses(settings: Settings, model: str) -> dict[str, str]:
    """Name and address of each page that has something to show."""
    console, local = f"{settings.airflow_url}/models", f"{settings.sagemaker_url}/_local/s3"
    found = {
        "models": f"{console}/",
        "model": f"{console}/model/{model}",
        "decisions": f"{console}/decisions",
        "messages": f"{console}/messages",
        "costs": f"{console}/costs",
        "health": f"{console}/health",
        "runbook": f"{console}/runbook/score_{model}",
    }
    index: ModelIndex | None = read_json(s3_client(settings), f"s3://{BUCKET}/{model_index(model)}")
    airflow = AirflowApi(settings.airflow_url, settings.login)
    packets = (Run(BUCKET, f"deploy_{model}", run_id).promotion_packet for run_id in airflow.run_ids(f"deploy_{model}"))
    for packet in (uri for uri in packets if httpx.head(_file(local, uri), trust_env=False).is_success):
        found["packet"] = _file(local, packet)  # of the newest run that asked
        break
    if index and index["versions"]:
        found["version"] = f"{console}/model/{model}/version/{index['versions'][-1]['version']}"
    if runs := airflow.run_ids(f"train_{model}"):
        run = Run(BUCKET, f"train_{model}", runs[0])
        found["validation-report"] = _file(local, run.validation_page("validate_raw_data"))
        found["evaluation-report"] = _file(local, run.evaluation_report)
    if index and index["days"]:
        day = max(index["days"])
        found["day"] = f"{console}/model/{model}/day/{day}"
        found["rows"] = f"{console}/model/{model}/rows"
    if index and index["drift"]:
        found["monitoring-report"] = _file(local, drift_report_of(BUCKET, model, max(index["drift"])))
    return found


def _file(local: str, uri: str) -> str:
    return f"{local}/{quote(uri.removeprefix('s3://'))}"


@contextmanager
def opened(browser: Browser, width: int, scheme: Literal["light", "dark"], height: int = 860) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    yield page
    page.close()


def trigger_form(page: Page, settings: Settings, model: str, picture: Path) -> None:
    """Airflow's form for starting a training."""
    page.goto(f"{settings.airflow_url}/dags/train_{model}")
    page.get_by_role("button", name="Trigger").first.click()
    page.get_by_role("dialog").get_by_text("Data from").first.wait_for()
    page.screenshot(path=picture)


def look(settings: Settings, model: str, folder: Path, *, all_of_them: bool) -> list[str]:
    """Take the pictures; the problems found on the pages."""
    wrong = []
    pages = addresses(settings, model)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for scheme in SCHEMES if all_of_them else SCHEMES[:1]:
            for width in WIDTHS if all_of_them else WIDTHS[:1]:
                ending = f"-{scheme}-{width}" if all_of_them else ""
                with opened(browser, width, scheme) as page:
                    for name, address in pages.items():
                        page.goto(address)
                        page.locator("h1").first.wait_for()
                        if page.evaluate(SIDEWAYS) > 0:
                            wrong.append(f"{name} scrolls sideways at {width}")
                        if page.evaluate(UNNAMED):
                            wrong.append(f"{name} has controls without a name")
                        if page.evaluate(COLOURLESS):
                            wrong.append(f"{name}: scored days look like missing ones")
                        page.screenshot(path=folder / f"{name}{ending}.png", full_page=all_of_them)
                    trigger_form(page, settings, model, folder / f"trigger-form{ending}.png")
        browser.close()
    return wrong


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, help="a folder, for all of them")
    given = parser.parse_args(argv)
    settings = Settings.from_environment()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        wrong = look(settings, given.model, folder, all_of_them=given.out is not None)
        pictures = sorted(folder.glob("*.png"))
        shrink = SHRINK.format(colours=COLOURS)
        subprocess.run([settings.python("jobs"), "-c", shrink, *map(str, pictures)], check=True)
        for picture in pictures if given.out is None else ():
            (ROOT / "docs" / "images" / picture.name).write_bytes(picture.read_bytes())
    print("\n".join(wrong) or f"{len(pictures)} pictures, no page scrolls sideways, every control has a name")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
