"""Links for people: pages of the SageMaker console, or of the local SageMaker if the client talks to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

from sagemaker_jobs.kinds import ENDPOINT, JobKind

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from types_boto3_sagemaker import SageMakerClient

XCOM_KEY = "sagemaker_links"


class _Link(BaseOperatorLink):
    page: ClassVar[str]

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address that the operator left for this task instance; empty until there is a job."""
        return str((BaseXCom.get_value(ti_key=ti_key, key=XCOM_KEY) or {}).get(self.page, ""))


class ConsoleLink(_Link):
    """Button to the job in the SageMaker console."""

    name = "SageMaker console"
    page = "console"


class LogsLink(_Link):
    """Button to the job's log in CloudWatch."""

    name = "Job log"
    page = "logs"


class ReportLink(_Link):
    """Button to the report that the job wrote."""

    name = "Report"
    page = "report"


class MlflowLink(_Link):
    """Button to the run in MLflow that the job's result names."""

    name = "MLflow run"
    page = "mlflow"


def job_pages(kind: JobKind, job: str, client: SageMakerClient) -> dict[str, str]:
    """Addresses of a job's page and log.

    Args:
        client: the boto3 client that the job was started with.
    """
    return pages(client, f"{kind.word}/{job}", f"{kind.console}/{job}", kind.log_group, streams=f"{job}/")


def endpoint_pages(endpoint: str, client: SageMakerClient) -> dict[str, str]:
    """Addresses of an endpoint's page and log, as ``job_pages``."""
    return pages(client, f"endpoints/{endpoint}", f"endpoints/{endpoint}", f"{ENDPOINT.log_group}/{endpoint}")


def pages(client: SageMakerClient, local: str, console: str, log_group: str, streams: str = "") -> dict[str, str]:
    """Addresses of a page and a log: ``local`` below the local SageMaker's logs, or ``console`` below SageMaker's own.

    Args:
        streams: how the names of the log's streams begin; empty for the whole group.
    """
    if endpoint := local_endpoint(client):
        page = f"{endpoint}/_local/logs/{local}"
        return {"console": page, "logs": page}
    region = client.meta.region_name
    root = console_root(region)
    # the console's own escaping: the percent signs of the quoted text become $25
    group, stream = (quote(text, safe="").replace("%", "$25") for text in (log_group, streams))
    return {
        "console": f"{root}/sagemaker/home?region={region}#/{console}",
        "logs": f"{root}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}"
        + (f"$3FlogStreamNameFilter$3D{stream}" if stream else ""),
    }


def file_page(uri: str, client: SageMakerClient) -> str:
    """The address of the page that shows ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if endpoint := local_endpoint(client):
        return f"{endpoint}/_local/s3/{bucket}/{quote(key)}"
    region = client.meta.region_name
    return f"{console_root(region)}/s3/object/{bucket}?region={region}&prefix={quote(key)}"


def local_endpoint(client: BaseClient) -> str | None:
    """The client's endpoint if it is not one of AWS's; None otherwise."""
    endpoint: str = client.meta.endpoint_url
    host = urlsplit(endpoint).hostname or ""
    return None if host.endswith(("amazonaws.com", "amazonaws.com.cn", "api.aws")) else endpoint.rstrip("/")


def console_root(region: str) -> str:
    if region.startswith("cn-"):
        return "https://console.amazonaws.cn"
    if region.startswith("us-gov-"):
        return "https://console.amazonaws-us-gov.com"
    return f"https://{region}.console.aws.amazon.com"
