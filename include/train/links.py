"""Where a person finds what an evaluation's report is about."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from airflow.sdk import Context

from include.platform.clients import sagemaker_client
from include.platform.environment import MlEnvironment
from include.platform.run_folders import Run
from include.platform.storage import training_job_of
from sagemaker_jobs.kinds import TRAINING
from sagemaker_jobs.links import file_page, job_pages


def links(environment: MlEnvironment, run: Run, context: Context, *, artifact: str) -> dict[str, str]:
    """Addresses by a key of ``files.LINKS``; the commit's where the environment says where its repository is.

    Args:
        artifact: S3 URI of the candidate's model.tar.gz.
    """
    client, airflow = sagemaker_client(environment), urlsplit(context["ti"].log_url)
    found = {
        "run": f"{airflow.scheme}://{airflow.netloc}/dags/{run.dag_id}/runs/{quote(run.run_id, safe='')}",
        "training job": job_pages(TRAINING, training_job_of(artifact), client)["console"],
        "raw data of the run": file_page(run.data_manifest, client),
    }
    if environment.repository and environment.git_commit:
        found["commit"] = f"{environment.repository}/commit/{environment.git_commit.removesuffix('-changed')}"
    return found
