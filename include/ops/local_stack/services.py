"""The processes of the stack, how each is started. Few imports: ``make status`` needs them at once."""

from __future__ import annotations

from include.ops.local_stack.processes import Service
from include.ops.local_stack.settings import JOB_IMAGE, ROOT, Settings


def services(settings: Settings) -> list[Service]:
    """In the order in which they start."""
    sagemaker = [
        *(settings.python("local_sagemaker"), "-m", "include.local_sagemaker"),
        *("--port", str(settings.sagemaker_port), "--state", str(settings.home / "sagemaker")),
        *("--image", f"{JOB_IMAGE}={ROOT / '.venv' / 'jobs'}", "--path", str(ROOT / "include" / "jobs" / "bin")),
        *("--endpoint-start-seconds", "60"),  # AWS waits ten minutes, for downloads that are quick here
        *settings.sagemaker_options,
    ]
    environment = settings.airflow_environment()
    return [
        Service("local-sagemaker", sagemaker, {"PYTHONPATH": str(ROOT)}, settings.home),
        settings.postgres.service(settings.home),
        *(Service(name, command, environment, settings.home) for name, command in settings.airflow_processes().items()),
    ]


def mlflow(settings: Settings) -> Service:
    """MLflow's pages, which only people need: ``make mlflow`` starts them, ``make down`` stops them."""
    command = [
        *(settings.python("jobs"), "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(settings.mlflow_port), "--backend-store-uri", str(settings.mlflow_uri)),
    ]
    only_pages = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # no workers for jobs of its own, a dozen processes
    return Service("mlflow", command, only_pages, settings.home)


def addresses(settings: Settings) -> list[tuple[str, str]]:
    """Where a person finds what, in the order in which it is shown."""
    off = "" if mlflow(settings).process() else "   (once started with: make mlflow)"
    return [
        ("Airflow", f"{settings.airflow_url}   (no sign-in needed)"),
        ("console", f"{settings.airflow_url}/models/"),
        ("local SageMaker", f"{settings.sagemaker_url}/_local/"),
        ("MLflow", f"{settings.mlflow_url}{off}"),
        ("a shell's AWS", f"source {settings.home}/aws.env"),
    ]
