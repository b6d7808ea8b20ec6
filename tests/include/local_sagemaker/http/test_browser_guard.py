"""Which requests from other web pages are allowed, by their headers; test_foreign_page.py has a real browser."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.include.local_sagemaker.conftest import BUCKET
from tests.include.local_sagemaker.job_requests import processing
from tests.include.local_sagemaker.local_server import LocalSageMaker

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
# every kind of path: SageMaker's API, InvokeEndpoint, S3, other services, moto's API, pages
PATHS = [
    ("POST", "/", {"X-Amz-Target": "SageMaker.ListProcessingJobs"}),
    ("POST", "/endpoints/some/invocations", {}),
    ("GET", f"/{BUCKET}?list-type=2", {"Authorization": "AWS4-HMAC-SHA256 Credential=l/1/us-east-1/s3/aws4_request"}),
    ("PUT", f"/{BUCKET}/key", {}),
    ("POST", "/", {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}),
    ("POST", "/moto-api/reset", {}),
    ("GET", "/_local/logs/training/some", {}),
    ("GET", "/_local/health", {}),
]


def answer(server: LocalSageMaker, method: str, path: str, **headers: str | None) -> tuple[int, dict[str, str], str]:
    """Status, headers (names in lower case) and body; headers that are None are left out, even Host."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": f"127.0.0.1:{server.port}", **headers}.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read().decode(errors="replace")
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, body


@pytest.mark.parametrize(("method", "path", "headers"), PATHS)
@pytest.mark.parametrize(
    "foreign",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:4566"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "evil-localhost"},
        {"Host": "0.0.0.0:4566"},
        {"Host": "169.254.169.254"},
        {"Host": "127.0.0.1@evil.example"},
        {"Host": ""},
        {"Host": "2130706433"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "none", "Host": "evil.example"},
    ],
    ids=str,
)
def test_foreign_requests_are_refused_on_every_path(
    server: LocalSageMaker, method: str, path: str, headers: dict[str, str], foreign: dict[str, str]
) -> None:
    status, answered, body = answer(server, method, path, **headers, **foreign)
    assert status == 403, body
    assert "CrossOriginRequestError" in body
    assert not [name for name in answered if name.startswith("access-control-")]


@pytest.mark.parametrize(("method", "path", "headers"), PATHS)
@pytest.mark.parametrize("origin", [None, "https://evil.example"])
def test_options_gives_no_permission(
    server: LocalSageMaker, method: str, path: str, headers: dict[str, str], origin: str | None
) -> None:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "x-amz-target"}
    status, answered, body = answer(
        server, "OPTIONS", path, **headers, **asked, **{"Access-Control-Request-Private-Network": "true"}, Origin=origin
    )
    assert (status, body) == (204, "") if origin is None else status == 403
    assert not [name for name in answered if name.startswith("access-control-")]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "sagemaker.localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
@pytest.mark.parametrize(("method", "path", "headers"), [PATHS[0], PATHS[-1]])
def test_names_of_this_machine_are_answered(
    server: LocalSageMaker, host: str, method: str, path: str, headers: dict[str, str]
) -> None:
    for name in (host, f"{host}:{server.port}"):
        assert answer(server, method, path, **headers, Host=name)[0] == 200
    page = {"Origin": f"http://{host}:9", "Sec-Fetch-Site": "same-origin"}
    assert answer(server, method, path, **headers, Host=f"{host}:9", **page)[0] == 200


def test_a_link_opens_a_page_and_nothing_else(server: LocalSageMaker, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="guard/report.html", Body=b"<p>report")
    for site in ("same-site", "cross-site", "none"):
        link = {"Sec-Fetch-Site": site, **NAVIGATION}
        assert answer(server, "GET", "/_local/", **link)[0] == 200
        assert answer(server, "GET", f"/_local/s3/{BUCKET}/guard/report.html", **link)[2] == "<p>report"
        assert answer(server, "GET", "/_local/no-such-page?Action=CreateQueue", **link)[0] == 404
        for path in ("/", "/?Action=CreateQueue&QueueName=q", "/moto-api/data.json", f"/{BUCKET}/guard/report.html"):
            assert answer(server, "GET", path, **link)[0] == 403, path
    for method in ("POST", "PUT", "DELETE"):
        assert answer(server, method, "/_local/", **{"Sec-Fetch-Site": "same-site"}, **NAVIGATION)[0] == 403


def test_a_person_opens_a_presigned_link_and_no_operation(server: LocalSageMaker, s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="guard/shared.txt", Body=b"shared")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "guard/shared.txt"})
    path = url.removeprefix(server.url)
    status, headers, body = answer(server, "GET", path, **{"Sec-Fetch-Site": "none"}, **NAVIGATION)
    assert (status, body) == (200, "shared")
    assert "sandbox" in headers["content-security-policy"]  # a job may have written HTML
    assert answer(server, "GET", f"{path}&%41ction=X", **{"Sec-Fetch-Site": "none"}, **NAVIGATION)[0] == 403
    assert answer(server, "GET", path, **{"Sec-Fetch-Site": "cross-site"}, **NAVIGATION)[0] == 403


def test_no_answer_may_be_framed_or_read_elsewhere(server: LocalSageMaker, s3: Any) -> None:
    s3.put_bucket_cors(
        Bucket=BUCKET,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"], "MaxAgeSeconds": 9}]},
    )
    s3.put_object(Bucket=BUCKET, Key="guard/open.txt", Body=b"open")
    path = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "guard/open.txt"})
    for asked in (path.removeprefix(server.url), "/_local/", "/_local/health", f"/{BUCKET}/absent"):
        own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        _, headers, body = answer(server, "GET", asked, **own)
        assert not [name for name in headers if name.startswith("access-control-")], (asked, body)
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_names_are_admitted_by_option(tmp_path: Path) -> None:
    server = LocalSageMaker(tmp_path / "state", ("--allowed-host", "Sagemaker", "--allowed-host", "sage.example"))
    server.start()
    try:
        target = {"X-Amz-Target": "SageMaker.ListProcessingJobs"}
        for host in ("sagemaker", f"sagemaker:{server.port}", "sage.example", "SAGE.example.", "localhost"):
            assert answer(server, "POST", "/", **target, Host=host)[0] == 200, host
        for host in ("other", "sub.sage.example", "sage.example.evil.example"):
            assert answer(server, "POST", "/", **target, Host=host)[0] == 403, host
    finally:
        assert server.stop() == 0


def test_aws_clients_do_not_notice(sagemaker: Any, names: Callable[[str], str]) -> None:
    name = names("guarded")
    sagemaker.create_processing_job(**processing(name, ["true"]))
    assert sagemaker.describe_processing_job(ProcessingJobName=name)["ProcessingJobName"] == name
