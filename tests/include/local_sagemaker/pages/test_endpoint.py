"""An endpoint's page."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.include.local_sagemaker.hosting import Hosting


def page(hosting: Hosting, name: str, **form: str) -> str:
    data = urllib.parse.urlencode(form).encode() if form else None
    address = f"{hosting.url}/_local/show/endpoints/{name}"
    with urllib.request.urlopen(address, data, timeout=20) as answer:  # noqa: S310 - our own address
        return str(answer.read().decode())


def test_it_shows_what_serves_and_what_was_asked(hosting: Hosting) -> None:
    first, second = hosting.config(hosting.model()), hosting.config(hosting.model())
    name = hosting.endpoint(first)
    hosting.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{name}-errors",
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
    )
    hosting.invoke(name, b"<1>", ContentType="text/csv")
    hosting.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=second)
    hosting.settled(name)
    shown = page(hosting, name)
    assert "<td>&lt;1&gt;</td>" in shown, "the last request"
    assert f"{name}-errors" in shown
    assert f"{first} 100 %" in shown, "which variant received the traffic before"
    assert f"{second} 100 %" in shown
    assert "serving/model.tar.gz" in shown


def test_a_request_is_sent_from_the_page(hosting: Hosting) -> None:
    name = hosting.endpoint(hosting.config(hosting.model()))
    expected = hosting.invoke(name, b"7", ContentType="text/csv").decode()
    shown = page(hosting, name, body="7", format="text/csv")
    assert expected.split(chr(34))[0] in shown
    assert "<option selected>text/csv</option>" in shown
    assert ">7</textarea>" in shown, "it can be edited and sent again"


def test_an_endpoint_that_is_not_there(hosting: Hosting) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        page(hosting, "absent")
    assert error.value.code == 404
