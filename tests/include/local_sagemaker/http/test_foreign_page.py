"""A page from another origin in a real browser: whatever it tries, nothing starts and nothing is read.

The same attempts from the local SageMaker's own page succeed, which shows that they would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import REBOUND, foreign_site, launch, needs_chromium
from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.hosting import Hosting
from tests.include.local_sagemaker.job_requests import processing

pytestmark = needs_chromium

# Each is the body of an async function with the arguments `url` (the local SageMaker), `endpoint`, `bucket`, `folder`
# (in the bucket), `job` (a request) and `upload(name)`, the form that S3 accepts from a browser.
ATTEMPTS = {
    "fetch with a target": """
        const headers = {"X-Amz-Target": "SageMaker.CreateProcessingJob"};
        return (await fetch(url, {method: "POST", headers, body: JSON.stringify(job)})).text()""",
    "fetch of a list": """
        const headers = {"X-Amz-Target": "SageMaker.ListProcessingJobs"};
        return (await fetch(url, {method: "POST", headers, body: "{}"})).text()""",
    "fetch of an endpoint": """
        const Authorization = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sagemaker/aws4_request";
        const request = {method: "POST", headers: {Authorization}, body: "invoked"};
        return (await fetch(`${url}/endpoints/${endpoint}/invocations`, request)).text()""",
    "fetch of S3": """
        await fetch(`${url}/${bucket}/${folder}/put`, {method: "PUT", body: "put"})""",
    "fetch that asks no permission": """
        await fetch(`${url}/${bucket}`, {method: "POST", mode: "no-cors", body: upload("fetch")})""",
    "XMLHttpRequest": """
        await new Promise(done => {
            const request = new XMLHttpRequest();
            request.onloadend = done;
            request.open("POST", `${url}/${bucket}`);
            request.send(upload("xhr"));
        })""",
    "beacon": """
        navigator.sendBeacon(`${url}/${bucket}`, upload("beacon"));
        await fetch(`${url}/_local/health`, {mode: "no-cors"})""",
    "form": """
        const frame = document.createElement("iframe");
        frame.name = "target";
        document.body.append(frame);
        const form = document.createElement("form");
        Object.assign(form, {action: `${url}/${bucket}`, method: "POST", target: "target"});
        form.enctype = "multipart/form-data";
        const fields = {key: `${folder}/form`, success_action_status: "201", file: "form"};
        for (const [name, value] of Object.entries(fields)) {
            const field = document.createElement("input");
            Object.assign(field, {name, value});
            form.append(field);
        }
        document.body.append(form);
        const loaded = new Promise(done => { frame.onload = done; });
        form.submit();
        await loaded""",
    "form that resets moto": """
        await fetch(`${url}/moto-api/reset`, {method: "POST", mode: "no-cors"})""",
    "page in a frame": """
        const frame = document.createElement("iframe");
        const loaded = new Promise(done => { frame.onload = done; });
        frame.src = `${url}/_local/`;
        document.body.append(frame);
        await loaded;
        return frame.contentDocument ? frame.contentDocument.body.innerText : "not ours to read" """,
    "image of S3": """
        const image = new Image();
        const done = new Promise(end => { image.onload = () => end("shown"); image.onerror = () => end("refused"); });
        image.src = `${url}/_local/s3/${bucket}/guard/picture.svg`;
        return await done""",
    "script of S3": """
        const script = document.createElement("script");
        const done = new Promise(end => { script.onload = () => end("run"); script.onerror = () => end("refused"); });
        script.src = `${url}/_local/s3/${bucket}/guard/data.js`;
        document.body.append(script);
        return await done""",
}


def effects(hosting: Hosting) -> dict[str, Any]:
    """What successful attempts leave behind."""
    objects = hosting.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="stolen")
    jobs = hosting.sagemaker.list_processing_jobs(NameContains="stolen", MaxResults=100)["ProcessingJobSummaries"]
    return {"objects": sorted(one["Key"] for one in objects.get("Contents", [])), "jobs": len(jobs)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture(scope="module")
def endpoint(hosting: Hosting) -> str:
    s3 = hosting.client("s3")
    picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    s3.put_object(Bucket=BUCKET, Key="guard/picture.svg", Body=picture)
    s3.put_object(Bucket=BUCKET, Key="guard/data.js", Body=b"1")
    return hosting.endpoint(hosting.config(hosting.model()))


@pytest.fixture
def attempt(hosting: Hosting, endpoint: str) -> Callable[[Page, str], str]:
    """`attempt(page, name)`: what the page learns, or its error."""

    def run(page: Page, name: str) -> str:
        new = hosting.name("stolen")
        values = {
            "url": hosting.url,
            "endpoint": endpoint,
            "bucket": BUCKET,
            "folder": new,
            "job": processing(new, ["id"]),
        }
        names = ", ".join(values)
        script = f"""async ({{{names}}}) => {{
            const upload = name => {{
                const form = new FormData();
                form.append("key", `${{folder}}/${{name}}`);
                form.append("file", "file");
                return form;
            }};
            const attempt = async () => {{ {ATTEMPTS[name]} }};
            try {{ return await attempt() ?? "nothing" }} catch (error) {{ return `${{error}}` }}
        }}"""
        return str(page.evaluate(script, values))

    return run


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "another site"])
@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_foreign_page_has_no_effect_and_reads_nothing(
    hosting: Hosting, page: Page, attempt: Callable[[Page, str], str], host: str, name: str
) -> None:
    before = effects(hosting)
    with foreign_site() as port:
        page.goto(f"http://{host}:{port}/")
        learnt = attempt(page, name)
    assert learnt in {"nothing", "refused", "not ours to read", "TypeError: Failed to fetch"}
    assert effects(hosting) == before


def test_a_name_that_is_rebound_to_this_machine_is_refused(
    hosting: Hosting, page: Page, attempt: Callable[[Page, str], str]
) -> None:
    before = effects(hosting)
    response = page.goto(f"http://{REBOUND}:{hosting.server.port}/_local/")
    assert response is not None
    assert response.status == 403
    script = "async body => (await fetch('/', {method: 'POST', headers: {'X-Amz-Target': %r}, body})).status"
    request = json.dumps(processing(hosting.name("stolen"), ["id"]))
    assert page.evaluate(script % "SageMaker.CreateProcessingJob", request) == 403
    assert effects(hosting) == before


def test_links_from_elsewhere_open_pages_that_cannot_be_scripted(hosting: Hosting, endpoint: str, page: Page) -> None:
    with foreign_site() as port:
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(
            "url => { document.body.innerHTML = `<a href='${url}/_local/' target='_blank'>jobs</a>` }", hosting.url
        )
        with page.expect_popup() as opened:
            page.get_by_text("jobs").click()
        opened.value.get_by_role("heading", name="Model packages").wait_for()
        opened.value.get_by_role("link", name=endpoint).click()
        opened.value.get_by_text(endpoint).first.wait_for()
        handle = "url => { window.opened = window.open(url) }"
        with page.expect_popup() as popup:
            page.evaluate(handle, f"{hosting.url}/_local/")
        popup.value.get_by_role("heading", name="Model packages").wait_for()
        assert (
            page.evaluate("() => { try { return opened.document.title } catch (e) { return e.name } }")
            == "SecurityError"
        )


def test_its_own_page_could_do_all_this(hosting: Hosting, page: Page, attempt: Callable[[Page, str], str]) -> None:
    """So the tests above would fail if the requests were let through. (moto is not reset: other tests need it.)"""
    before = effects(hosting)
    page.goto(f"{hosting.url}/_local/")
    learnt = {name: attempt(page, name) for name in ATTEMPTS if "moto" not in name}
    assert "ProcessingJobArn" in learnt["fetch with a target"]
    assert "ProcessingJobSummaries" in learnt["fetch of a list"]
    assert learnt["image of S3"] == "shown"
    assert learnt["script of S3"] == "run"
    assert learnt["fetch of an endpoint"] == "invoked"
    after = effects(hosting)
    assert after["jobs"] == before["jobs"] + 1
    made = {key.rpartition("/")[2] for key in set(after["objects"]) - set(before["objects"])}
    assert made == {"beacon", "fetch", "form", "put", "xhr"}
