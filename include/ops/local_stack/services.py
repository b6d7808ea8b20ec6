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
