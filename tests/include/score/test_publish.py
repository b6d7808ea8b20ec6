"""Publication: readers see either the old or the new scores, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from include.platform.run_folders import DayRun, Run
from include.platform.storage import scores_manifest, scores_partition, scores_symlink, split_uri
from include.registry.versions import RegisteredVersion
from include.score import publish as publishing
from include.score.plan import DayPlan
from include.score.publish import PublishError, publish
from include.score.published import ScoresManifest, publication_of
from tests.include.local_aws import LocalS3

MODEL, DAY, BUCKET = "pumps", "2015-06-05", "bucket"
MANIFEST, LINKS = scores_manifest(MODEL, DAY), scores_symlink(MODEL, DAY)


def plan(code_hash: str, replaces: ScoresManifest | None = None) -> DayPlan:
    """Each code has its own run."""
    version = RegisteredVersion(version=2, model_package_arn="arn:2", artifact="s3://b/model.tar.gz", image="image:1")
    return DayPlan(
        day=DAY,
        inputs=[],
        version=version,
        reason="chosen by number",
        code_hash=code_hash,
        image_uri="image:1",
        parts={"code": code_hash},
        replaces=publication_of(replaces),
    )


def run(code_hash: str, run_id: str = "run") -> DayRun:
    return Run(BUCKET, "score_pumps", run_id).of_day(plan(code_hash).digest, DAY)


def stage(
    s3: LocalS3, code_hash: str, *contents: str, profile: dict[str, Any] | None = None, run_id: str = "run"
) -> None:
    folder = split_uri(run(code_hash, run_id).staged_scores("score_day"))[1]
    parts = []
    for number, content in enumerate(contents):
        s3.objects[f"{folder}/shard-{number}.parquet"] = content.encode()
        sha256 = f"{content}-sha-of-sixteen-and-more"
        parts.append({"name": f"shard-{number}.parquet", "rows": 10, "bytes": len(content), "sha256": sha256})
    s3.objects[f"{folder}/parts.json"] = json.dumps(
        {"parts": parts} | ({"profile": profile} if profile else {})
    ).encode()


def published(s3: Any, code_hash: str, run_id: str = "run", replaces: ScoresManifest | None = None) -> ScoresManifest:
    at = "2015-06-06T01:00:00+00:00"
    of = run(code_hash, run_id)
    staged, plan_of = of.staged_scores("score_day"), plan(code_hash, replaces)
    return publish(s3, of, MODEL, plan_of, staged=staged, quarantined={"readings": 3}, jobs=[], published_at=at)


def read(s3: LocalS3) -> list[str]:
    """The scores that a reader of the manifest finds."""
    files = json.loads(s3.objects[MANIFEST])["files"]
    return [s3.objects[file["key"]].decode() for file in files]


def linked(s3: LocalS3) -> list[str]:
    """The scores that Athena finds."""
    return [s3.objects[split_uri(uri)[1]].decode() for uri in s3.objects[LINKS].decode().split()]


def test_the_manifest_names_files_rows_and_where_they_come_from(s3: LocalS3) -> None:
    stage(s3, "one", "a", "b")
    manifest = published(s3, "one")
    assert read(s3) == linked(s3) == ["a", "b"]
    assert manifest == json.loads(s3.objects[MANIFEST])
    assert manifest["rows"] == 20
    assert manifest["model_package_arn"] == "arn:2"
    assert manifest["model_version_reason"] == "chosen by number"
    assert manifest["quarantined"] == {"readings": 3}
    assert all(file["key"].startswith(f"scores/{MODEL}/date={DAY}/part-") for file in manifest["files"])


def test_scored_again_the_old_files_go_last(s3: LocalS3) -> None:
    stage(s3, "one", "a", "b")
    stage(s3, "two", "c")
    old = [file["key"] for file in published(s3, "one")["files"]]
    s3.log.clear()
    (new,) = [file["key"] for file in published(s3, "two")["files"]]
    assert s3.log == [("copy", new), ("put", MANIFEST), ("put", LINKS), ("delete", old[0]), ("delete", old[1])]
    assert read(s3) == linked(s3) == ["c"]
    assert sorted(key for key in s3.objects if key.startswith("scores/")) == sorted([MANIFEST, new])


def test_what_another_writer_may_come_to_name_stays_until_it_is_old(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = f"{scores_partition(MODEL, DAY)}part-00009-foreign.parquet"
    s3.objects[foreign] = b"x"
    stage(s3, "one", "a")
    stage(s3, "two", "c")
    published(s3, "one")
    assert foreign in s3.objects
    monkeypatch.setattr(publishing, "ABANDONED_AFTER", timedelta(minutes=-5))
    published(s3, "two")
    assert foreign not in s3.objects
    assert read(s3) == linked(s3) == ["c"]


@pytest.mark.parametrize("fail_at", ["part-00001-c", MANIFEST, LINKS, "part-00000-a"])
def test_readers_of_the_manifest_see_one_version_whole_whatever_fails(s3: LocalS3, fail_at: str) -> None:
    stage(s3, "one", "a", "b")
    stage(s3, "two", "d", "c")
    published(s3, "one")
    s3.fail_at = fail_at
    with pytest.raises(ClientError):
        published(s3, "two")
    assert read(s3) in (["a", "b"], ["d", "c"])
    assert linked(s3) in (["a", "b"], ["d", "c"])
    published(s3, "two")
    assert read(s3) == linked(s3) == ["d", "c"]
    assert sum(key.startswith("scores/") for key in s3.objects) == 3, "a manifest and two files: nothing is left over"


def test_how_the_day_is_distributed_lies_beside_its_scores(s3: LocalS3) -> None:
    stage(s3, "one", "a", profile={"rows": 10})
    stage(s3, "two", "b", profile={"rows": 20})
    old, new = published(s3, "one")["profile"], published(s3, "two")["profile"]
    assert old.startswith(f"scores/{MODEL}/date={DAY}/_profile-")
    assert json.loads(s3.objects[new]) == {"rows": 20}
    assert old not in s3.objects, "superseded files are deleted"
    stage(s3, "three", "c")
    assert published(s3, "three")["profile"] is None, "checked by code from before there were profiles"
    assert new not in s3.objects


def test_the_rows_that_the_console_shows_lie_beside_the_scores(s3: LocalS3) -> None:
    keys = []
    for code in ("one", "two"):
        stage(s3, code, code)
        folder = split_uri(run(code).staged_scores("score_day"))[1]
        staged = json.loads(s3.objects[f"{folder}/parts.json"])
        s3.objects[f"{folder}/rows.json.gz"] = code.encode()
        rows = {"name": "rows.json.gz", "sha256": f"{code}-sha-of-sixteen-and-more"}
        s3.objects[f"{folder}/parts.json"] = json.dumps(staged | {"rows": rows}).encode()
        keys.append(published(s3, code)["shown"])
    assert keys[1].startswith(f"scores/{MODEL}/date={DAY}/_rows-two")
    assert s3.objects[keys[1]] == b"two"
    assert keys[0] not in s3.objects, "superseded files are deleted"
    assert linked(s3) == ["two"], "Athena reads no file of that name"


def test_an_empty_day_is_a_partition_too(s3: LocalS3) -> None:
    stage(s3, "one", "a")
    stage(s3, "none")
    published(s3, "one")
    assert published(s3, "none")["rows"] == 0
    assert read(s3) == linked(s3) == []


def test_a_part_that_is_not_as_it_was_checked_is_not_published(s3: LocalS3) -> None:
    stage(s3, "one", "a")
    staged = next(key for key in s3.objects if key.endswith("shard-0.parquet"))
    s3.objects[staged] = b"longer"
    with pytest.raises(PublishError, match="changed since it was checked"):
        published(s3, "one")
    assert MANIFEST not in s3.objects


def before_write_of(monkeypatch: pytest.MonkeyPatch, key: str, happens: Callable[[], object]) -> None:
    """Run something between the reading and the first writing of an object."""
    write, once = publishing.write_if_unchanged, [happens]

    def overtaken(s3: Any, uri: str, *arguments: Any) -> bool:
        if uri.endswith(key) and once:
            once.pop()()
        return write(s3, uri, *arguments)

    monkeypatch.setattr(publishing, "write_if_unchanged", overtaken)


def test_of_two_writers_of_the_same_scores_one_publishes(s3: LocalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(s3, "one", "a", "b", run_id="daily")
    stage(s3, "one", "a", "b", run_id="backfill")
    first: list[ScoresManifest] = []
    before_write_of(monkeypatch, MANIFEST, lambda: first.append(published(s3, "one", "backfill")))
    assert published(s3, "one", "daily") == first[0]
    assert json.loads(s3.objects[MANIFEST]) == first[0]
    assert read(s3) == linked(s3) == ["a", "b"]
    assert sum(key.startswith("scores/") for key in s3.objects) == 3, "the copies of the second run are gone"
    assert published(s3, "one", "daily") == first[0], "when cleared, it does not publish either"


def test_who_planned_before_others_published_something_else_is_refused(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(s3, "old", "a", run_id="daily")
    stage(s3, "new", "c", run_id="backfill")
    before_write_of(monkeypatch, MANIFEST, lambda: published(s3, "new", "backfill"))
    with pytest.raises(PublishError, match=r"run backfill of .*\(changed code\).* clear plan_day"):
        published(s3, "old", "daily")
    assert read(s3) == linked(s3) == ["c"]
    replaced = json.loads(s3.objects[MANIFEST])
    assert published(s3, "old", "daily", replaces=replaced)["run_id"] == "daily", "planned again, it knows of them"
    assert read(s3) == linked(s3) == ["a"]


@pytest.mark.parametrize("between", [MANIFEST, LINKS])
def test_a_writer_that_is_held_up_takes_nothing_from_the_next(
    s3: LocalS3, monkeypatch: pytest.MonkeyPatch, between: str
) -> None:
    stage(s3, "one", "a", run_id="slow")
    stage(s3, "two", "b", run_id="next")

    def overtake() -> None:
        there = json.loads(s3.objects[MANIFEST]) if MANIFEST in s3.objects else None
        published(s3, "two", "next", replaces=there)

    before_write_of(monkeypatch, between, overtake)
    try:
        published(s3, "one", "slow")
    except PublishError:
        assert between == MANIFEST
    assert read(s3) == linked(s3) == ["b"]


def test_many_writers_at_once_publish_once(s3: LocalS3) -> None:
    runs = [f"run {number}" for number in range(6)]
    for run_id in runs:
        stage(s3, "one", "a", "b", run_id=run_id)
    with ThreadPoolExecutor(len(runs)) as pool:
        found = list(pool.map(lambda run_id: published(s3, "one", run_id), runs))
    assert {publication_of(each) for each in found} == {publication_of(json.loads(s3.objects[MANIFEST]))}
    assert read(s3) == linked(s3) == ["a", "b"]
    assert sum(key.startswith("scores/") for key in s3.objects) == 3
