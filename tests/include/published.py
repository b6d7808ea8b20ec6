"""The files next to a day's published scores."""

from __future__ import annotations

from typing import Any


def manifest(model: str, day: str, **fields: Any) -> dict[str, Any]:
    """A day's ``_SUCCESS.json`` as publish_scores writes it, with some fields as given."""
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{model.replace('_', '-')}/1"
    whole = {
        "model": model,
        "date": day,
        "rows": 1,
        "sha256": "0" * 64,
        "files": [],
        "profile": None,
        "model_package_arn": arn,
        "model_version": 1,
        "model_version_reason": "chosen by number",
        "code_hash": "0123456789ab",
        "digest": "0123456789abcdef",
        "inputs": [],
        "published_at": f"{day}T12:00:00+00:00",
        "dag_id": f"score_{model}",
        "run_id": "scored",
        "quarantined": {},
        "jobs": [],
    }
    return whole | fields
