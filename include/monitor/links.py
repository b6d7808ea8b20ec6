"""Where a person finds what a day's report is about."""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk import Context

from include.models.config import ModelConfig
from include.platform.clients import sagemaker_client
from include.platform.environment import MlEnvironment
from include.platform.storage import daily_partition
from include.score.published import ScoresManifest
from sagemaker_jobs.links import file_page


def links_of(
    model: ModelConfig,
    environment: MlEnvironment,
    context: Context,
    *,
    day: str,
    version: int,
    manifest: ScoresManifest | None,
) -> dict[str, str]:
    """Addresses by what is there: pages of Airflow and its console, and the day's raw files.

    Args:
        manifest: of the day's scores; None for an endpoint, or if there are none.
    """
    task_instance = context["ti"]
    airflow = task_instance.log_url.partition("/dags/")[0]
    console = f"{airflow}/models/model/{model.name}"
    run = quote(task_instance.run_id, safe="")
    found = {
        f"version {version} and its card": f"{console}/version/{version}",
        "this run": f"{airflow}/dags/{task_instance.dag_id}/runs/{run}",
    }
    if manifest is None:
        return found
    partition, client = daily_partition(model.name, day), sagemaker_client(environment)
    raw = {
        key.removeprefix(partition): file_page(f"s3://{environment.bucket}/{key}", client)
        for key in (one["key"] for one in manifest["inputs"])
        if key.startswith(partition)
    }
    return {"scores of the day": f"{console}/day/{day}", **found, **raw}
