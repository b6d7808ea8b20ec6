from __future__ import annotations

import json
from typing import Any

from include.models.config import load_model
from include.ops.rebuild_index import rebuild
from include.platform.storage import drift_of, model_index, performance_of, scores_manifest, split_uri
from include.registry.model_index import index_drift, index_performance, index_scores

BUCKET = "bucket"
MODEL = load_model("machine_downtime")


def test_a_lost_index_comes_back_as_it_was(s3: Any, aws: Any) -> None:
    days = ["2026-01-05", "2026-01-06"]
    for day in days:
        manifest = {"rows": 7, "model_version": 1, "run_id": day, "published_at": day, "quarantined": {}, "jobs": []}
        s3.objects[scores_manifest(MODEL.name, day)] = json.dumps(manifest).encode()
        drift = {"verdict": "stable", "summary": "nothing moved", "model_version": 1, "drifted": []}
        s3.objects[split_uri(drift_of(BUCKET, MODEL.name, day))[1]] = json.dumps(drift).encode()
        window = {"metrics": {"accuracy": 0.9}, "intervals": {}, "sampled": None}
        performance = {"model_version": 1, "rows": 7, "labelled": 7, "window": window}
        s3.objects[split_uri(performance_of(BUCKET, MODEL.name, day))[1]] = json.dumps(performance).encode()
    index_scores(s3, BUCKET, MODEL, days)
    index_drift(s3, BUCKET, MODEL, days)
    before = index_performance(s3, BUCKET, MODEL, days)
    del s3.objects[model_index(MODEL.name)]
    assert rebuild(s3, aws("sagemaker"), BUCKET, MODEL.name) == 2
    after = json.loads(s3.objects[model_index(MODEL.name)])
    assert {**after, "written_at": None} == {**before, "written_at": None, "served": []}
