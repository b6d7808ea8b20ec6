from __future__ import annotations

import re

import pytest

from include.platform.run_folders import Run
from include.platform.storage import raw_prefix, split_uri, training_job_of

RUN_IDS = [
    "manual__2026-11-21T08:20:15.123456+00:00",
    "manual__2026-11-21T08:20:15.123456-00:00",
    "manual 2026-11-21T08-20-15.123456-00-00",
    "scheduled__2026-11-16T03:00:00+00:00",
    "../../raw",
    "ü" * 250,
    "ü" * 249,
]


def test_no_two_runs_share_a_folder() -> None:
    slugs = {Run("b", "d", run_id).slug for run_id in RUN_IDS}
    assert len(slugs) == len(RUN_IDS)
    for slug in slugs:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", slug)
        assert "/" not in slug


def test_everything_a_run_writes_is_below_its_folder() -> None:
    run = Run("bucket", "train_pumps", RUN_IDS[0])
    written = [
        run.data_manifest,
        run.validated,
        run.features,
        run.feature_split("train"),
        run.report("validate_features"),
    ]
    written += [
        run.training_output("tune_model"),
        run.checkpoints("train_model"),
        run.evaluation,
        run.evaluation_report,
        run.golden_requests,
    ]
    assert run.folder.startswith("s3://bucket/runs/train_pumps/manual__2026-11-21T08-20-15.123456-00-00-")
    assert all(uri.startswith(run.folder + "/") for uri in written)


def test_uris_are_taken_apart() -> None:
    assert split_uri("s3://bucket/a/b.json") == ("bucket", "a/b.json")
    assert training_job_of("s3://bucket/runs/x/train_model/job-1/output/model.tar.gz") == "job-1"
    assert raw_prefix("pumps") == "raw/pumps/"
    with pytest.raises(ValueError, match="is not an S3 URI"):
        split_uri("/tmp/x")
